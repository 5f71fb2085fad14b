"""Operations implemented differently for PyTorch and for traced graphs.

PyTorch reads its maps once for each operation, so fused operations are faster. Other runtimes fuse
by themselves, but only operations that they recognise, so a traced graph has plain ones.
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
    """Return a context in which mixed precision is off."""
    mixed = torch.is_autocast_enabled(device.type)
    return torch.autocast(device.type, enabled=False) if mixed else nullcontext()


def is_tracing() -> bool:
    """Return True while the network is being traced for another runtime."""
    return bool(torch.jit.is_tracing())  # type: ignore[attr-defined]


def per_pixel(layer: nn.Module, maps: Tensor) -> Tensor:
    """Apply a 1x1 convolution.

    On the CPU it is one matrix product over channels-last memory: PyTorch's convolution would
    gather the pixels or repack the weights on each call.
    """
    assert isinstance(layer, nn.Conv2d)
    if is_tracing() or maps.device.type != "cpu":
        return layer(maps)
    last = F.linear(maps.permute(0, 2, 3, 1), layer.weight[:, :, 0, 0], layer.bias)
    return last.permute(0, 3, 1, 2)


def interleave(phases: list[Tensor]) -> Tensor:
    """Return the map ``(N, C, 2h, 2w)`` with the given four phases ``(N, C, h, w)``."""
    number, channels, height, width = phases[0].shape
    if is_tracing():  # the order of operations that runtimes know as one, depth to space
        split = torch.cat(phases, 1).reshape(-1, 2, 2, channels, height, width)
        doubled = split.permute(0, 3, 4, 1, 5, 2)
        return doubled.reshape(-1, channels, 2 * height, 2 * width)
    # Channels last in memory: two contiguous copies of rows.
    last = [phase.permute(0, 2, 3, 1) for phase in phases]
    rows = [torch.cat(last[first : first + 2], 3) for first in (0, 2)]  # (N, h, w, 2 C)
    both = torch.cat([row.flatten(2) for row in rows], 2)  # (N, h, 4 w C)
    return both.reshape(number, 2 * height, 2 * width, channels).permute(0, 3, 1, 2)
