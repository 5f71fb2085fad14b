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

from napari_flomo.networks.convolutions import average_down, conv_norm_relu, resize
from napari_flomo.networks.dct import dct_bank
from napari_flomo.networks.gates import ChannelMLP, weigh_channels
from napari_flomo.networks.operations import is_tracing

TOP16 = (
    (0, 0), (0, 1), (6, 0), (0, 5), (0, 2), (1, 0), (1, 2), (4, 0),
    (5, 0), (1, 6), (3, 0), (0, 4), (0, 6), (0, 3), (3, 5), (2, 2),
)  # fmt: skip
"""Row and column frequencies on a 7x7 grid, those that served best in FcaNet (ICCV 2021)."""

GRID = 7
"""Side of the grid on which `TOP16` counts; DCT sizes are multiples of it."""


CACHED = 2**18
"""Products that are made at once on a CPU, so that they stay in its cache: a megabyte."""


def dct_size(channels: int) -> int:
    """Return the side to which a stage of so many channels pools its maps before the transform.

    112 for 32 channels down to 7 for 512, whatever the size of the image, as the official table has
    it; other widths fall in between.
    """
    return GRID * max(1, 512 // channels)


class FrequencyAttention(nn.Module):
    """A gate per channel from its strengths at 16 frequencies (MFCA).

    Parameters
    ----------
    channels
        Of the maps.
    size
        Side of the DCT's basis images, a multiple of 7.
    """

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        self.size = size
        step = size // GRID
        self.frequencies = tuple((step * u, step * v) for u, v in TOP16)
        self.gate = ChannelMLP(channels, channels // 16, bias=False)

    def forward(self, maps: Tensor) -> Tensor:
        """Return ``maps`` weighted by channel."""
        pooled = average_down(maps, (self.size, self.size))
        # Also under mixed precision: a strength is a sum over thousands of pixels.
        pooled = pooled.to(torch.promote_types(pooled.dtype, torch.float32))
        bank = dct_bank(self.size, self.frequencies, pooled.dtype, pooled.device)
        mean = (pooled * bank.mean(0)).mean((-2, -1))
        highest, lowest = _extremes(pooled.flatten(2), bank.flatten(1))
        logits = sum(self.gate(value[:, :, None, None]) for value in (mean, highest, lowest))
        return weigh_channels(maps, logits)


def _extremes(pixels: Tensor, bank: Tensor) -> tuple[Tensor, Tensor]:
    """Return the largest and the smallest product with a basis image, averaged over the bank.

    The products are as many times as large as the maps as the bank has images: they are made in
    pieces, and for the gradient only the places of the extremes are remembered.

    Parameters
    ----------
    pixels
        ``(N, C, P)``.
    bank
        ``(K, P)``.

    Returns
    -------
    tuple of Tensor
        Each ``(N, C)``.
    """
    if is_tracing():  # pieces would count the slices of the trace
        whole = pixels[:, :, None] * bank  # (N, C, K, P)
        return whole.amax(-1).mean(2), whole.amin(-1).mean(2)
    rows = pixels.flatten(0, 1)
    piece = max(1, CACHED // bank.numel()) if rows.device.type == "cpu" else len(rows)
    learns = torch.is_grad_enabled() and rows.requires_grad
    highest, lowest = [], []
    with torch.no_grad():
        for part in rows.split(piece):
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
    """Return where along the last axis an extreme lies; numpy finds it sooner on the CPU."""
    if product.device.type == "cpu":
        return torch.from_numpy(getattr(product.numpy(), extreme)(-1))
    found: Tensor = getattr(product, extreme)(-1)
    return found


class Scale(nn.Module):
    """One scale of `MultiScaleAttention`: dilated convolution, then attention to both grounds.

    Background and foreground are weighed by ``alpha`` and ``beta``. Both start at 1, where the gate
    between them cancels out and gets no gradient; the first step parts them.
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
    """Attention by frequency and place at full, half and quarter resolution (MFMSA).

    Parameters
    ----------
    channels
        In and out; a multiple of 32.
    scales
        Number of scales, each at half the resolution of the one before and with a wider dilation.
    min_channels
        A scale works on ``channels / 2**scale`` channels, but at least so many.
    min_rows
        A scale whose map would have fewer rows stays at full resolution.
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
            # The official code asks the rows alone; a narrow image would not survive the pool.
            small = min(height, width) // factor < self.min_rows
            view = maps if small or not number else F.avg_pool2d(maps, factor)
            total = total + resize(scale(view), (height, width))
        return total / len(self.scales) + maps


class Views(NamedTuple):
    """Three views of one answer, each ``(N, K, H, W)`` logits.

    Attributes
    ----------
    region, distance, boundary
        Where the structure is, how deep inside it a pixel lies, where its edge runs.
    """

    region: Tensor
    distance: Tensor
    boundary: Tensor


class CascadedHeads(nn.Module):
    """Three heads that correct each other on the way up to full size (E-SDM).

    Each of distance and boundary sees where the one before it answered yes; then boundary helps
    distance and distance helps the region. What helps is added after a sigmoid, so that region and
    distance carry an offset between 0 and 1; the official code trains and reads them as they are.
    """

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.region = nn.Conv2d(channels, num_classes, 1)
        self.distance = nn.Conv2d(channels, num_classes, 1)
        self.boundary = nn.Conv2d(channels, num_classes, 1)

    def forward(self, maps: Tensor, size: tuple[int, int]) -> Views:
        """Return the three views of ``(N, channels, h, w)`` at a size."""
        region = self.region(maps)
        distance = self.distance(maps) * region.sigmoid()
        boundary = self.boundary(maps) * distance.sigmoid()
        boundary = resize(boundary, size, align_corners=True)
        distance = resize(distance, size, align_corners=True) + boundary.sigmoid()
        region = resize(region, size, align_corners=True) + distance.sigmoid()
        return Views(region, distance, boundary)
