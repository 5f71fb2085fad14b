"""The button for the insertion points of the wall."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QMenu, QPushButton

from napari_flomo.session import measure_messages

if TYPE_CHECKING:
    from napari_flomo.widgets.viewer_state import ViewerState


class WallButton(QPushButton):
    """Opens a menu that shows, hides and finds the insertion points of the current image.

    ``attempt`` calls a function and shows its errors.
    """

    def __init__(
        self, viewer_state: ViewerState, attempt: Callable[[Callable[[], object]], object]
    ) -> None:
        super().__init__(measure_messages.WALL[0])
        self._viewer_state = viewer_state
        self._attempt = attempt
        self.setToolTip(measure_messages.WALL[1])
        menu = QMenu(self)
        menu.setToolTipsVisible(True)
        title, tip = measure_messages.SHOW_INSERTIONS
        self.show_action = menu.addAction(title)
        self.show_action.setToolTip(tip)
        self.show_action.setCheckable(True)
        self.show_action.triggered.connect(self._show)
        title, tip = measure_messages.AUTOMATIC_INSERTIONS
        self.automatic_action = menu.addAction(title)
        self.automatic_action.setToolTip(tip)
        self.automatic_action.triggered.connect(self._automatic)
        self.setMenu(menu)

    def refresh(self) -> None:
        """Follow the current image."""
        image = self._viewer_state.current_image
        self.setEnabled(image is not None and image.review is not None)
        self.automatic_action.setEnabled(image is not None and bool(image.insertions))
        self.show_action.setChecked(self._viewer_state.wall_points.layer is not None)

    def _show(self, checked: bool) -> None:
        points = self._viewer_state.wall_points
        self._attempt(points.show if checked else points.hide)
        self.refresh()

    def _automatic(self, _checked: bool = False) -> None:
        self._attempt(self._viewer_state.wall_points.automatic)
        self.refresh()
