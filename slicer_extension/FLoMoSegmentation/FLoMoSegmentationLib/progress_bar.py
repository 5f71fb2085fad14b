"""Progress bars of all panels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_flomo.session.messages import progress_text

if TYPE_CHECKING:
    from napari_flomo.jobs import Progress


def begin(bar: Any) -> None:
    """Show that work starts; its total is not known yet."""
    bar.setRange(0, 0)
    bar.setFormat("Starting…")


def show(bar: Any, progress: Progress) -> None:
    """Show the progress."""
    bar.setRange(0, progress.total)
    bar.setValue(progress.done)
    bar.setFormat(progress_text(progress))


def stop(bar: Any) -> None:
    """Show that work was cancelled and will end within a second."""
    bar.setFormat("Stopping…")
