"""Tools that change the structure that is painted with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_flomo.session import IN_MILLIMETRES
from napari_flomo.widgets.forms import make_form, set_tips
from napari_flomo.widgets.forms.tools import TOOL_CHOICES, ToolOptions
from napari_flomo.widgets.panels.panel import button
from napari_flomo.widgets.tool_use import apply_tool

if TYPE_CHECKING:
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
        form.update(**asdict(viewer_state.tool_options))
        form.changed.connect(self._remember)
        self.apply_button = button(
            "Apply",
            "Apply the tool to the structure that you paint with; each tool has a key",
            self._on_click,
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
        apply_tool(self._viewer_state, self.form())

    def _on_click(self, _clicked: bool = False) -> None:
        self._attempt(self.apply)

    def _remember(self, _value: object = None) -> None:
        """Let the keys of the tools use the same size and slices."""
        self._viewer_state.tool_options = self.form()

    def _show_options(self, _tool: str = "") -> None:
        """Enable what the chosen tool needs."""
        self.form.size.enabled = self.form.tool.value in IN_MILLIMETRES
        self.form.whole_stack.enabled = self.form.tool.value != "fill between slices"
