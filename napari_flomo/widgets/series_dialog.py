"""Dialog: which of several DICOM series to open."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_flomo.session import study_messages
from napari_flomo.volumes.dicom import SeveralSeries

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget


def ask_for_series(several: SeveralSeries) -> str | None:
    """Return the chosen series, as `napari_flomo.volumes.read` takes it; None to cancel.

    Raises
    ------
    SeveralSeries
        Where there is no window to ask in, as in a script.
    """
    from qtpy.QtWidgets import QInputDialog

    window = _window()
    if window is None:
        raise several
    names = [text for _, text in several.choices]
    text, accepted = QInputDialog.getItem(
        window, study_messages.SERIES_TITLE, study_messages.SERIES_QUESTION, names, 0, False
    )
    return several.choices[names.index(text)][0] if accepted else None


def _window() -> QWidget | None:
    from qtpy.QtWidgets import QApplication

    return QApplication.activeWindow() if QApplication.instance() is not None else None
