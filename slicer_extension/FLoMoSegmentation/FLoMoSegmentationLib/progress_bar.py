"""Progress bars of all panels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_flomo.session import messages

if TYPE_CHECKING:
    from napari_flomo.session import Progress


def start(bar: Any) -> None:
    """Show that a run has started, before its length is known."""
    bar.setRange(0, 0)
    bar.setFormat("Starting…")


def show(bar: Any, progress: Progress) -> None:
    """Show the progress of a run."""
    bar.setRange(0, progress.total)
    bar.setValue(progress.done)
    bar.setFormat(messages.progress_text(progress))


def stop(bar: Any) -> None:
    """Show that a run is being cancelled."""
    bar.setFormat("Stopping…")
