"""What a crash left behind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Leftover:
    """A journal that no program has open.

    Attributes
    ----------
    folder
        For `replay`, `Journal.open` and `discard`.
    image_hash
        `identity` of its image.
    model
        Name of the model whose labels were corrected; empty when unknown.
    strokes
        How many changes of voxels it holds.
    last_change
        Seconds since 1970.
    """

    folder: Path
    image_hash: str
    model: str
    strokes: int
    last_change: float


def unfinished(parent: Path | None = None) -> list[Leftover]:
    """Return the journals that a crash left, the latest first.

    Journals that a living program has open, and such as hold no stroke, are left out; damaged ones
    too, unless their strokes can still be read.

    Parameters
    ----------
    parent
        Where to look; `journals_folder` by default.
    """
    raise NotImplementedError


def discard(folder: Path) -> None:
    """Remove a journal that nobody has open.

    Raises
    ------
    FlomoError
        If another program has it open or it cannot be removed.
    """
    raise NotImplementedError
