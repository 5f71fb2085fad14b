"""The modules of MADGNet: frequency attention, multi-scale attention, cascaded heads.

Source: Nam et al., "Modality-agnostic Domain Generalizable Medical Image Segmentation by
Multi-Frequency in Multi-Scale Attention", CVPR 2024, and its official code. Maps are
``(N, C, H, W)`` throughout.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from napari_flomo.networks.convolutions import adaptive_average_pool, conv_norm_relu, resize
from napari_flomo.networks.dct import dct_bank
from napari_flomo.networks.gates import ChannelMLP, apply_gate
from napari_flomo.networks.operations import is_tracing

TOP16 = (
    (0, 0), (0, 1), (6, 0), (0, 5), (0, 2), (1, 0), (1, 2), (4, 0),
    (5, 0), (1, 6), (3, 0), (0, 4), (0, 6), (0, 3), (3, 5), (2, 2),
)  # fmt: skip
"""Row and column frequencies on a 7x7 grid that performed best in FcaNet (ICCV 2021)."""

GRID = 7
"""Side of the grid of `TOP16`; DCT sizes are multiples of it."""


CACHED = 2**18
"""Products computed at once on a CPU: a megabyte, which fits into its cache."""


def dct_size(channels: int) -> int:
    """Return the side to which a stage with this many channels pools its maps for the DCT.

    From 112 for 32 channels to 7 for 512, for any image size, as in the official table.
    """
    return GRID * max(1, 512 // channels)


class FrequencyAttention(nn.Module):
    """A channel gate computed from 16 frequencies (MFCA).

    ``size`` is the side of the DCT's basis images, a multiple of 7.
    """

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        self.size = size
        step = size // GRID
        self.frequencies = tuple((step * u, step * v) for u, v in TOP16)
        self.gate = ChannelMLP(channels, channels // 16, bias=False)

    def forward(self, maps: Tensor) -> Tensor:
        """Return the maps gated by channel."""
        pooled = adaptive_average_pool(maps, (self.size, self.size))
        # Also under mixed precision: the values are sums over thousands of pixels.
        pooled = pooled.to(torch.promote_types(pooled.dtype, torch.float32))
        bank = dct_bank(self.size, self.frequencies, pooled.dtype, pooled.device)
        mean = (pooled * bank.mean(0)).mean((-2, -1))
        highest, lowest = _extremes(pooled.flatten(2), bank.flatten(1))
        logits = sum(self.gate(value[:, :, None, None]) for value in (mean, highest, lowest))
        return apply_gate(maps, logits)


def _extremes(pixels: Tensor, bank: Tensor) -> tuple[Tensor, Tensor]:
    """Return the largest and smallest product with each basis image, averaged over the bank.

    The products of pixels ``(N, C, P)`` and bank ``(K, P)`` take K times the memory of the maps, so
    they are computed in chunks, and only the positions of the extremes are kept for the gradient.
    Both results are ``(N, C)``.
    """
    if is_tracing():  # the number of chunks would be fixed in the graph
        whole = pixels[:, :, None] * bank  # (N, C, K, P)
        return whole.amax(-1).mean(2), whole.amin(-1).mean(2)
    rows = pixels.flatten(0, 1)
    chunk = max(1, CACHED // bank.numel()) if rows.device.type == "cpu" else len(rows)
    learns = torch.is_grad_enabled() and rows.requires_grad
    highest, lowest = [], []
    with torch.no_grad():
        for part in rows.split(chunk):
            product = part[:, None] * bank  # (rows, K, P)
            highest.append(_place(product, "argmax") if learns else product.amax(-1))
            lowest.append(_place(product, "argmin") if learns else product.amin(-1))
    which = torch.arange(len(bank), device=bank.device)
    result = []
    for found in (torch.cat(highest), torch.cat(lowest)):
        values = rows.gather(1, found) * bank[which, found] if learns else found
        result.append(values.mean(1).unflatten(0, pixels.shape[:2]))
    return result[0], result[1]


def _place(product: Tensor, extreme: Literal["argmax", "argmin"]) -> Tensor:
    """Return the position of an extreme along the last axis; numpy is faster on the CPU."""
    if product.device.type == "cpu":
        return torch.from_numpy(getattr(product.numpy(), extreme)(-1))
    found: Tensor = getattr(product, extreme)(-1)
    return found


class Scale(nn.Module):
    """One scale of `MultiScaleAttention`: dilated convolution, then attention to both grounds.

    ``alpha`` and ``beta`` are the weights of background and foreground. Both start at 1, where the
    gate between them cancels out and has no gradient; after the first step they differ.
    """

    def __init__(self, channels: int, features: int, dilation: int) -> None:
        super().__init__()
        self.reach = conv_norm_relu(channels, channels, dilation=dilation, groups=32)
        self.squeeze = conv_norm_relu(channels, features, 1)
        self.frequency = FrequencyAttention(features, dct_size(channels))
        self.foreground = nn.Conv2d(features, 1, 1, bias=False)
        self.alpha = nn.Parameter(torch.ones(1))
        self.beta = nn.Parameter(torch.ones(1))
        self.widen = conv_norm_relu(features, channels)

    def forward(self, maps: Tensor) -> Tensor:
        """Map ``(N, channels, H, W)`` to the same shape."""
        maps = self.frequency(self.squeeze(self.reach(maps)))
        share = self.foreground(maps).sigmoid()
        return self.widen(maps * ((1 - share) * self.alpha + share * self.beta))


class MultiScaleAttention(nn.Module):
    """Frequency and spatial attention at full, half and quarter resolution (MFMSA).

    Each scale has half the resolution of the one before, a larger dilation and ``channels /
    2**scale`` channels, but at least ``min_channels``. A scale whose map would have fewer than
    ``min_rows`` rows stays at full resolution. ``channels`` must be a multiple of 32.
    """

    def __init__(
        self, channels: int, scales: int = 3, min_channels: int = 32, min_rows: int = 8
    ) -> None:
        super().__init__()
        self.min_rows = min_rows
        self.scales = nn.ModuleList(
            Scale(channels, max(channels // 2**s, min_channels), dilation=1 + s)
            for s in range(scales)
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Map ``(N, channels, H, W)`` to the same shape."""
        height, width = maps.shape[-2:]
        total = torch.zeros_like(maps)
        for number, scale in enumerate(self.scales):
            factor = 2**number
            # The official code checks rows only, and fails for narrow images.
            small = min(height, width) // factor < self.min_rows
            view = maps if small or not number else F.avg_pool2d(maps, factor)
            total = total + resize(scale(view), (height, width))
        return total / len(self.scales) + maps


class Views(NamedTuple):
    """Logits ``(N, K, H, W)`` of the structure, of the distance to its edge, and of its edge."""

    region: Tensor
    distance: Tensor
    boundary: Tensor


class CascadedHeads(nn.Module):
    """Three heads that correct each other on the way to full size (E-SDM).

    Distance is masked by region and boundary by distance; then boundary is added to distance and
    distance to region, each after a sigmoid. Region and distance thus have an offset between 0 and
    1; the official code trains and uses them so.
    """

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.region = nn.Conv2d(channels, num_classes, 1)
        self.distance = nn.Conv2d(channels, num_classes, 1)
        self.boundary = nn.Conv2d(channels, num_classes, 1)

    def forward(self, maps: Tensor, size: tuple[int, int]) -> Views:
        """Return the three results for ``(N, channels, h, w)`` at a size."""
        region = self.region(maps)
        distance = self.distance(maps) * region.sigmoid()
        boundary = self.boundary(maps) * distance.sigmoid()
        boundary = resize(boundary, size, align_corners=True)
        distance = resize(distance, size, align_corners=True) + boundary.sigmoid()
        region = resize(region, size, align_corners=True) + distance.sigmoid()
        return Views(region, distance, boundary)
