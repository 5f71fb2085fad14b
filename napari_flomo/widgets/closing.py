"""Ask before a window closes with labels that were never saved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QMessageBox, QWidget

from napari_flomo.errors import FlomoError
from napari_flomo.session import give_up, labels_at_risk, unsaved_messages
from napari_flomo.widgets import saving
from napari_flomo.widgets.writer import write_layer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_flomo.session import OpenImage
    from napari_flomo.session.worklist import Studies
    from napari_flomo.widgets.napari_adapter import NapariAdapter
    from napari_flomo.widgets.viewer_images import ViewerImages

SAVE, DISCARD, STAY = "save", "discard", "stay"


def ask(window: QWidget, names: Sequence[str]) -> str:
    """Ask what to do with the labels of images; return `SAVE`, `DISCARD` or `STAY`."""
    box = QMessageBox(window)
    box.setIcon(QMessageBox.Icon.Warning)
    box.setWindowTitle(unsaved_messages.CLOSING_TITLE)
    box.setText(unsaved_messages.closing_text(names))
    box.setInformativeText(unsaved_messages.CLOSING_HINT)
    answers = {}
    for answer, (title, tip), role in (
        (SAVE, unsaved_messages.CLOSING_SAVE, QMessageBox.ButtonRole.AcceptRole),
        (DISCARD, unsaved_messages.CLOSING_DISCARD, QMessageBox.ButtonRole.DestructiveRole),
        (STAY, unsaved_messages.CLOSING_STAY, QMessageBox.ButtonRole.RejectRole),
    ):
        button = box.addButton(title, role)
        button.setToolTip(tip)
        answers[button] = answer
        if answer == SAVE:
            box.setDefaultButton(button)
    box.exec()
    return answers.get(box.clickedButton(), STAY)


def may_close(
    images: ViewerImages, adapter: NapariAdapter, studies: Studies | None, window: QWidget
) -> bool:
    """Return True if the window may close: nothing is lost, or the user has decided.

    Labels of a study are saved where its work list saves them, without a question if that was
    answered before.
    """
    for entry in images.entries:
        if entry.key is not None:
            adapter.read_labels(entry.key)
    try:
        if studies is not None:
            studies.save_on_closing()
        at_risk = labels_at_risk(images.session)
        if not at_risk:
            return True
        answer = ask(window, [image.name for image in at_risk])
        if answer == SAVE:
            return all(_save(images, adapter, image, window) for image in at_risk)
        if answer == DISCARD:
            give_up(at_risk)  # Qt may report that the window closes more than once
        return answer == DISCARD
    except FlomoError as error:
        images.post_message(str(error), "error")
        return False


def _save(images: ViewerImages, adapter: NapariAdapter, image: OpenImage, window: QWidget) -> bool:
    """Ask for a file and write the labels of an image; return False if the user cancels."""
    entry = images.entry_with(image.key)
    if entry is None or entry.labels is None:
        adapter.show_slices(image.key)  # adds labels that were deleted
        entry = images.entry_with(image.key)
    assert entry is not None
    assert entry.labels is not None
    path, ending = saving.ask_where(window, f"{image.name}_labels", dicom=False)
    if path:
        data, meta, _kind = entry.labels.as_layer_data_tuple()
        write_layer(saving.complete(path, ending), data, meta)
    return bool(path)
