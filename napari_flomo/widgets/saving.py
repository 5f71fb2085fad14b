"""Where to save: the formats of the file dialog, and the question before a file is overwritten."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qtpy.QtWidgets import QApplication, QFileDialog, QMessageBox, QWidget

from napari_flomo.errors import FlomoError
from napari_flomo.segmentation import DICOM_SUFFIX
from napari_flomo.session import messages
from napari_flomo.volumes import with_ending

FORMATS = {
    "NIfTI (*.nii.gz *.nii)": ".nii.gz",
    "NRRD (*.nrrd)": ".nrrd",
    "MetaImage (*.mha)": ".mha",
    f"DICOM segmentation (*{DICOM_SUFFIX})": DICOM_SUFFIX,
}
"""Filters of the file dialog, and the ending that each adds to a name without one."""


def ask_where(parent: QWidget, name: str, *, dicom: bool = True) -> tuple[str, str]:
    """Ask for a file; return its path, empty if none was chosen, and the ending of its format.

    ``dicom`` offers DICOM segmentations, too.
    """
    filters = [one for one, ending in FORMATS.items() if dicom or ending != DICOM_SUFFIX]
    chosen, filter_ = QFileDialog.getSaveFileName(
        parent, "Save labels", name.replace("/", "-"), ";;".join(filters)
    )
    return chosen, FORMATS.get(filter_, next(iter(FORMATS.values())))


def complete(path: str, ending: str) -> Path:
    """Add an ending to a name without one; ask if the file exists, as its name was not typed.

    Raises `FlomoError` if it is not to be overwritten.
    """
    target = with_ending(path, ending)
    if target != Path(path):
        check_overwrite([target])
    return target


def check_overwrite(targets: Sequence[Path]) -> None:
    """Ask before files are overwritten; raise `FlomoError` if they are to be kept."""
    existing = [target.name for target in targets if target.exists()]
    if not existing or QApplication.instance() is None:
        return
    answer = QMessageBox.question(
        QApplication.activeWindow(), "Save labels", messages.replace_text(existing)
    )
    if answer != QMessageBox.StandardButton.Yes:
        raise FlomoError(messages.FILE_KEPT.format(existing[0]))
