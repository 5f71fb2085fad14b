"""What all forms have in common: how they are made, and choices that change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar

from magicgui import magicgui
from magicgui.widgets import FileEdit, FunctionGui, Widget
from magicgui.widgets.bases import CategoricalWidget
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox, QRadioButton, QWidget

P = ParamSpec("P")
R = TypeVar("R")

Choice = tuple[str, Any, str]
"""Text on the screen, value, and tooltip."""


def make_form(
    function: Callable[P, R], *, call_button: str | None = None, **options: Any
) -> FunctionGui[P, R]:
    """Return the form of a function or dataclass, ready to be put into a panel.

    Parameters
    ----------
    function
        Called with the values on the screen when the form is called. Hints of its parameters
        choose the widgets; `typing.Annotated` adds magicgui's options, such as ``min``, ``max``
        and ``label``. The section *Parameters* of its docstring gives the tooltips.
    call_button
        Text of a button that calls the form; without it there is none.
    **options
        Of `magicgui.magicgui`, as ``auto_call`` or the options of a single parameter.

    Returns
    -------
    FunctionGui
        ``form()`` calls the function, ``form.update(...)`` sets values, ``form.native`` is the Qt
        widget, ``form.NAME`` the widget of a parameter.
    """
    form = magicgui(function, call_button=call_button or False, **options)
    form.margins = (0, 0, 0, 0)
    for row in form:
        if isinstance(row, FileEdit):
            row.choose_btn.text = "…"
            row.choose_btn.native.setFixedWidth(32)
        for part in row.native.findChildren(QWidget):
            if not part.toolTip():
                part.setToolTip(row.tooltip)
    return form


def insert_below(form: FunctionGui[..., Any], row: Widget, widget: QWidget) -> None:
    """Insert a Qt widget below a row of a form, as wide as the form."""
    line = row.native
    while line.parentWidget() is not form.native:  # a label shares the line
        line = line.parentWidget()
    layout = form.native.layout()
    layout.insertWidget(layout.indexOf(line) + 1, widget)


def set_choices(row: CategoricalWidget, choices: Sequence[Choice]) -> None:
    """Offer other choices in a combo box or a row of radio buttons; ``changed`` is not emitted.

    The value stays if it is still offered, else the first choice is taken. What is offered already
    is left alone, so that the keyboard focus stays where it is.
    """
    native, offered = row.native, [(text, value) for text, value, _tip in choices]
    with row.changed.blocked():
        if _texts(native) != [text for text, _value in offered] or row.choices != tuple(
            value for _text, value in offered
        ):
            before = row.value
            row.choices = ()  # or else what stays is moved before what is new
            row.choices = lambda _row: offered
            values = row.choices
            if values:
                row.value = before if before in values else values[0]
    for number, (_text, _value, tip) in enumerate(choices):
        if isinstance(native, QComboBox):
            native.setItemData(number, tip, Qt.ItemDataRole.ToolTipRole)
        else:
            native.findChildren(QRadioButton)[number].setToolTip(tip)


def _texts(native: QWidget) -> list[str]:
    if isinstance(native, QComboBox):
        return [native.itemText(number) for number in range(native.count())]
    return [button.text() for button in native.findChildren(QRadioButton)]
