"""Form of the tools that change a structure."""

# No `from __future__ import annotations`: magicgui reads the hints.
from dataclasses import dataclass
from typing import Annotated

from napari_flomo.session import TOOLS, ToolName
from napari_flomo.widgets.forms.form import Option, pairs

_TITLES: dict[ToolName, tuple[str, str]] = {
    "smooth": ("Smooth", "Round the border of the structure (Shift+S)"),
    "grow": ("Grow", "Move the border outwards (Shift+G)"),
    "shrink": ("Shrink", "Move the border inwards; what surrounds it takes its place (Shift+K)"),
    "remove islands": (
        "Remove islands",
        "Keep the largest piece in each slice; fill its holes (Shift+I)",
    ),
    "fill between slices": (
        "Fill between slices",
        "Label empty slices between labelled ones with shapes in between (Shift+F)",
    ),
}
TOOL_CHOICES: list[Option] = [(_TITLES[tool][0], tool, _TITLES[tool][1]) for tool in TOOLS]


@dataclass(frozen=True, kw_only=True)
class ToolOptions:
    """A tool for the structure that is painted with.

    Parameters
    ----------
    tool
        What to do with the structure that you paint with
    size
        Size of the change in millimetres
    whole_stack
        Change all slices of the frame, not only the one on the screen
    """

    tool: Annotated[str, {"label": "Tool", "choices": pairs(TOOL_CHOICES)}] = "smooth"
    size: Annotated[float, {"label": "Size (mm)", "min": 0.5, "max": 20.0, "step": 0.5}] = 1.0
    whole_stack: Annotated[bool, {"label": "All slices"}] = False
