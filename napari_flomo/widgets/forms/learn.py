"""Forms of the Learn panel: alias, corrections, base model, replay and reference data."""

# No `from __future__ import annotations`: magicgui reads the hints.
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from magicgui.widgets import FunctionGui
from qtpy.QtWidgets import QPushButton

from napari_flomo.session.learning import FinetuneConfig
from napari_flomo.widgets.forms.form import make_form

_FOLDER = {"widget_type": "FileEdit", "mode": "d", "nullable": True}
_EMPTY = {"replay": "none: distillation instead", "reference": "packaged with the model"}


@dataclass(frozen=True, kw_only=True)
class CorrectionOptions:
    """How accepted slices are kept.

    Parameters
    ----------
    reader
        An alias that stands for you in the store of corrections: letters and digits
    keep_corrections
        Keep a copy of every image with its accepted slices in the store of corrections on this
        computer; without names, dates and folders
    """

    reader: Annotated[str, {"label": "Your alias"}] = "reader"
    keep_corrections: Annotated[bool, {"label": "Keep accepted slices"}] = True


def make_finetune_form(store: str) -> FunctionGui[..., FinetuneConfig]:
    """Return the form of a `FinetuneConfig` without device and settings, for a store."""
    form = make_form(
        FinetuneConfig,
        base={"label": "Base model", "widget_type": "ComboBox", "choices": ()},
        store={"bind": store},
        replay={"label": "Replay", **_FOLDER},
        reference={"label": "Reference", **_FOLDER},
        device={"bind": "auto"},
        settings={"bind": None},
    )
    for name, text in _EMPTY.items():
        form[name].line_edit.native.setPlaceholderText(text)
    return form


def on_folder_chosen(
    form: FunctionGui[..., FinetuneConfig], name: str, action: Callable[[], None]
) -> None:
    """Call ``action`` when a folder was typed or chosen; not with every key."""
    row = form[name]
    row.line_edit.native.editingFinished.connect(action)
    chooser: QPushButton = row.choose_btn.native
    chooser.clicked.connect(lambda _checked=False: action())
