"""The modules of FIAS: local branch, global branch, their fusion, the mixing decoder.

Source: Liu, Xu, Ho, "FIAS: Feature Imbalance-Aware Medical Image Segmentation with Dynamic Fusion
and Mixing Attention", ISBI 2025, and the first author's public re-creation of it. Maps are
``(N, C, H, W)`` throughout.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from napari_flomo.networks.attention import SelfAttention, TokenNorm
from napari_flomo.networks.convolutions import (
    DepthwiseConv2d,
    adaptive_average_pool,
    conv_norm_relu,
    resize,
)
from napari_flomo.networks.gates import ChannelMLP, apply_gate


class MultiKernel(nn.Module):
    """The sum of a 3x3 convolution and of depthwise 5x5 and 7x7 ones of its result (DMK)."""

    def __init__(self, channels: int, features: int) -> None:
        super().__init__()
        self.local = conv_norm_relu(channels, features)
        self.medium = DepthwiseConv2d(features, 5, bias=False)
        self.wide = DepthwiseConv2d(features, 7, bias=False)
        self.norm = nn.BatchNorm2d(features)
        self.mix = conv_norm_relu(features, features, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """Map ``(N, channels, H, W)`` to ``(N, features, H, W)``."""
        local = self.local(maps)
        return self.mix(self.norm(local + self.medium(local) + self.wide(local)))


class LocalBranch(nn.Module):
    """Fine detail: convolutions and a `MultiKernel` at each of four resolutions.

    ``strides`` are those of the first convolution, then of each stage.
    """

    def __init__(self, in_channels: int, channels: Sequence[int], strides: Sequence[int]) -> None:
        super().__init__()
        self.stem = conv_norm_relu(in_channels, channels[0], stride=strides[0])
        self.stages = nn.ModuleList()
        before = channels[0]
        for features, stride in zip(channels, strides[1:], strict=True):
            self.stages.append(
                nn.Sequential(
                    conv_norm_relu(before, features, stride=stride),
                    conv_norm_relu(features, features),
                    MultiKernel(features, features),
                )
            )
            before = features

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the map of each stage, finest first."""
        maps = self.stem(images)
        result = []
        for stage in self.stages:
            maps = stage(maps)
            result.append(maps)
        return result


class DilatedBlock(nn.Module):
    """A dilated depthwise convolution and a 1x1, with a shortcut."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.depthwise = DepthwiseConv2d(channels, 3, dilation, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.pointwise = conv_norm_relu(channels, channels, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """Map ``(N, channels, H, W)`` to the same shape."""
        return maps + self.pointwise(self.norm(self.depthwise(maps)))


class AttentionBlock(nn.Module):
    """Self-attention after a batch norm, then two 1x1 convolutions, each with a shortcut."""

    def __init__(self, channels: int, heads: int, kv_tokens: int | None) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.attention = SelfAttention(channels, heads, kv_tokens)
        self.feed = nn.Sequential(
            nn.Conv2d(channels, 4 * channels, 1), nn.GELU(), nn.Conv2d(4 * channels, channels, 1)
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Map ``(N, channels, H, W)`` to the same shape."""
        maps = maps + self.attention(self.norm(maps))
        return maps + self.feed(maps)


class GlobalBranch(nn.Module):
    """Large receptive field: two stages of dilated convolutions, two of self-attention.

    ``first_stride`` is the stride of the first stage; the others halve the resolution.
    """

    def __init__(
        self, in_channels: int, channels: Sequence[int], first_stride: int, kv_tokens: int | None
    ) -> None:
        super().__init__()
        self.stages = nn.ModuleList()
        before = in_channels
        for number, features in enumerate(channels):
            kernel, stride = (3, 2) if number else (7, first_stride)
            embed = nn.Sequential(
                nn.Conv2d(before, features, kernel, stride, kernel // 2, bias=False),
                nn.BatchNorm2d(features),
            )
            blocks: list[nn.Module] = (
                [DilatedBlock(features, dilation) for dilation in (1, 2)]
                if number < 2
                else [AttentionBlock(features, (4, 8)[number - 2], kv_tokens) for _ in range(2)]
            )
            self.stages.append(nn.Sequential(embed, *blocks))
            before = features

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the map of each stage, finest first."""
        result = []
        maps = images
        for stage in self.stages:
            maps = stage(maps)
            result.append(maps)
        return result


class ContextFusion(nn.Module):
    """Fuses a local and a global map with a channel gate, then a pixel gate (CAF)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(2 * channels, channels, 1, bias=False)
        self.channel_gate = ChannelMLP(channels, max(channels // 2, 8), bias=True)
        self.pixel_gate = nn.Conv2d(channels, 1, 1)
        self.out = conv_norm_relu(channels, channels)

    def forward(self, local: Tensor, whole: Tensor) -> Tensor:
        """Fuse two maps ``(N, channels, H, W)`` into one."""
        maps = self.reduce(torch.cat([local, whole], 1))
        maps = apply_gate(maps, self.channel_gate(maps.mean((-2, -1), keepdim=True)))
        return self.out(apply_gate(maps, self.pixel_gate(maps)))


class MonteCarloAttention(nn.Module):
    """A pixel gate computed from the channel mean, pooled to a coarse grid (MCA).

    In training the grid is drawn at random for each image: 3x3, 2x2 or 1x1. (The public code draws
    one for the whole batch, and not from PyTorch's generator, so seeds have no effect.) In
    evaluation all three are averaged, so the result is deterministic.

    Attributes
    ----------
    sampling
        Whether to draw in evaluation, too; see `stochastic_forward`.
    drawn
        Index of the grid to use for all images; None for the rules above.
    """

    GRIDS = (3, 2, 1)

    def __init__(self) -> None:
        super().__init__()
        self.sampling = False
        self.drawn: int | None = None
        self.gate = nn.Conv2d(1, 1, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """Return the gate's logits ``(N, 1, H, W)`` for maps ``(N, C, H, W)``."""
        mean = maps.mean(1, keepdim=True)
        size = (maps.shape[-2], maps.shape[-1])
        views = [resize(adaptive_average_pool(mean, (grid, grid)), size) for grid in self.GRIDS]
        if self.drawn is not None:
            return self.gate(views[self.drawn])
        stack = torch.stack(views, 1)  # (N, 3, 1, H, W)
        if self.training or self.sampling:
            drawn = torch.randint(len(views), (len(maps),), device=maps.device)
            return self.gate(stack[torch.arange(len(maps), device=maps.device), drawn])
        return self.gate(stack.mean(1))


class MixingBlock(nn.Module):
    """A decoder stage: skip, self-attention and Monte Carlo attention (MixAtt)."""

    def __init__(
        self, channels: int, skip: int, features: int, heads: int, kv_tokens: int | None
    ) -> None:
        super().__init__()
        self.enter = nn.Sequential(
            conv_norm_relu(channels + skip, features),
            nn.Dropout2d(0.1),
            conv_norm_relu(features, features),
        )
        self.norm = TokenNorm(features)
        self.attention = SelfAttention(features, heads, kv_tokens)
        self.monte_carlo = MonteCarloAttention()
        self.leave = conv_norm_relu(features, features)

    def forward(self, maps: Tensor, skip: Tensor) -> tuple[Tensor, Tensor]:
        """Return features at the size of the skip, and the logits of the Monte Carlo gate."""
        maps = resize(maps, (skip.shape[-2], skip.shape[-1]))
        maps = self.enter(torch.cat([maps, skip], 1))
        gate = self.monte_carlo(maps)
        return self.leave(maps + self.attention(self.norm(maps)) + apply_gate(maps, gate)), gate
