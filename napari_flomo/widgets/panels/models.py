"""The Models panel: list, download, verify and choose models."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QLabel,
    QTableWidgetItem,
    QVBoxLayout,
)

from napari_flomo.errors import FlomoError
from napari_flomo.models import ModelState, info, list_models, verify
from napari_flomo.session import (
    Event,
    RunCancelled,
    RunEvent,
    RunFailed,
    RunFinished,
    RunProgressed,
    model_messages,
)
from napari_flomo.widgets.forms import make_form
from napari_flomo.widgets.panels.panel import Panel, ProgressBar, TextTable, button
from napari_flomo.widgets.viewer_state import viewer_state_of

if TYPE_CHECKING:
    import napari.viewer

_COLUMNS = (("Model", "Name"), ("Where", "Where its files are"), ("Size", "Size of its files"))
_PLACES = {
    "bundled": "included",
    "fetched": "on this computer",
    "tuned": "fine-tuned on this computer",
    "online": "on the Hub",
    "unpublished": "not published yet",
}


class ModelsPanel(Panel):
    """Models on this computer and on the Hub."""

    name = "Models"

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__(viewer_state_of(napari_viewer))
        self.states: list[ModelState] = []
        self._build()
        self.viewer_state.session_changed.connect(self._on_event)
        self.viewer_state.models_changed.connect(lambda _name: self.refresh())
        self.refresh()
        self._show_running(False)

    def _build(self) -> None:
        self.table = TextTable(_COLUMNS, wrapped=(0, 1), name="Models")
        self.table.setToolTip("All known models; double-click one to use it")
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.itemSelectionChanged.connect(self._show_card)
        self.table.cellDoubleClicked.connect(lambda _row, _column: self.use())
        self.card = QLabel()
        self.card.setWordWrap(True)
        self.card.setTextFormat(Qt.TextFormat.RichText)
        self.card.setToolTip("Card of the selected model")
        self.use_button = button("Use", "Segment with this model", self.use)
        self.verify_button = button(
            "Verify", "Compare all files of this model with their SHA-256", self.verify
        )
        self.form = make_form(self.pull, layout="horizontal", labels=False)
        line = self.form.address.native
        line.setPlaceholderText("name, or hf:organisation/name@revision")
        line.returnPressed.connect(self.form)
        self.pull_button = button(
            "Download", "Download the model; it is verified before use", self.form
        )
        self.cancel_button = button("Cancel", "Stop the download", self.cancel)
        self.progress = ProgressBar()
        buttons, download = QHBoxLayout(), QHBoxLayout()
        buttons.addWidget(self.use_button)
        buttons.addWidget(self.verify_button)
        download.addWidget(self.form.native, 1)
        download.addWidget(self.pull_button)
        download.addWidget(self.cancel_button)
        layout = QVBoxLayout()
        layout.addWidget(self.table)
        layout.addWidget(self.card)
        layout.addLayout(buttons)
        layout.addLayout(download)
        layout.addWidget(self.progress)
        layout.addStretch(1)
        self.fill(layout)

    def refresh(self) -> None:
        """List the models again; this makes no network requests."""
        self.states = list_models()
        self.table.setRowCount(len(self.states))
        for row, state in enumerate(self.states):
            size = "" if state.size is None else f"{state.size / 1e6:.1f} MB"
            place = _PLACES[state.place] + (f", {state.state}" if state.state else "")
            for column, text in enumerate((state.name, place, size)):
                item = QTableWidgetItem(text)
                item.setToolTip(state.summary)
                self.table.setItem(row, column, item)
        self.table.fit()
        if self.states and not self.table.selectedItems():
            self.table.selectRow(0)

    @property
    def chosen(self) -> ModelState | None:
        """The selected model."""
        row = self.table.currentRow()
        return self.states[row] if 0 <= row < len(self.states) else None

    def use(self) -> None:
        """Choose the selected model for the next run."""
        state = self.chosen
        if state is not None:
            self.viewer_state.preferences.model = state.name
            panel = self.open("Segment")
            panel.fill_models()
            panel.choose_model(state.name)

    def verify(self) -> None:
        """Verify the files of the selected model in another thread."""
        state = self.chosen
        if state is None:
            return
        self.verify_button.setEnabled(False)
        name = state.name

        def work() -> None:
            try:
                problems = [verdict.problem for verdict in verify([name]) if verdict.problem]
                text = (
                    problems[0]
                    if problems
                    else f"{name} is intact: all files have the published SHA-256."
                )
                level = "error" if problems else "info"
            except FlomoError as error:
                text, level = str(error), "error"
            self.viewer_state.in_main_thread(lambda: self._verified(text, level))

        threading.Thread(target=work, daemon=True).start()

    def pull(self, address: str = "") -> None:
        """Download a model.

        Parameters
        ----------
        address
            Model to download: a name from the list, or any repository on the Hub; empty for the
            selected model
        """
        name = address.strip() or (self.chosen.name if self.chosen else "")
        self.viewer_state.board.acted()
        self.attempt(lambda: self.viewer_state.session.pull(name))

    def cancel(self) -> None:
        """Stop downloads."""
        for run in self.viewer_state.session.runs:
            if run.task == "pull":
                run.cancel()

    def _verified(self, text: str, level: str) -> None:
        self.verify_button.setEnabled(True)
        self.viewer_state.post_message(text, level)

    def _show_card(self) -> None:
        state = self.chosen
        here = state is not None and state.folder is not None
        self.use_button.setEnabled(state is not None and state.place != "unpublished")
        self.verify_button.setEnabled(here)
        if state is None:
            self.card.clear()
            return
        try:
            _state, card = info(state.name)
        except FlomoError:
            self.card.setText(state.summary)
        else:
            data = f"<br>Trained on: {card.training_data}"
            self.card.setText(f"{model_messages.card_text(card)}{data}")

    def _on_event(self, event: Event) -> None:
        if not isinstance(event, RunEvent) or event.run.task != "pull":
            return
        runs = self.viewer_state.session.runs
        self._show_running(event.run in runs)
        if event.run in runs:
            self.progress.show_run(event.run, runs.index(event.run))
        if isinstance(event, RunProgressed):
            self.progress.show_progress(event.progress)
        elif isinstance(event, RunFailed):
            problem = event.problem
            self.viewer_state.post_message(problem.sentence, "error", problem.details)
        elif isinstance(event, RunCancelled):
            self.viewer_state.post_message("Cancelled; no model was changed.")
        elif isinstance(event, RunFinished):
            self.viewer_state.post_message(f"{event.run.model} is downloaded and verified.")
            self.refresh()

    def _show_running(self, running: bool) -> None:
        self.progress.setVisible(running)
        self.cancel_button.setVisible(running)
        self.pull_button.setEnabled(not running)
