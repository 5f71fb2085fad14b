"""Operations that PyTorch and inference engines do fast in different ways.

Run by PyTorch, each operation passes over its maps once, so one that does two things is better.
Traced, plain operations are better: engines fuse those that they recognise.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn


def multiply_add(base: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Return ``base + first * second``; shapes are broadcast."""
    if is_tracing():
        return first * second + base
    return torch.addcmul(base, first, second)


def in_float32(device: torch.device) -> AbstractContextManager[object]:
    """Return a context without mixed precision, whatever is on around it."""
    mixed = torch.is_autocast_enabled(device.type)
    return torch.autocast(device.type, enabled=False) if mixed else nullcontext()


def is_tracing() -> bool:
    """Tell whether the network is being recorded for another engine."""
    return bool(torch.jit.is_tracing())  # type: ignore[attr-defined]


def per_pixel(layer: nn.Module, maps: Tensor) -> Tensor:
    """Return what a 1x1 convolution returns.

    PyTorch's CPU library gathers the pixels of a map for it, or packs the weights anew each time;
    with channels last in memory it is one product of matrices.
    """
    assert isinstance(layer, nn.Conv2d)
    if is_tracing() or maps.device.type != "cpu":
        return layer(maps)
    last = F.linear(maps.permute(0, 2, 3, 1), layer.weight[:, :, 0, 0], layer.bias)
    return last.permute(0, 3, 1, 2)


def space_to_depth(maps: Tensor, side: int) -> Tensor:
    """Return ``(N, side ** 2, H / side, W / side)``: pixels of a block as channels, along rows.

    `F.pixel_unshuffle` does the same, but cannot be recorded for ONNX and any number of slices.

    Parameters
    ----------
    maps
        ``(N, 1, H, W)``.
    side
        Of a block; divides ``H`` and ``W``.
    """
    height, width = maps.shape[-2] // side, maps.shape[-1] // side
    split = maps.reshape(-1, height, side, width, side).permute(0, 2, 4, 1, 3)
    return split.reshape(-1, side**2, height, width)


def depth_to_space(maps: Tensor, side: int) -> Tensor:
    """Return ``(N, C, side * h, side * w)`` from ``(N, side ** 2 * C, h, w)``.

    The channels are counted by row of the block, then by column, then by ``C``. This is the order
    of operations that inference engines know as one.
    """
    channels, height, width = maps.shape[1] // side**2, *maps.shape[-2:]
    split = maps.reshape(-1, side, side, channels, height, width)
    return split.permute(0, 3, 4, 1, 5, 2).reshape(-1, channels, side * height, side * width)


def interleave(phases: list[Tensor]) -> Tensor:
    """Return the map ``(N, C, 2h, 2w)`` whose four phases ``(N, C, h, w)`` are given."""
    number, channels, height, width = phases[0].shape
    if is_tracing():
        return depth_to_space(torch.cat(phases, 1), 2)
    # Channels last in memory: two plain copies of rows.
    last = [phase.permute(0, 2, 3, 1) for phase in phases]
    rows = [torch.cat(last[first : first + 2], 3) for first in (0, 2)]  # (N, h, w, 2 C)
    both = torch.cat([row.flatten(2) for row in rows], 2)  # (N, h, 4 w C)
    return both.reshape(number, 2 * height, 2 * width, channels).permute(0, 3, 1, 2)
