"""Tools that change the structure that is painted with."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import numpy as np
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_flomo.errors import FlomoError
from napari_flomo.session import IN_MILLIMETRES, messages, use_tool
from napari_flomo.widgets.forms import make_form, set_tips
from napari_flomo.widgets.forms.tools import TOOL_CHOICES, ToolOptions
from napari_flomo.widgets.layers import Grid
from napari_flomo.widgets.panels.panel import button

if TYPE_CHECKING:
    from napari_flomo.session import ToolName
    from napari_flomo.widgets.viewer_state import ViewerState


class ToolsBox(QWidget):
    """Chooses a tool and applies it; ``attempt`` calls a function and shows its errors."""

    def __init__(
        self,
        viewer_state: ViewerState,
        attempt: Callable[[Callable[[], object]], object],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer_state = viewer_state
        self._attempt = attempt
        self.form = form = make_form(ToolOptions)
        set_tips(form.tool, TOOL_CHOICES)
        form.tool.changed.connect(self._show_options)
        self.apply_button = button(
            "Apply", "Apply the tool to the structure that you paint with (T)", self._on_click
        )
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(form.native)
        layout.addWidget(self.apply_button)
        self._show_options()

    def refresh(self) -> None:
        """Follow the current image."""
        entry = self._viewer_state.current
        self.setEnabled(entry is not None and entry.labels is not None)

    def apply(self) -> None:
        """Apply the chosen tool as a stroke; raise `FlomoError` if that is not possible."""
        options, state = self.form(), self._viewer_state
        entry, image = state.current, state.current_image
        if entry is None or entry.labels is None or image is None:
            raise FlomoError(messages.NOTHING_TO_REVIEW)
        if not state.presenter.can_see(image.key):
            return
        state.adapter.read_labels(image.key)
        changed = use_tool(
            image,
            cast("ToolName", options.tool),
            int(entry.labels.selected_label),
            state.position(entry),
            mm=options.size,
            whole_stack=options.whole_stack,
        )
        wanted = Grid.below(entry.image, image.volume).layer_data(changed)
        where = np.nonzero(entry.labels.data != wanted)
        if where[0].size:
            entry.labels.data_setitem(where, wanted[where])
            state.adapter.read_labels(image.key)
        else:
            state.post_message(messages.TOOL_CHANGED_NOTHING)

    def _on_click(self, _clicked: bool = False) -> None:
        self._attempt(self.apply)

    def _show_options(self, _tool: str = "") -> None:
        """Enable what the chosen tool needs."""
        self.form.size.enabled = self.form.tool.value in IN_MILLIMETRES
        self.form.whole_stack.enabled = self.form.tool.value != "fill between slices"
