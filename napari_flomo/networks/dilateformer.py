"""DilateFormer: attention in dilated windows on fine maps, between all pixels on coarse ones.

Source: Jiao et al., "DilateFormer: Multi-Scale Dilated Transformer for Visual Recognition", IEEE
Transactions on Multimedia 2023, and its official code. FIAS uses it as its global branch.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from napari_flomo.networks.attention import SelfAttention, TokenNorm, to_maps, to_tokens

DILATIONS = (1, 2, 3)
EPS = 1e-6


class DilatedAttention(nn.Module):
    """Attention of each pixel to a 3x3 window; each third of the channels has its own dilation.

    As in the official code, keys and values beyond the border are zero and count in the softmax.
    ``heads`` must be a multiple of 3 and divide ``channels``.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        if heads % len(DILATIONS) or channels % heads:
            raise ValueError(
                f"{heads} heads must be a multiple of 3 and divide {channels} channels"
            )
        self.heads = heads // len(DILATIONS)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = nn.Linear(channels, channels)

    def forward(self, maps: Tensor) -> Tensor:
        """Map ``(N, channels, H, W)`` to the same shape."""
        size = (maps.shape[-2], maps.shape[-1])
        thirds = [part.chunk(len(DILATIONS), 1) for part in self.qkv(maps).chunk(3, 1)]
        views = [
            self._attend(query, key, value, dilation)
            for query, key, value, dilation in zip(*thirds, DILATIONS, strict=True)
        ]
        tokens = to_tokens(torch.cat(views, 1))
        return to_maps(self.out(tokens), size)

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, dilation: int) -> Tensor:
        """Return ``(N, C, H, W)`` from three maps of that shape."""
        heads = (query.shape[0], self.heads, -1)
        windows = [
            F.unfold(part, 3, dilation=dilation, padding=dilation).view(
                *heads, 9, part.shape[-2] * part.shape[-1]
            )
            for part in (key, value)
        ]
        asked = query.reshape(*heads, 1, windows[0].shape[-1])  # (N, heads, C, 1, H W)
        logits = (asked * windows[0]).sum(2, keepdim=True) * asked.shape[2] ** -0.5
        return (logits.softmax(3) * windows[1]).sum(3).reshape(query.shape)


class DilateFormerBlock(nn.Module):
    """Positional encoding, attention and an MLP, each with a shortcut."""

    def __init__(self, channels: int, attention: nn.Module, drop_path: float) -> None:
        super().__init__()
        self.position = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.norm1 = TokenNorm(channels, eps=EPS)
        self.attention = attention
        self.norm2 = TokenNorm(channels, eps=EPS)
        self.feed = nn.Sequential(
            nn.Conv2d(channels, 4 * channels, 1), nn.GELU(), nn.Conv2d(4 * channels, channels, 1)
        )
        self.drop = StochasticDepth(drop_path)

    def forward(self, maps: Tensor) -> Tensor:
        """Map ``(N, channels, H, W)`` to the same shape."""
        maps = maps + self.position(maps)
        maps = maps + self.drop(self.attention(self.norm1(maps)))
        return maps + self.drop(self.feed(self.norm2(maps)))


class StochasticDepth(nn.Module):
    """In training, skip a branch for random images and scale it up for the others."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, maps: Tensor) -> Tensor:
        """Map ``(N, C, H, W)`` to the same shape."""
        if not self.training or not self.probability:
            return maps
        kept = maps.new_empty(len(maps), 1, 1, 1).bernoulli_(1 - self.probability)
        return maps * kept / (1 - self.probability)


class DilateFormer(nn.Module):
    """Four stages at strides 4, 8, 16 and 32: two with windows, two with attention to all pixels.

    ``channels`` double from stage to stage; ``depths`` and ``heads`` are the blocks and attention
    heads of each. ``drop_path`` is the largest probability of `StochasticDepth`, which grows
    linearly from 0 along the blocks; for ``kv_tokens`` see `SelfAttention`.
    """

    def __init__(
        self,
        in_channels: int,
        channels: Sequence[int],
        *,
        depths: Sequence[int] = (2, 2, 6, 2),
        heads: Sequence[int] = (3, 6, 12, 24),
        kv_tokens: int | None = None,
        drop_path: float = 0.1,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = in_channels
        for features, stride in ((16, 1), (32, 2), (64, 1)):
            layers.append(nn.Conv2d(before, features, 3, stride, 1, bias=False))
            layers += [nn.BatchNorm2d(features), nn.GELU()]
            before = features
        self.embed = nn.Sequential(*layers, nn.Conv2d(before, channels[0], 3, 2, 1, bias=False))
        total = max(1, sum(depths) - 1)
        number = 0
        self.stages = nn.ModuleList()
        self.merges = nn.ModuleList()
        for stage, (features, depth, count) in enumerate(zip(channels, depths, heads, strict=True)):
            blocks = []
            for _ in range(depth):
                attention: nn.Module = (
                    DilatedAttention(features, count)
                    if stage < 2
                    else SelfAttention(features, count, kv_tokens)
                )
                blocks.append(DilateFormerBlock(features, attention, drop_path * number / total))
                number += 1
            self.stages.append(nn.Sequential(*blocks))
            if stage:
                merge = nn.Conv2d(channels[stage - 1], features, 3, 2, 1)
                self.merges.append(nn.Sequential(merge, nn.BatchNorm2d(features)))

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the map of each stage, finest first."""
        maps = self.embed(images)
        result: list[Tensor] = []
        for stage, blocks in enumerate(self.stages):
            maps = blocks(self.merges[stage - 1](maps) if stage else maps)
            result.append(maps)
        return result
