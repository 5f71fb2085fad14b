"""What a journal says: the labels as they were after the last stroke."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_flomo.volumes import Volume


@dataclass(frozen=True, eq=False)
class Replay:
    """A journal read back.

    Attributes
    ----------
    image
        The image that was corrected.
    proposed
        The labels of the network.
    labels
        The labels after the last good stroke.
    strokes
        How many changes of voxels the journal holds (since the last compaction, and before).
    accepted
        Slices that were accepted: ``(frame, slice)``.
    locked
        Codes of the labels that were finished.
    image_hash
        `identity` of the image.
    about
        What was noted at the start: model, card hash, names of the codes, versions.
    last_change
        Seconds since 1970 of the last stroke, or of the start.
    lost
        One sentence when a torn or damaged end was left out, else None.
    """

    image: Volume
    proposed: Volume
    labels: Volume
    strokes: int
    accepted: frozenset[tuple[int, int]]
    locked: frozenset[int]
    image_hash: str
    about: Mapping[str, Any]
    last_change: float
    lost: str | None


def replay(folder: Path) -> Replay:
    """Read a journal without changing it.

    Parameters
    ----------
    folder
        Of the journal.

    Raises
    ------
    FlomoError
        If the folder holds no journal, or its image or labels cannot be read.
    """
    raise NotImplementedError
