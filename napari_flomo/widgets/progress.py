"""How far work is, in words."""

from __future__ import annotations

from napari_flomo.session import Progress


def progress_text(progress: Progress) -> str:
    """Say how far work is."""
    if not progress.total:
        return progress.message or "Starting…"
    what = progress.message or "Working"
    left = "" if progress.seconds_left is None else f", {time_left(progress.seconds_left)} left"
    if progress.total > 100_000:  # bytes
        return f"{what}: {progress.done / 1e6:.1f} of {progress.total / 1e6:.1f} MB{left}"
    return f"{what}: {progress.done} of {progress.total}{left}"


def time_left(seconds: float) -> str:
    """Say how long something will take, no more exactly than it is known."""
    if seconds < 1:
        return "less than 1 s"
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
