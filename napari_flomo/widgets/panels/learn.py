"""The Learn panel: what waits, train, curves, the gate's verdict, use or keep."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QFrame,
    QGroupBox,
    QHBoxLayout,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from napari_flomo.errors import FlomoError
from napari_flomo.models import list_models
from napari_flomo.session import CorrectionKept, State
from napari_flomo.session.messages import progress_text
from napari_flomo.widgets.curve_plot import CurvePlot
from napari_flomo.widgets.folder_row import FolderRow
from napari_flomo.widgets.messages import MessageBar
from napari_flomo.widgets.panels.gate_box import GateBox
from napari_flomo.widgets.panels.panel import Panel, note
from napari_flomo.widgets.viewer_state import desk_of

if TYPE_CHECKING:
    import napari.viewer
    from qtpy.QtGui import QShowEvent

    from napari_flomo.session import Event
    from napari_flomo.session.learning import Learning, Training

SETTLE_MS = 150
"""A training tells every step; the panel is drawn a few times a second."""

CHECK_MS = 2500
"""After the last accepted slice, the training package is asked whether there are enough."""


class LearnPanel(Panel):
    """Teach a model what was corrected.

    Parameters
    ----------
    napari_viewer
        Given by napari.

    Attributes
    ----------
    settings
        YAML file with numbers that differ from the training package's; for scripts.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__(desk_of(napari_viewer))
        self.settings: str | None = None
        self._said_of_store = ""
        self._later = _timer(self, SETTLE_MS, self.refresh)
        self._count_later = _timer(self, SETTLE_MS, self.count)
        self._check_later = _timer(self, CHECK_MS, self._check)
        self._shown: Training | None = None
        self._build()
        self._arrange()
        self.fill_bases()
        self.learning.subscribe(self._refresh_soon)
        self.viewer_state.happened.connect(self._on_event)
        self.viewer_state.models_changed.connect(lambda _name: self.fill_bases())
        self.count()

    @property
    def learning(self) -> Learning:
        """Behind this panel."""
        return self.viewer_state.learn()

    @property
    def base(self) -> str:
        """Name of the model to teach."""
        return str(self.base_box.currentData() or "")

    # What is on the panel

    def _build(self) -> None:
        preferences = self.viewer_state.preferences
        self.waiting = note("Accepted slices in your store of corrections, and whether they do")
        self.keep_box = QCheckBox("Keep accepted slices")
        self.keep_box.setChecked(preferences.keep_corrections)
        self.keep_box.setToolTip(
            "Keep a copy of every image with its accepted slices in the store of corrections on "
            "this computer; no names, dates or folders"
        )
        self.keep_box.toggled.connect(partial(setattr, preferences, "keep_corrections"))
        self.alias = QLineEdit(preferences.reader)
        self.alias.setToolTip("An alias that stands for you in the store: letters and digits")
        self.alias.editingFinished.connect(self._set_alias)
        self.base_box = QComboBox()
        self.base_box.setToolTip("The model that shall learn; it stays as it is")
        self.base_box.activated.connect(lambda _: self._on_base())
        self.replay = FolderRow(
            "Data to rehearse",
            "none: it is held near what it knows",
            "Prepared data that the model was trained on, so that it does not forget it",
            partial(setattr, preferences, "replay"),
        )
        self.replay.show_folder(preferences.replay)
        self.reference = FolderRow(
            "Reference patients",
            "what comes with the model",
            "Labelled data that no model was trained on: the new one must not be worse there",
            partial(setattr, preferences, "reference"),
        )
        self.reference.show_folder(preferences.reference)
        self.train_button = QPushButton("Train")
        self.train_button.setToolTip("Teach a copy of the model; the one in use stays as it is")
        self.train_button.clicked.connect(lambda _: self.train())
        self.cancel_button = QPushButton("Cancel")
        self.cancel_button.setToolTip("Stop within a second; it can go on later where it was")
        self.cancel_button.clicked.connect(lambda _: self.learning.cancel())
        self.progress = QProgressBar()
        self.progress.setToolTip("How far the training is, and about how long it will take")
        self.curves = CurvePlot()
        self.gate = GateBox()
        self.use_button = QPushButton("Use the new model")
        self.use_button.setToolTip("Segment with the new model from now on")
        self.use_button.clicked.connect(lambda _: self.use())
        self.keep_button = QPushButton("Keep the old one")
        self.keep_button.setToolTip("Nothing changes; the new model stays on the shelf")
        self.keep_button.clicked.connect(lambda _: self.keep_old())
        self.back_button = QPushButton("Back to the previous model")
        self.back_button.setToolTip("Take back the last Use; no model is deleted")
        self.back_button.clicked.connect(lambda _: self.roll_back())
        self.message = MessageBar()

    def _arrange(self) -> None:
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow(self.waiting)
        form.addRow("Your alias", self.alias)
        form.addRow(self.keep_box)
        form.addRow("Teach", self.base_box)
        form.addRow("Rehearse", self.replay)
        form.addRow("Judge on", self.reference)
        buttons, decide = QHBoxLayout(), QHBoxLayout()
        buttons.addWidget(self.train_button, 2)
        buttons.addWidget(self.cancel_button, 1)
        decide.addWidget(self.use_button)
        decide.addWidget(self.keep_button)
        self.gate_group = QGroupBox("The gate")
        self.gate_group.setToolTip("The new model beside the one in use, on the same images")
        inner = QVBoxLayout(self.gate_group)
        inner.addWidget(self.gate)
        inner.addLayout(decide)
        inside = QWidget()
        layout = QVBoxLayout(inside)
        layout.addLayout(form)
        layout.addLayout(buttons)
        for widget in (self.progress, self.curves, self.gate_group, self.back_button, self.message):
            layout.addWidget(widget)
        layout.addStretch(1)
        scroll = self._scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(inside)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(scroll)

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Count anew, whatever happened while the panel was hidden."""
        super().showEvent(event)
        self.count()
        self._check_later.start()

    def fill_bases(self) -> None:
        """List the models on this computer; the one in use is chosen."""
        chosen = self.learning.base(self.viewer_state.preferences.base)
        self.base_box.clear()
        for state in list_models():
            if state.folder is not None:
                title = f"{state.name} ({state.state})" if state.state else state.name
                self.base_box.addItem(title, state.name)
        self.base_box.setCurrentIndex(max(self.base_box.findData(chosen), 0))

    def count(self) -> None:
        """Count what waits; reads a record for each correction, so not with every step."""
        try:
            self._said_of_store = self.learning.waiting(self.base).sentence
        except FlomoError as error:
            self._said_of_store = str(error)
        self.refresh()

    def _refresh_soon(self) -> None:
        # Not put off by the next step: one that takes less than the pause would do so for ever.
        if not self._later.isActive():
            self._later.start()

    def refresh(self) -> None:
        """Show what waits, what runs and what was found."""
        learning, training = self.learning, self.learning.training
        running = learning.running
        self.waiting.setText(self._waiting_text())
        refused = learning.readiness is not None and not learning.readiness.ready
        possible = learning.obstacle is None and not running and not refused
        self.train_button.setEnabled(possible)
        for widget in (self.progress, self.cancel_button):
            widget.setVisible(running)
        self.curves.setVisible(training is not None)
        if training is not None:
            progress = training.progress
            self.progress.setRange(0, progress.total)
            self.progress.setValue(progress.done)
            self.progress.setFormat(progress_text(progress))
            points = training.points()
            self.curves.show_points(points, max((point.step for point in points), default=0))
        self._show_end(training)
        self.back_button.setVisible(learning.can_roll_back(self.base))

    # What the user does

    def train(self) -> None:
        """Start a training."""
        self.message.clear()
        self._attempt(
            lambda: self.learning.train(
                self.base,
                replay=self.replay.folder,
                reference=self.reference.folder,
                device=self.viewer_state.preferences.device,
                settings=self.settings,
            )
        )

    def use(self) -> None:
        """Let the new model take the place of the old one."""

        def promote() -> None:
            name = self.learning.use()
            self.viewer_state.use_model(name)
            self.message.show_message(f"{name} is in use from now on.")

        self._attempt(promote)

    def keep_old(self) -> None:
        """Leave everything as it is."""

        def keep() -> None:
            name = self.learning.keep_old()
            self.message.show_message(f"{name} stays in use; the new model is under Models.")

        self._attempt(keep)

    def roll_back(self) -> None:
        """Go back to the model that was in use before."""

        def back() -> None:
            name = self.learning.roll_back(self.base)
            self.viewer_state.use_model(name)
            self.message.show_message(f"{name} is in use again.")

        self._attempt(back)

    def _attempt(self, action: Callable[[], object]) -> None:
        try:
            action()
        except FlomoError as error:
            self.message.show_message(str(error), level="warning")
        self.count()

    def _set_alias(self) -> None:
        try:
            self.viewer_state.preferences.reader = self.alias.text().strip()
        except FlomoError as error:
            self.message.show_message(str(error), level="warning")
            self.alias.setText(self.viewer_state.preferences.reader)

    def _on_base(self) -> None:
        self.viewer_state.preferences.base = self.base
        self._check()
        self.count()

    def _check(self) -> None:
        """Ask the training package, while somebody looks and no training needs the computer."""
        if self.isVisible() and self.base and not self.learning.running and self._slices():
            self.learning.check(self.base)

    def _slices(self) -> int:
        try:
            return self.learning.waiting(self.base).slices
        except FlomoError:
            return 0

    # What happens

    def _waiting_text(self) -> str:
        learning = self.learning
        said = [self._said_of_store]
        if learning.obstacle is not None:
            said.append(learning.obstacle)
        elif learning.readiness is not None:
            said += [learning.readiness.sentence, *learning.readiness.skipped]
        return " ".join(said)

    def _show_end(self, training: Training | None) -> None:
        """Show the gate's verdict, or why there is none."""
        state = None if training is None else training.state
        done = training is not None and state is State.DONE
        if (
            training is not None
            and training is not self._shown
            and state
            in (
                State.DONE,
                State.FAILED,
                State.CANCELLED,
            )
        ):
            self._shown = training
            self._count_later.start()
            self._say_end(training)
        if done and training is not None:
            try:
                judgement = training.judgement()
            except FlomoError as error:
                self.message.show_message(str(error), level="error")
                done = False
            else:
                self.gate.show_judgement(judgement)
                self.use_button.setEnabled(judgement.passed)
        self.gate_group.setVisible(done)
        inside, bar = self._scroll.widget(), self._scroll.verticalScrollBar()
        if inside is not None:  # nothing is cut off at the side, where there is no bar to scroll
            needed = inside.minimumSizeHint().width() + bar.sizeHint().width()
            self._scroll.setMinimumWidth(needed)

    def _say_end(self, training: Training) -> None:
        again = [
            ("Go on", lambda: self._attempt(self.learning.resume), "From where it was"),
            ("Drop it", lambda: self._attempt(self.learning.drop), "Offer it no more"),
        ]
        problem = training.problem
        if training.state is State.CANCELLED:
            self.message.show_message("The training was stopped.", choices=again)
        elif problem is not None:
            self.message.show_message(
                problem.sentence, level="error", details=problem.details, choices=again
            )

    def _on_event(self, event: Event) -> None:
        if isinstance(event, CorrectionKept):
            self._count_later.start()
            self._check_later.start()


def _timer(parent: QWidget, milliseconds: int, action: Callable[[], None]) -> QTimer:
    timer = QTimer(parent)
    timer.setSingleShot(True)
    timer.setInterval(milliseconds)
    timer.timeout.connect(action)
    return timer
