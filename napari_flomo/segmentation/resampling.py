"""Linear resampling of whole images, or of a part with band matrices.

Interpolation along an axis is a product with a band matrix. Split into blocks it costs little more
than the band, and unused rows are skipped: restoring a field of view this way is several times
faster than resampling the whole image.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

_BLOCK = 32
"""Rows of a block. Smaller blocks mean many small products, larger ones many zeros."""


def resize(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Interpolate ``(N, C, rows, columns)`` to another size with the same extent.

    The outer edges of the image stay where they are. If pixels grow along either axis, antialiasing
    is used.
    """
    import torch.nn.functional as F  # noqa: N812

    before = tuple(images.shape[-2:])
    if before == size:
        return images
    # When upsampling, antialiasing changes nothing but is twenty times slower.
    smooth = any(new < old for new, old in zip(size, before, strict=True))
    return F.interpolate(images, size=size, mode="bilinear", antialias=smooth)


@dataclass(frozen=True, eq=False)
class Axis:
    """Resampling of an axis, restricted to the influence of a stretch of it.

    Attributes
    ----------
    stretch
        The pixels before resampling that have influence.
    reach
        The pixels after resampling that depend on the stretch.
    taps
        The pixels before resampling that ``reach`` depends on: the stretch and its neighbours.
    blocks
        Consecutive parts of ``reach``: input pixels, counted from the first of ``taps``, and their
        weights ``(pixels after, pixels before)``.
    """

    stretch: slice
    reach: slice
    taps: slice
    blocks: tuple[tuple[slice, Tensor], ...]

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

    Parameters
    ----------
    before, after
        Length of the whole axis, before and after resampling.
    smooth
        Whether to use antialiasing.
    start, stop
        The stretch, within the axis.
    """
    import torch

    # Cached tensors must also work with gradients.
    with torch.inference_mode(False), torch.no_grad():
        reach = _reached(before, after, start, stop)
        found: list[tuple[int, Tensor]] = []
        for first in range(reach.start, reach.stop, _BLOCK):
            last = min(first + _BLOCK, reach.stop)
            margin = 2 + before // after  # more than the support on either side
            low = max(0, first * before // after - margin)
            high = min(before, -(-last * before // after) + margin)
            weights = _weights(before, after, smooth, low, high)[first:last]
            used = weights.ne(0).any(0).nonzero()[:, 0]
            first_used, last_used = int(used[0]), int(used[-1]) + 1
            found.append((low + first_used, weights[:, first_used:last_used].contiguous()))
    taps = slice(found[0][0], found[-1][0] + found[-1][1].shape[1])
    blocks = tuple(
        (slice(low - taps.start, low - taps.start + weights.shape[1]), weights)
        for low, weights in found
    )
    return Axis(slice(start, stop), reach, taps, blocks)


def _reached(before: int, after: int, start: int, stop: int) -> slice:
    """Return the pixels after resampling that may depend on a stretch before."""
    support = max(1.0, before / after)
    low = (start - support) * after / before
    high = (stop + support) * after / before
    return slice(max(0, int(low)), min(after, int(high) + 1))


def _weights(before: int, after: int, smooth: bool, low: int, high: int) -> Tensor:
    """Return the weights of the pixels ``low`` to ``high`` for every pixel after resampling.

    They are the response of torch to single bright pixels, so both methods agree.
    """
    import torch
    import torch.nn.functional as F  # noqa: N812

    if before == after:
        return torch.eye(before)[:, low:high]
    spikes = torch.zeros(before, high - low)
    spikes[low:high] = torch.eye(high - low)
    size = (after, high - low)
    whole = F.interpolate(spikes[None, None], size=size, mode="bilinear", antialias=smooth)
    return whole[0, 0]


def resample(images: Tensor, rows: Axis, columns: Axis) -> Tensor:
    """Resample along both axes.

    Parameters
    ----------
    images
        ``(N, C, rows, columns)``, the taps of both axes, contiguous.
    rows, columns
        From `make_axis`.

    Returns
    -------
    Tensor
        ``(N, C, rows, columns)``, the reach of both axes.
    """
    import torch

    tall = [weights.to(images) @ images[:, :, taps] for taps, weights in rows.blocks]
    high = torch.cat(tall, 2)
    wide = [high[..., taps] @ weights.to(images).T for taps, weights in columns.blocks]
    return torch.cat(wide, 3)
