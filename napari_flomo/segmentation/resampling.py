"""Linear resampling of whole images, or of a part with band matrices.

Interpolation along an axis is a product with a band matrix. Split into blocks it costs little more
than the band, and unused rows are skipped: restoring a field of view this way is several times
faster than resampling the whole image.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_BLOCK = 32
"""Rows of a block: smaller blocks mean more products, larger ones more zeros."""


def resize(images: Floats, size: tuple[int, int]) -> Floats:
    """Interpolate ``(N, C, rows, columns)`` to another size with the same extent.

    The outer edges of the image stay where they are. Antialiased if pixels grow along either axis.
    """
    before = images.shape[-2:]
    if before == size:
        return images
    smooth = any(new < old for new, old in zip(size, before, strict=True))
    rows, columns = (
        make_axis(old, new, smooth, 0, old) for old, new in zip(before, size, strict=True)
    )
    return resample(images, rows, columns)


@dataclass(frozen=True, eq=False)
class Axis:
    """Resampling of an axis, restricted to the influence of a stretch of it.

    Attributes
    ----------
    stretch
        The input pixels that have influence.
    reach
        The output pixels that depend on the stretch.
    taps
        The input pixels that ``reach`` depends on: the stretch and its neighbours.
    blocks
        Consecutive parts of ``reach``: input pixels, counted from the first of ``taps``, and their
        weights ``(output pixels, input pixels)``.
    """

    stretch: slice
    reach: slice
    taps: slice
    blocks: tuple[tuple[slice, Floats], ...]

    @property
    def width(self) -> int:
        """Number of taps."""
        taps: int = self.taps.stop - self.taps.start
        return taps

    def within(self, start: int) -> slice:
        """Return the position of the stretch in an array that begins at ``start``."""
        return slice(self.stretch.start - start, self.stretch.stop - start)


@lru_cache(maxsize=64)
def make_axis(before: int, after: int, smooth: bool, start: int, stop: int) -> Axis:
    """Return the resampling of the pixels ``start`` to ``stop`` of an axis.

    ``before`` and ``after`` are the lengths of the whole axis; ``smooth`` turns antialiasing on.
    """
    reach = _reached(before, after, start, stop)
    weights = _weights(before, after, smooth)
    found: list[tuple[int, Floats]] = []
    for first in range(reach.start, reach.stop, _BLOCK):
        block = weights[first : min(first + _BLOCK, reach.stop)]
        used = np.flatnonzero(block.any(0))
        found.append((int(used[0]), np.ascontiguousarray(block[:, used[0] : used[-1] + 1])))
    taps = slice(found[0][0], found[-1][0] + found[-1][1].shape[1])
    blocks = tuple(
        (slice(low - taps.start, low - taps.start + block.shape[1]), block) for low, block in found
    )
    return Axis(slice(start, stop), reach, taps, blocks)


def _reached(before: int, after: int, start: int, stop: int) -> slice:
    """Return the output pixels that may depend on a stretch of the input."""
    support = max(1.0, before / after)
    low = (start - support) * after / before
    high = (stop + support) * after / before
    return slice(max(0, int(low)), min(after, int(high) + 1))


def _weights(before: int, after: int, smooth: bool) -> Floats:
    """Return the weights ``(after, before)`` of all input pixels for every output pixel.

    A triangle around the centre of each output pixel, as wide as an output pixel where pixels grow
    and antialiasing is on, cut at the edges and normalised. PyTorch's bilinear ``interpolate``
    gives the same values.
    """
    scale = before / after
    width = max(scale, 1.0) if smooth else 1.0
    centres = (np.arange(after) + 0.5) * scale - 0.5
    if not smooth:  # beyond the outer pixels' centres their values continue
        centres = centres.clip(0, before - 1)
    weights = (1 - np.abs(np.arange(before) - centres[:, None]) / width).clip(0)
    return np.asarray(weights / weights.sum(1, keepdims=True), np.float32)


def resample(images: NDArray[Any], rows: Axis, columns: Axis) -> Floats:
    """Resample ``(N, C, rows, columns)``, the taps of both axes, to the reach of both axes."""
    images = np.asarray(images, np.float32)
    shape = (*images.shape[:2], rows.reach.stop - rows.reach.start)
    tall = np.empty((*shape, images.shape[3]), np.float32)
    start = 0
    for taps, weights in rows.blocks:
        stop = start + len(weights)
        np.matmul(weights, images[:, :, taps], out=tall[:, :, start:stop])
        start = stop
    wide = np.empty((*shape, columns.reach.stop - columns.reach.start), np.float32)
    start = 0
    for taps, weights in columns.blocks:
        stop = start + len(weights)
        np.matmul(tall[..., taps], weights.T, out=wide[..., start:stop])
        start = stop
    return wide
