"""A button whose menu chooses which slices of a cine are listed and visited."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtGui import QActionGroup
from qtpy.QtWidgets import QMenu, QPushButton, QWidget

from napari_flomo.session import cine_messages

if TYPE_CHECKING:
    from napari_flomo.widgets.viewer_state import ViewerState


class QueueButton(QPushButton):
    """Chooses frames, states and structure of the current image's `QueueFilter`."""

    def __init__(self, viewer_state: ViewerState, parent: QWidget | None = None) -> None:
        super().__init__(cine_messages.LIST[0], parent)
        self._viewer_state = viewer_state
        self.setToolTip(cine_messages.LIST[1])
        self.choices = QMenu(self)
        self.choices.aboutToShow.connect(self._fill)
        self.setMenu(self.choices)

    def _fill(self) -> None:
        """List the choices for the current image."""
        self.choices.clear()
        image = self._viewer_state.current_image
        if image is None or image.segmentation is None:
            return
        structures: list[tuple[str, int | None]] = [(cine_messages.ANY_STRUCTURE, None)]
        structures += [(label.name, label.code) for label in image.segmentation.card.labels[1:]]
        for name, entries in (
            ("frames", cine_messages.QUEUE_FRAMES),
            ("states", cine_messages.QUEUE_STATES),
            ("structure", structures),
        ):
            group = QActionGroup(self.choices)
            for title, value in entries:
                action = self.choices.addAction(title)
                action.setCheckable(True)
                action.setChecked(getattr(image.queue, name) == value)
                action.setActionGroup(group)
                action.triggered.connect(partial(self._choose, {name: value}))
            self.choices.addSeparator()

    def _choose(self, changes: dict[str, Any], _checked: bool = False) -> None:
        image, session = self._viewer_state.current_image, self._viewer_state.session
        if image is not None:
            session.set_queue(image.key, replace(image.queue, **changes))
