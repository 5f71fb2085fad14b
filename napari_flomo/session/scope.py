"""What part of an image a run covers."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_flomo.errors import FlomoError
from napari_flomo.session.review import SliceIndex
from napari_flomo.volumes import Volume


@dataclass(frozen=True)
class Scope:
    """The slices and frames of an image that a run covers.

    Parameters
    ----------
    slices, frames
        Indices counted from 0; None for all.
    """

    slices: tuple[int, ...] | None = None
    frames: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        for name in ("slices", "frames"):
            chosen = getattr(self, name)
            if chosen is not None:
                object.__setattr__(self, name, tuple(sorted({int(index) for index in chosen})))

    @classmethod
    def of_choice(cls, choice: str, index: SliceIndex, n_frames: int) -> Scope:
        """Return the scope of a choice in a panel: ``"slice"``, ``"stack"`` or ``"all"``.

        ``index`` is the slice on the screen; a stack is all slices of its frame.
        """
        frames = (index.frame,) if choice != "all" and n_frames > 1 else None
        return cls((index.slice,) if choice == "slice" else None, frames)

    def covers(self, volume: Volume) -> bool:
        """Return True if all slices of a volume are in the scope."""
        return bool(self.mask(volume.n_frames, volume.n_slices).all())

    def without(self, slices: Collection[SliceIndex], volume: Volume) -> Scope:
        """Return the smallest scope with all slices of this one but the given ones.

        Raises `FlomoError` if none is left.
        """
        mask = self.mask(volume.n_frames, volume.n_slices)
        for index in slices:
            mask[index] = False
        if not mask.any():
            raise FlomoError("Every slice of this part is to be kept; nothing is left to segment.")
        in_slices, in_frames = mask.any(axis=0), mask.any(axis=1)
        return Scope(
            None if in_slices.all() else tuple(np.flatnonzero(in_slices).tolist()),
            None if in_frames.all() else tuple(np.flatnonzero(in_frames).tolist()),
        )

    def mask(self, n_frames: int, n_slices: int) -> NDArray[np.bool_]:
        """Return the scope as booleans ``(frames, slices)``.

        Raises
        ------
        FlomoError
            If it is empty or reaches beyond the image.
        """
        frames = _flags(self.frames, n_frames, "frame")
        slices = _flags(self.slices, n_slices, "slice")
        return frames[:, np.newaxis] & slices


def _flags(chosen: Iterable[int] | None, length: int, noun: str) -> NDArray[np.bool_]:
    if chosen is None:
        return np.ones(length, bool)
    indices = list(chosen)
    if not indices:
        raise FlomoError(f"No {noun} was chosen; choose at least one.")
    for index in indices:
        if not 0 <= index < length:
            raise FlomoError(f"There is no {noun} {index}: the image has {length}, counted from 0.")
    flags = np.zeros(length, bool)
    flags[indices] = True
    return flags
