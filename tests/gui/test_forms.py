"""Forms that magicgui makes of a function or dataclass, and our changes to them."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest

pytest.importorskip("napari", reason="napari is not installed")

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QPushButton, QRadioButton, QVBoxLayout, QWidget

from napari_flomo.widgets.forms import (
    add_beside,
    align_labels,
    insert_below,
    make_form,
    pairs,
    set_choices,
    set_tips,
)

COLOURS = [("Red", "r", "As blood"), ("Green", "g", "As grass"), ("Blue", "b", "As the sky")]
SIZES = [("Small", 1, "At most 1 mm"), ("Large", 2, "More than 1 mm")]


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of a program.

    Parameters
    ----------
    colour
        Colour of the result.
    size
        Size of the result.
    folder
        Where the result goes.
    opacity
        Opacity of the result.
    """

    colour: Annotated[str, {"widget_type": "ComboBox", "choices": ()}]
    size: Annotated[int, {"widget_type": "RadioButtons", "choices": pairs(SIZES)}] = 1
    folder: Annotated[Path | None, {"mode": "d"}] = None
    opacity: Annotated[float, {"widget_type": "FloatSlider", "min": 0, "max": 1}] = 0.5


@pytest.fixture
def form(qapp: Any) -> Iterator[Any]:
    form = make_form(Options)
    set_choices(form.colour, COLOURS)
    set_tips(form.size, SIZES)
    window = QWidget()
    QVBoxLayout(window).addWidget(form.native)
    window.show()
    yield form
    window.close()


def test_a_form_makes_its_dataclass(form: Any) -> None:
    assert form() == Options("r")
    form.update(colour="g", folder="/tmp", opacity=0.25)
    assert form() == Options("g", 1, Path("/tmp"), 0.25)


def test_tooltips_come_from_the_docstring(form: Any) -> None:
    assert form.colour.native.toolTip() == "Colour of the result."
    assert form.folder.line_edit.native.toolTip() == "Where the result goes."
    parts = form.opacity.native.findChildren(QWidget)
    assert all(part.toolTip() == "Opacity of the result." for part in parts)
    tip = form.colour.native.itemData(1, Qt.ItemDataRole.ToolTipRole)
    assert tip == "As grass"
    buttons = form.size.native.findChildren(QRadioButton)
    assert [button.toolTip() for button in buttons] == ["At most 1 mm", "More than 1 mm"]


def test_other_choices(form: Any) -> None:
    received: list[Any] = []
    form.colour.changed.connect(received.append)
    form.update(colour="b")
    assert received == ["b"]
    set_choices(form.colour, [("White", "w", ""), *COLOURS[1:]])
    assert form.colour.choices == ("w", "g", "b")
    assert form.colour.value == "b"
    set_choices(form.colour, COLOURS[:2])
    assert form.colour.value == "r", "a choice that is gone is replaced by the first"
    assert received == ["b"]
    set_choices(form.colour, COLOURS[1:], default="b")
    assert form.colour.value == "b"


def test_insert_below(form: Any, qapp: Any) -> None:
    note = QLabel("note")
    insert_below(form, form.colour, note)
    qapp.processEvents()
    assert form.colour.native.mapTo(form.native, form.colour.native.rect().bottomLeft()).y() < (
        note.y()
    )
    assert note.y() < form.size.native.mapTo(form.native, form.size.native.rect().topLeft()).y()


def test_tab_goes_along_the_row(form: Any, qapp: Any) -> None:
    button = QPushButton("…")
    add_beside(form.colour, button)
    assert form.colour.native.nextInFocusChain() is button


def test_labels_have_one_width(form: Any, qapp: Any) -> None:
    window = form.native.window()
    align_labels(window)
    qapp.processEvents()
    fields = [form.colour.native, form.folder.native, form.opacity.native]
    assert len({field.mapTo(window, field.rect().topLeft()).x() for field in fields}) == 1
