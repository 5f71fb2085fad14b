"""Forms of the panels, made by magicgui.

A form is a function or a dataclass: its type hints give the rows, its docstring the tooltips, and
calling the form calls it with the values on the screen. magicgui reads the hints themselves, so
modules that define forms do without ``from __future__ import annotations``.
"""

from napari_flomo.widgets.forms.form import (
    Option,
    add_beside,
    align_labels,
    insert_below,
    make_form,
    pairs,
    set_choices,
    set_tips,
    show_value,
)

__all__ = [
    "Option",
    "add_beside",
    "align_labels",
    "insert_below",
    "make_form",
    "pairs",
    "set_choices",
    "set_tips",
    "show_value",
]
