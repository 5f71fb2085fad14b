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
"""Rows of a block: smaller blocks mean more products, larger ones more zeros."""


def resize(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Interpolate ``(N, C, rows, columns)`` to another size with the same extent.

    The outer edges of the image stay where they are. Antialiased if pixels grow along either axis.
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

    ``before`` and ``after`` are the lengths of the whole axis; ``smooth`` turns antialiasing on.
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
    """Return the output pixels that may depend on a stretch of the input."""
    support = max(1.0, before / after)
    low = (start - support) * after / before
    high = (stop + support) * after / before
    return slice(max(0, int(low)), min(after, int(high) + 1))


def _weights(before: int, after: int, smooth: bool, low: int, high: int) -> Tensor:
    """Return the weights of the input pixels ``low`` to ``high`` for every output pixel.

    They are torch's response to single bright pixels, so both methods agree.
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
    """Resample ``(N, C, rows, columns)``, the taps of both axes, to the reach of both axes."""
    import torch

    tall = [weights.to(images) @ images[:, :, taps] for taps, weights in rows.blocks]
    high = torch.cat(tall, 2)
    wide = [high[..., taps] @ weights.to(images).T for taps, weights in columns.blocks]
    return torch.cat(wide, 3)
