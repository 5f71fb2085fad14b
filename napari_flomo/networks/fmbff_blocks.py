"""The modules of FM-BFF-Net: focal modulation, transformer bridge, bidirectional fusion.

After "Focal Modulation and Bidirectional Feature Fusion Network for Medical Image Segmentation",
arXiv 2510.20933. There is no public code, and the text gives few widths and kernels. What the text
does not state is *inferred*, and docstrings say so. Maps are ``(N, C, H, W)``.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from napari_flomo.networks.attention import SelfAttention, TokenNorm, to_maps, to_tokens
from napari_flomo.networks.blocks import upsample_bilinear
from napari_flomo.networks.convolutions import conv_norm_relu, resize

Pool = Literal["global", "channel"]


class FocalModulation(nn.Module):
    """Gate a map by the difference of its mean and its peak (the paper's equation 11).

    ``gamma sigmoid(W relu(alpha (mean - peak)) + b) maps``. A mean never exceeds its peak, so with
    a positive ``alpha`` the ReLU would always return 0, and ``alpha`` and ``W`` would have no
    gradient.

    Inferred: that Re in the equation is a ReLU, that ``alpha`` is one number per channel, and that
    it starts at -1, which lets the gate learn.

    Parameters
    ----------
    channels
        Of the maps.
    pool
        ``"global"``: mean and peak over the pixels of each channel. ``"channel"``: over the
        channels of each pixel, as in a summary of the paper.
    """

    def __init__(self, channels: int, pool: Pool = "global") -> None:
        super().__init__()
        if pool not in ("global", "channel"):
            raise ValueError(f"pool must be 'global' or 'channel', not {pool!r}")
        self.over = (-2, -1) if pool == "global" else (1,)
        self.alpha = nn.Parameter(torch.full((1, channels, 1, 1), -1.0))
        self.mix = nn.Conv2d(channels, channels, 1)
        self.gamma = nn.Parameter(torch.ones(1))

    def forward(self, maps: Tensor) -> Tensor:
        """Return the gated maps."""
        apart = maps.mean(self.over, keepdim=True) - maps.amax(self.over, keepdim=True)
        return self.gamma * self.mix(F.relu(self.alpha * apart)).sigmoid() * maps


class FocalBlock(nn.Module):
    """Focal modulation between convolutions, on a skip (FMCAB).

    Inferred: two 3x3 convolutions, a 1x1 after the modulation, a shortcut around all but the first.
    """

    def __init__(self, channels: int, features: int, pool: Pool) -> None:
        super().__init__()
        self.enter = conv_norm_relu(channels, features)
        self.inner = conv_norm_relu(features, features)
        self.modulation = FocalModulation(features, pool)
        self.leave = conv_norm_relu(features, features, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """Map ``(N, channels, H, W)`` to ``(N, features, H, W)``."""
        maps = self.enter(maps)
        return maps + self.leave(self.modulation(self.inner(maps)))


class TransformerBridge(nn.Module):
    """Token attention and position attention, added to the map (ViTM).

    Inferred, after TransAttUnet whose terms the paper uses: ``maps + l1 TSA + l2 GSA`` with both
    weights starting at 0; TSA with eight heads and a learned positional encoding of ``side`` rows
    and columns, resized to the map; GSA without a scale, with queries and keys of an eighth of the
    channels.
    """

    def __init__(self, channels: int, heads: int = 8, side: int = 16) -> None:
        super().__init__()
        self.norm = TokenNorm(channels)
        self.position = nn.Parameter(torch.zeros(1, channels, side, side))
        nn.init.trunc_normal_(self.position, std=0.02)
        self.tokens = SelfAttention(channels, heads)
        self.query = nn.Conv2d(channels, channels // 8, 1)
        self.key = nn.Conv2d(channels, channels // 8, 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.token_weight = nn.Parameter(torch.zeros(1))
        self.position_weight = nn.Parameter(torch.zeros(1))

    def forward(self, maps: Tensor) -> Tensor:
        """Map ``(N, channels, H, W)`` to the same shape."""
        size = (maps.shape[-2], maps.shape[-1])
        tokens = self.tokens(self.norm(maps) + resize(self.position, size))
        query, key, value = (to_tokens(layer(maps)) for layer in (self.query, self.key, self.value))
        positions = to_maps(F.scaled_dot_product_attention(query, key, value, scale=1.0), size)
        return maps + self.token_weight * tokens + self.position_weight * positions


class BidirectionalFusion(nn.Module):
    """Fuses skip and decoder, each gated by both (BiFFM, the paper's equation 15).

    ``[i1 x1 x2, i2 x1 x2]``, where each gate sees its own input: 1x3 and 3x1 strips with shuffled
    channels, and the global mean. Inferred: that the strips run on the map and the mean is added to
    them, and that both inputs are first projected to one width.
    """

    def __init__(self, skip_channels: int, channels: int) -> None:
        super().__init__()
        self.project = nn.ModuleList(
            (conv_norm_relu(skip_channels, channels, 1), conv_norm_relu(channels, channels, 1))
        )
        self.gates = nn.ModuleList(StripGate(channels) for _ in self.project)

    def forward(self, skip: Tensor, maps: Tensor) -> Tensor:
        """Return ``(N, 2 channels, H, W)`` from two maps of one size."""
        streams = [layer(x) for layer, x in zip(self.project, (skip, maps), strict=True)]
        first, second = (gate(x).sigmoid() for gate, x in zip(self.gates, streams, strict=True))
        both = first * second
        return torch.cat([stream * both for stream in streams], 1)


class StripGate(nn.Module):
    """Gate logits from horizontal and vertical strips and the global mean."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.across = nn.Conv2d(channels, half, (1, 3), padding=(0, 1), bias=False)
        self.along = nn.Conv2d(channels, half, (3, 1), padding=(1, 0), bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.mean = nn.Conv2d(channels, channels, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """Map ``(N, channels, H, W)`` to logits of the same shape."""
        # Stacked in pairs, then flattened: a shuffle of channels in two groups.
        strips = torch.stack([self.across(maps), self.along(maps)], 2).flatten(1, 2)
        return self.norm(strips) + self.mean(maps.mean((-2, -1), keepdim=True))


class Refine(nn.Module):
    """Two 3x3 convolutions with a 1x1 shortcut, then upsampling if ``double`` (FRM).

    Inferred: kernels, shortcut, bilinear upsampling.
    """

    def __init__(self, channels: int, features: int, *, double: bool) -> None:
        super().__init__()
        self.doubles = double
        self.convolutions = nn.Sequential(
            conv_norm_relu(channels, features), conv_norm_relu(features, features)
        )
        self.shortcut = nn.Conv2d(channels, features, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """Map ``(N, channels, H, W)`` to ``(N, features, H, W)``, or twice the size."""
        maps = self.convolutions(maps) + self.shortcut(maps)
        return upsample_bilinear(maps) if self.doubles else maps
