"""Make forms, and change their choices and values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar

from magicgui import magicgui
from magicgui.widgets import (
    CheckBox,
    ComboBox,
    FileEdit,
    FloatSlider,
    FunctionGui,
    RadioButtons,
    TupleEdit,
    Widget,
)
from magicgui.widgets.bases import ValueWidget
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox, QDoubleSpinBox, QLabel, QRadioButton, QSlider, QWidget

P = ParamSpec("P")
R = TypeVar("R")

Option = tuple[str, Any, str]
"""A choice: text on the screen, value and tooltip."""

# Under napari's style sheet, the number beside a slider has no room for its text unless it has
# buttons, and a group has a frame and room for a title.
_PLAIN_NUMBER = (
    "QDoubleSpinBox { background: transparent; min-width: 36px; padding: 0 }"
    "QDoubleSpinBox::up-button, QDoubleSpinBox::down-button { width: 0 }"
    "QDoubleSpinBox::up-arrow, QDoubleSpinBox::down-arrow { image: none }"
)
_PLAIN_GROUP = "QGroupBox { border: none; margin: 0; padding: 0 }"


def make_form(function: Callable[P, R], **options: Any) -> FunctionGui[P, R]:
    """Return the form of a function or dataclass, ready to be put into a panel.

    Parameters
    ----------
    function
        Called with the values on the screen when the form is called. Hints of its parameters
        choose the widgets; `typing.Annotated` adds magicgui's options, such as ``min``, ``max``
        and ``label``. The section *Parameters* of its docstring gives the tooltips. A parameter
        cannot have the name of one of magicgui's own attributes, such as ``visible``.
    **options
        Of `magicgui.magicgui`, such as the layout or the options of a single parameter.

    Returns
    -------
    FunctionGui
        ``form()`` calls the function, ``form.update(...)`` sets values, ``form.native`` is the Qt
        widget, ``form.NAME`` the widget of a parameter.
    """
    form = magicgui(function, call_button=False, **options)
    form.margins = (0, 0, 0, 0)
    form.native_parent_changed.disconnect()  # a reset of choices would recreate radio buttons
    for row in form:
        _fit_in(row)
        for part in row.native.findChildren(QWidget):
            if not part.toolTip():
                part.setToolTip(row.tooltip)
        _name(row)
    return form


def _name(row: Widget) -> None:
    """Tell screen readers the label of a row; the tooltips are the descriptions already."""
    parts = [row.native, *row.native.findChildren(QWidget)]
    for part in parts:
        if not part.accessibleName():
            part.setAccessibleName(row.label)
    if isinstance(row, FileEdit):
        row.choose_btn.native.setAccessibleName(f"Choose a folder: {row.label}")


def _fit_in(row: Widget) -> None:
    """Adapt a widget of magicgui to narrow panels and to napari's style sheet."""
    if isinstance(row, FileEdit):
        row.choose_btn.text = "…"
        row.choose_btn.native.setFixedWidth(32)
    elif isinstance(row, ComboBox):  # a long choice must not widen the panel
        policy = QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        row.native.setSizeAdjustPolicy(policy)
        row.native.setMinimumContentsLength(8)
    elif isinstance(row, CheckBox):  # only sign and text react to a click
        row.native.parentWidget().layout().setAlignment(row.native, Qt.AlignmentFlag.AlignLeft)
    elif isinstance(row, RadioButtons):
        row.native.setStyleSheet(_PLAIN_GROUP)
    elif isinstance(row, FloatSlider):
        slider, number = (row.native.findChild(kind) for kind in (QSlider, QDoubleSpinBox))
        slider.setPageStep(10 * slider.singleStep())  # magicgui leaves it at nearly nothing
        number.setButtonSymbols(QDoubleSpinBox.ButtonSymbols.UpDownArrows)
        number.setStyleSheet(_PLAIN_NUMBER)


def align_labels(panel: QWidget) -> None:
    """Give the labels of all forms of a panel the same width.

    magicgui measures them in another font than that of napari, so this is done once the panel is
    in its window, and again for another font.
    """
    labels = panel.findChildren(QLabel, "magicgui.QLabel")
    width = max((label.sizeHint().width() for label in labels), default=0)
    for label in labels:
        label.setFixedWidth(width)


def insert_below(form: FunctionGui[..., Any], row: Widget, widget: QWidget) -> None:
    """Insert a Qt widget below a row of a form, as wide as the form."""
    line = row.native
    while line.parentWidget() is not form.native:  # a label shares the line
        line = line.parentWidget()
    layout = form.native.layout()
    layout.insertWidget(layout.indexOf(line) + 1, widget)


def add_beside(row: Widget, widget: QWidget) -> None:
    """Add a Qt widget at the end of a labelled row, no wider than it must be."""
    layout = row.native.parentWidget().layout()
    layout.setStretchFactor(row.native, 1)
    layout.addWidget(widget)
    last = row[-1] if isinstance(row, TupleEdit) else row
    QWidget.setTabOrder(last.native, widget)


def pairs(options: Sequence[Option]) -> list[tuple[str, Any]]:
    """Return texts and values, as magicgui takes them for ``choices``."""
    return [(text, value) for text, value, _tip in options]


def set_choices(row: ComboBox, options: Sequence[Option], default: Any = None) -> None:
    """Offer other choices in a combo box, in this order; ``changed`` is not emitted.

    The value stays if it is still offered; else it becomes ``default``, or the first.
    """
    box, offered = row.native, pairs(options)
    with row.changed.blocked():
        if [(box.itemText(at), box.itemData(at)) for at in range(box.count())] != offered:
            before = row.value
            row.choices = ()  # otherwise what stays would move ahead of what is new
            row.choices = lambda _row: offered
            values = row.choices
            if values:
                row.value = next((one for one in (before, default) if one in values), values[0])
    set_tips(row, options)


def show_value(row: ValueWidget, value: Any) -> None:
    """Show a value without emitting ``changed``; what a combo box does not offer is ignored."""
    if value in getattr(row, "choices", (value,)):
        with row.changed.blocked():
            row.value = value


def set_tips(row: ComboBox | RadioButtons, options: Sequence[Option]) -> None:
    """Give each choice its tooltip."""
    buttons = row.native.findChildren(QRadioButton)
    for number, (_text, _value, tip) in enumerate(options):
        if buttons:
            buttons[number].setToolTip(tip)
        else:
            row.native.setItemData(number, tip, Qt.ItemDataRole.ToolTipRole)
