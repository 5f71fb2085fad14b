"""The Segment panel: image, model, device, how much, go."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QButtonGroup,
    QCheckBox,
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QProgressBar,
    QPushButton,
    QRadioButton,
    QVBoxLayout,
)

from napari_flomo import DEFAULT_MODEL
from napari_flomo.errors import FlomoError
from napari_flomo.models import in_use, info, list_models
from napari_flomo.session import (
    Choice,
    Message,
    Progress,
    RunCancelled,
    RunFailed,
    RunFinished,
    RunProgressed,
    RunStarted,
)
from napari_flomo.session.messages import (
    DEVICES,
    DISCLAIMER,
    MIRRORED_TIP,
    MIRRORED_TITLE,
    SCOPES,
    card_text,
    model_title,
    progress_text,
)
from napari_flomo.widgets import segmenting
from napari_flomo.widgets.entries import Entry
from napari_flomo.widgets.keys import bind
from napari_flomo.widgets.layers import describe
from napari_flomo.widgets.messages import MessageBar
from napari_flomo.widgets.panels.panel import Panel, note
from napari_flomo.widgets.panels.restore import offer
from napari_flomo.widgets.slice_axis_row import SliceAxisRow
from napari_flomo.widgets.spacing import SpacingRow
from napari_flomo.widgets.viewer_state import desk_of

if TYPE_CHECKING:
    import napari.viewer

    from napari_flomo.session import Event, Run


class SegmentPanel(Panel):
    """Segment the active image.

    Parameters
    ----------
    napari_viewer
        Given by napari.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__(desk_of(napari_viewer))
        self._build()
        self._arrange()
        bind(self.viewer_state)
        self.fill_models()
        self._choose_remembered()
        self.viewer_state.current_changed.connect(self.refresh)
        self.viewer_state.moved.connect(self._refresh_scope)
        self.viewer_state.happened.connect(self._on_event)
        self.viewer_state.models_changed.connect(self._on_models)
        self.viewer_state.computing_changed.connect(self._on_computing)
        self.viewer_state.said.connect(self._on_said)
        self.refresh()
        self._show_running(self.viewer_state.session.running)
        self.viewer_state.warm_up(self.model)
        offer(self.viewer_state, self.message)
        self._tell_of_training()

    # What is on the panel

    def _build(self) -> None:
        self.image_box = QComboBox()
        self.image_box.setToolTip("The image to segment; follows the layer you select")
        self.image_box.activated.connect(self._on_image_chosen)
        self.image_line = note("What the chosen image is, and what will be done with it")
        self.spacing = SpacingRow(self.viewer_state)
        self.slice_axis = SliceAxisRow(self.viewer_state)
        self.model_box = QComboBox()
        self.model_box.setToolTip("The network to use; more of them under Models")
        self.model_box.currentIndexChanged.connect(self._on_model_chosen)
        self.models_button = QPushButton("Models…")
        self.models_button.setToolTip("Fetch, verify and pick models")
        self.models_button.clicked.connect(partial(self.open, "Models"))
        self.card_line = note("Structures that the model finds, its accuracy and its licence")
        self.card_line.setTextFormat(Qt.TextFormat.RichText)
        self.device_box = QComboBox()
        for name, title, tip in DEVICES:
            self.device_box.addItem(title, name)
            self.device_box.setItemData(
                self.device_box.count() - 1, tip, Qt.ItemDataRole.ToolTipRole
            )
        self.device_box.setToolTip("Where the network runs")
        self.mirrored_box = QCheckBox(MIRRORED_TITLE)
        self.mirrored_box.setToolTip(MIRRORED_TIP)
        self.scope_buttons = QButtonGroup(self)
        self.scopes: dict[str, QRadioButton] = {}
        for name, title, tip in SCOPES:
            button = self.scopes[name] = QRadioButton(title)
            button.setToolTip(tip)
            self.scope_buttons.addButton(button)
        self.scopes["stack"].setChecked(True)
        self.segment_button = QPushButton("Segment")
        self.segment_button.setToolTip("Find the structures; the image itself is not changed")
        self.segment_button.setDefault(True)
        self.segment_button.clicked.connect(lambda _clicked: self.segment())
        self.cancel_button = QPushButton("Cancel")
        self.cancel_button.setToolTip("Stop within a second; the layers stay as they were")
        self.cancel_button.clicked.connect(self.cancel)
        self.review_button = QPushButton("Review…")
        self.review_button.setToolTip("Walk through the slices, the most uncertain first")
        self.review_button.clicked.connect(partial(self.open, "Review"))
        self.progress = QProgressBar()
        self.progress.setToolTip("How far the work is, and about how long it will take")
        self.message = MessageBar()

    def _arrange(self) -> None:
        scope = QHBoxLayout()
        for button in self.scopes.values():
            scope.addWidget(button)
        models = QHBoxLayout()
        models.addWidget(self.model_box, 1)
        models.addWidget(self.models_button)
        buttons = QHBoxLayout()
        buttons.addWidget(self.segment_button, 2)
        buttons.addWidget(self.cancel_button, 1)
        buttons.addWidget(self.review_button, 1)
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Image", self.image_box)
        form.addRow(self.image_line)
        form.addRow(self.spacing)
        form.addRow(self.slice_axis)
        form.addRow("Model", models)
        form.addRow(self.card_line)
        form.addRow("Device", self.device_box)
        form.addRow("Segment", scope)
        form.addRow("Views", self.mirrored_box)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addLayout(buttons)
        layout.addWidget(self.progress)
        layout.addWidget(self.message)
        layout.addStretch(1)
        disclaimer = note("What this program is for")
        disclaimer.setText(DISCLAIMER)
        layout.addWidget(disclaimer)

    @property
    def model(self) -> str:
        """Name of the chosen model."""
        return str(self.model_box.currentData() or "")

    @property
    def device(self) -> str:
        """Name of the chosen device."""
        return str(self.device_box.currentData())

    @property
    def scope(self) -> str:
        """How much is to be segmented: ``"slice"``, ``"stack"`` or ``"all"``."""
        return next(name for name, button in self.scopes.items() if button.isChecked())

    def fill_models(self) -> None:
        """List the models anew, as after a download."""
        chosen = self.model
        self.model_box.blockSignals(True)
        self.model_box.clear()
        for state in list_models():
            if state.place == "unpublished":
                continue
            self.model_box.addItem(model_title(state), state.name)
            self.model_box.setItemData(
                self.model_box.count() - 1, state.summary, Qt.ItemDataRole.ToolTipRole
            )
        self.model_box.blockSignals(False)
        self.choose_model(chosen or in_use(DEFAULT_MODEL))

    def choose_model(self, name: str) -> None:
        """Pick a model by name, where it is in the list."""
        at = self.model_box.findData(name)
        if at >= 0:
            self.model_box.setCurrentIndex(at)
        self._on_model_chosen()

    def refresh(self) -> None:
        """Show what is open now."""
        self.image_box.blockSignals(True)
        self.image_box.clear()
        for number, one in enumerate(self.viewer_state.entries):
            self.image_box.addItem(one.image.name, one)
            if one is self.viewer_state.current:
                self.image_box.setCurrentIndex(number)
        if self.viewer_state.current is None:
            self.image_box.setCurrentIndex(-1)
        self.image_box.blockSignals(False)
        entry = self.viewer_state.current
        if entry is None:
            self.image_line.setText("Open an image, or drop a file or DICOM folder on the window.")
        else:
            self.image_line.setText(describe(entry.image, entry.slice_axis))
        self.spacing.show_for(entry)
        self.slice_axis.show_for(entry)
        self.review_button.setEnabled(entry is not None and entry.labels is not None)
        self._refresh_scope()

    # What the user does

    def segment(self, *, confirmed: bool = False) -> None:
        """Start, or ask first if that would overwrite work of the user."""
        self.message.clear()
        self.attempt(
            lambda: segmenting.segment(
                self.viewer_state,
                self.model,
                self.device,
                self.scope,
                mirrored=self.mirrored_box.isChecked(),
                confirmed=confirmed,
            )
        )

    def cancel(self) -> None:
        """Stop what runs."""
        run, computing = self.viewer_state.session.running, self.viewer_state.computing
        if computing is not None:
            computing.cancel()
        elif run is not None:
            self.cancel_button.setEnabled(False)
            self.progress.setFormat("Stopping…")
            run.cancel()

    def attempt(self, action: Callable[[], None]) -> None:
        """Do something, and say so when it is refused."""
        try:
            action()
        except FlomoError as error:
            self.message.show_message(str(error), level="warning")

    def _tell_of_training(self) -> None:
        """Say that a training of an earlier day runs or has ended, unless there is more urgent."""
        training = self.viewer_state.learn().training
        if training is not None and not self.message.text.text():
            self.message.show_message(
                f"A training of {training.request.base} is waiting for you.",
                choices=[("Learn…", partial(self.open, "Learn"), "See how it went")],
            )

    def _on_image_chosen(self, number: int) -> None:
        entry: Entry = self.image_box.itemData(number)
        self.viewer_state.viewer.layers.selection.active = entry.image
        self.viewer_state.choose(entry)

    def _on_model_chosen(self, _index: int = 0) -> None:
        try:
            _state, card = info(self.model)
        except FlomoError as error:
            self.card_line.setText(str(error))
        else:
            self.card_line.setText(card_text(card))

    def _choose_remembered(self) -> None:
        preferences = self.viewer_state.preferences
        self.choose_model(preferences.model or in_use(DEFAULT_MODEL))
        at = self.device_box.findData(preferences.device)
        self.device_box.setCurrentIndex(max(at, 0))
        self.mirrored_box.setChecked(preferences.mirrored)
        if preferences.warning:
            self.message.show_message(preferences.warning, level="warning")

    def _refresh_scope(self) -> None:
        entry = self.viewer_state.current
        moving = entry is not None and entry.image.ndim == 4
        stack = entry is not None and entry.image.ndim > 2
        self.scopes["all"].setVisible(moving)
        self.scopes["slice"].setVisible(stack)
        self.scopes["stack"].setText("This stack" if stack else "This image")
        if not self.scopes[self.scope].isVisibleTo(self):
            self.scopes["stack"].setChecked(True)
        running = (
            self.viewer_state.session.running is not None or self.viewer_state.computing is not None
        )
        self.segment_button.setEnabled(entry is not None)
        self.cancel_button.setEnabled(running)

    # What the work tells

    def _on_event(self, event: Event) -> None:
        if isinstance(event, RunStarted):
            self._show_running(event.run)
        elif isinstance(event, RunProgressed):
            self._show_progress(event.progress)
        elif isinstance(event, RunFailed | RunCancelled | RunFinished):
            self._show_running(None)
            if isinstance(event, RunFinished) and event.run.task == "pull":
                self.fill_models()

    def _on_said(self, said: Message) -> None:
        choices = said.choices
        if said.kind == "missing_model":
            tip = "Fetch the model, or pick another"
            choices = (*choices, Choice("Models…", partial(self.open, "Models"), tip))
        self.message.show_message(
            said.text, level=said.level, details=said.details, choices=choices
        )

    def _on_models(self, name: str) -> None:
        self.fill_models()
        self.choose_model(name)

    def _on_computing(self) -> None:
        computing = self.viewer_state.computing is not None
        for widget in (self.progress, self.cancel_button):
            widget.setVisible(computing)
        self.cancel_button.setEnabled(computing)
        if computing:
            self.progress.setRange(0, 0)
            self.progress.setFormat("Computing the lazy image")

    def _show_running(self, run: Run | None) -> None:
        self.progress.setVisible(run is not None)
        self.cancel_button.setVisible(run is not None)
        self.cancel_button.setEnabled(run is not None)
        if run is not None:
            self._show_progress(run.progress)

    def _show_progress(self, progress: Progress) -> None:
        self.progress.setRange(0, progress.total)
        self.progress.setValue(progress.done)
        self.progress.setFormat(progress_text(progress))
