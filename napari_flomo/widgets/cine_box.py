"""The volumes of a cine over its frames, and how end diastole and end systole are set."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QHBoxLayout, QMenu, QPushButton, QVBoxLayout, QWidget

from napari_flomo.measures import PHASES, Phase, Side
from napari_flomo.session import cine_messages, has_phases
from napari_flomo.widgets.queue_button import QueueButton
from napari_flomo.widgets.volume_plot import VolumePlot

if TYPE_CHECKING:
    from napari_flomo.widgets.viewer_state import ViewerState


class CineBox(QWidget):
    """Shown for a segmented cine of a heart; see `cine_messages.PHASE_CHOICES` for the menu."""

    def __init__(self, viewer_state: ViewerState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer_state = viewer_state
        presenter = viewer_state.presenter
        self.plot = VolumePlot()
        self.plot.clicked.connect(self._on_frame)
        self.plot.dragged.connect(self._on_mark)
        self.buttons: dict[Phase, QPushButton] = {}
        row = QHBoxLayout()
        for phase in PHASES:
            one = self.buttons[phase] = QPushButton(phase)
            one.setCheckable(True)
            go = partial(presenter.go_to_phase, phase=phase)
            one.clicked.connect(partial(self._attempt, go))
            row.addWidget(one, 1)
        self.menu = QMenu(self)
        for title, phase, sides in cine_messages.PHASE_CHOICES:
            action = self.menu.addAction(title)
            pin = partial(presenter.pin_phase, phase=phase, sides=sides)
            action.triggered.connect(partial(self._attempt, pin))
        self.menu.addSeparator()
        automatic = self.menu.addAction(cine_messages.AUTOMATIC_PHASES[0])
        automatic.setToolTip(cine_messages.AUTOMATIC_PHASES[1])
        automatic.triggered.connect(partial(self._attempt, presenter.automatic_phases))
        self.menu.setToolTipsVisible(True)
        self.set_button = QPushButton(cine_messages.SET_PHASE[0])
        self.set_button.setToolTip(cine_messages.SET_PHASE[1])
        self.set_button.setMenu(self.menu)
        row.addWidget(self.set_button, 1)
        self.queue_button = QueueButton(viewer_state)
        row.addWidget(self.queue_button, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.plot)
        layout.addLayout(row)

    def refresh(self) -> None:
        """Show the phases of the current image; quick enough for every stroke."""
        entry, image = self._viewer_state.current, self._viewer_state.current_image
        self.setVisible(entry is not None and image is not None and has_phases(image))
        if entry is None or image is None:
            return
        here = self._viewer_state.position(entry).frame
        if image.segmentation is not None:
            self.plot.show_curves(image, self._viewer_state.session.curves(image.key), here)
        for phase, one in self.buttons.items():
            frame = image.phases.left.frame(phase)
            one.setText(cine_messages.phase_title(phase, image.phases))
            one.setToolTip(cine_messages.phase_tip(phase, image.phases))
            one.setEnabled(frame is not None)
            one.setChecked(frame == here)

    def _on_frame(self, frame: int) -> None:
        self._attempt(lambda key: self._viewer_state.presenter.go_to_frame(key, frame))

    def _on_mark(self, phase: Phase, sides: tuple[Side, ...], frame: int) -> None:
        presenter = self._viewer_state.presenter
        self._attempt(lambda key: presenter.pin_phase(key, phase, sides, frame))

    def _attempt(self, action: Callable[[str | None], object], _checked: bool = False) -> None:
        self._viewer_state.attempt(lambda: action(self._viewer_state.key))
        self.refresh()
