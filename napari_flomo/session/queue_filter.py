"""What a user wants to review of an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Frames = Literal["phases", "all"]
States = Literal["all", "open"]


@dataclass(frozen=True)
class QueueFilter:
    """What a user wants to review.

    Attributes
    ----------
    frames
        ``"phases"``: end diastole and end systole, slice by slice; all frames of an image without
        them. ``"all"``: the most uncertain slice first.
    states
        ``"open"``: only slices that are not accepted are listed.
    structure
        Only slices with voxels of this label; None for all.
    """

    frames: Frames = "phases"
    states: States = "all"
    structure: int | None = None
