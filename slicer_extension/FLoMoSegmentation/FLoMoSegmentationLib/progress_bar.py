"""Progress bars, in every panel alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_flomo.session.messages import progress_text

if TYPE_CHECKING:
    from napari_flomo.jobs import Progress


def begin(bar: Any) -> None:
    """Show that work starts, before anybody knows how much it is."""
    bar.setRange(0, 0)
    bar.setFormat("Starting…")


def show(bar: Any, progress: Progress) -> None:
    """Show how far work is."""
    bar.setRange(0, progress.total)
    bar.setValue(progress.done)
    bar.setFormat(progress_text(progress))


def stop(bar: Any) -> None:
    """Show that work was asked to end, and will within a second."""
    bar.setFormat("Stopping…")
