"""LoGo-MoE rewritten for inference: the same values from fewer operations and less memory traffic.

The input of a decoder stage is upsampled twofold by nearest neighbours, so each tap of a depthwise
kernel reads a pixel of the small map, and taps that read the same pixel can be added. These experts
therefore run on the small map, once for each of the four phases (even or odd row, even or odd
column); an expert with an even dilation gives the same value in all phases and runs once.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import repeat
from typing import Any, cast

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from napari_flomo.networks.blocks import Expert, global_average, pointwise
from napari_flomo.networks.convolutions import DepthwiseConv2d
from napari_flomo.networks.flomo_blocks import LoGoMoE, routing_weights
from napari_flomo.networks.folding import fold_norm, scale_and_shift, with_weights
from napari_flomo.networks.operations import interleave, is_tracing, multiply_add, per_pixel

PHASES = ((0, 0), (0, 1), (1, 0), (1, 1))
"""Row and column offsets of the four upsampled pixels of a pixel."""


def taps_on_small_map(kernel: int, dilation: int, phase: int) -> list[int]:
    """Return which pixel of the small map each tap reads along one axis, relative to its own.

    ``kernel`` and ``dilation`` are those of a centred convolution on the upsampled map; ``phase``
    is 0 for its even rows (or columns) and 1 for odd ones.
    """
    reach = dilation * (kernel - 1) // 2
    return [(phase + dilation * tap - reach) // 2 for tap in range(kernel)]


class PhaseDepthwise(DepthwiseConv2d):
    """One phase of a depthwise convolution on the upsampled map, computed on the small map.

    The kernel is centred and filled up with zeros, because PyTorch copies the map to pad one side.
    Other runtimes need no copy, so a traced kernel is cropped. The bias of ``plain`` is left out,
    see `biased_pointwise`.
    """

    taps: Tensor

    def __init__(self, plain: nn.Conv2d, phase: tuple[int, int]) -> None:
        size, dilation = plain.kernel_size[0], plain.dilation[0]
        step = dilation // 2 if dilation % 2 == 0 else 1
        places = [[tap // step for tap in taps_on_small_map(size, dilation, p)] for p in phase]
        reach = max(abs(place) for axis in places for place in axis)
        super().__init__(plain.in_channels, 2 * reach + 1, step, bias=False)
        weight = plain.weight.detach()
        summed = weight.new_zeros(self.weight.shape)
        for i, row in enumerate(places[0]):
            for j, column in enumerate(places[1]):
                summed[:, :, row + reach, column + reach] += weight[:, :, i, j]
        self.weight = nn.Parameter(summed, requires_grad=False)
        (top, bottom), (left, right) = ((min(axis), max(axis)) for axis in places)
        taps = summed[:, :, reach + top : reach + bottom + 1, reach + left : reach + right + 1]
        self.register_buffer("taps", taps.clone())
        self.margins = [step * margin for margin in (-left, right, -top, bottom)]

    def forward(self, small: Tensor) -> Tensor:
        """Map ``(N, C, h, w)`` to the same shape."""
        if not is_tracing():
            return super().forward(small)
        padded = F.pad(small, self.margins)
        return F.conv2d(padded, self.taps, dilation=self.dilation, groups=self.groups)


def unbiased(plain: nn.Conv2d) -> DepthwiseConv2d:
    """Return the depthwise convolution of an expert without its bias, see `biased_pointwise`."""
    layer = DepthwiseConv2d(plain.in_channels, plain.kernel_size[0], plain.dilation[0], bias=False)
    return with_weights(layer, plain.weight, None)


def biased_pointwise(expert: Expert) -> nn.Conv2d:
    """Return the 1x1 convolution of an expert with the depthwise bias included in its own."""
    plain = expert.pointwise
    layer = pointwise(plain.in_channels, plain.out_channels)
    return with_weights(layer, plain.weight, _bias(expert))


def _bias(expert: Expert) -> Tensor:
    """Return the bias of both convolutions of an expert together, ``(F,)``."""
    first, second = expert.depthwise.bias, expert.pointwise.bias
    assert first is not None
    assert second is not None
    across = expert.pointwise.weight.detach()[:, :, 0, 0]  # (F, C)
    return second.detach() + across @ first.detach()


def as_convolution(layer: nn.Linear) -> nn.Conv2d:
    """Return a dense layer as a 1x1 convolution for maps of one pixel.

    Runtimes then keep one memory layout for these maps and the maps they are added to.
    """
    convolution = pointwise(layer.in_features, layer.out_features)
    return with_weights(convolution, layer.weight[:, :, None, None], layer.bias)


def negation(channels: int) -> nn.Conv2d:
    """Return a 1x1 convolution that changes the sign.

    Runtimes would fuse a plain negation with the full-size maps after it, and give those the memory
    layout of its single pixel.
    """
    eye = torch.eye(channels)[:, :, None, None]
    return with_weights(pointwise(channels, channels), -eye, torch.zeros(channels))


def merged(expert: Expert) -> nn.Conv2d:
    """Return one dense convolution that equals the two of an expert."""
    first, second = expert.depthwise, expert.pointwise
    across = second.weight.detach()[:, :, 0, 0]  # (F, C)
    dense = nn.Conv2d(
        first.in_channels,
        second.out_channels,
        first.kernel_size,  # type: ignore[arg-type]
        padding=first.padding,  # type: ignore[arg-type]
        dilation=first.dilation,  # type: ignore[arg-type]
    )
    kernel = across[:, :, None, None] * first.weight.detach()[None, :, 0]
    return with_weights(dense, kernel, _bias(expert))


FEW_CHANNELS = 2
"""Up to this many channels an expert is faster as one dense convolution."""


class PlainExperts(nn.Module):
    """The mixture of the experts of an encoder stage."""

    def __init__(self, experts: list[Expert]) -> None:
        super().__init__()
        few = experts[0].depthwise.in_channels <= FEW_CHANNELS
        self.along = nn.ModuleList(merged(e) if few else unbiased(e.depthwise) for e in experts)
        self.across = None if few else nn.ModuleList(map(biased_pointwise, experts))

    def forward(self, maps: Tensor, weights: Tensor, start: Tensor) -> Tensor:
        """Return ``start`` ``(N, features, 1, 1)`` plus the mixture, ``(N, features, H, W)``.

        ``weights`` are ``(N, experts, 1, 1, 1)``.
        """
        return add_weighted(start, map(self._view, repeat(maps), range(len(self.along))), weights)

    def _view(self, maps: Tensor, number: int) -> Tensor:
        view: Tensor = self.along[number](maps)
        return view if self.across is None else per_pixel(self.across[number], view)


class UpsampledExperts(nn.Module):
    """The mixture of the experts of a decoder stage, computed from the map before upsampling."""

    def __init__(self, experts: list[Expert]) -> None:
        super().__init__()
        self.pointwise = nn.ModuleList(map(biased_pointwise, experts))
        self.alike = [expert.depthwise.dilation[0] % 2 == 0 for expert in experts]
        self.depthwise = nn.ModuleList(
            nn.ModuleList(
                PhaseDepthwise(expert.depthwise, phase)
                for phase in (PHASES[:1] if alike else PHASES)
            )
            for expert, alike in zip(experts, self.alike, strict=True)
        )

    def forward(self, small: Tensor, weights: Tensor, start: Tensor) -> Tensor:
        """Return ``start`` plus the mixture, ``(N, features, 2h, 2w)`` from ``(N, C, h, w)``."""
        everywhere = add_weighted(
            start, self._views(small, 0, alike=True), weights[:, self._numbers(alike=True)]
        )
        own = weights[:, self._numbers(alike=False)]
        phases = [
            add_weighted(everywhere, self._views(small, number, alike=False), own)
            for number in range(len(PHASES))
        ]
        return interleave(phases)

    def _numbers(self, *, alike: bool) -> list[int]:
        return [number for number, one in enumerate(self.alike) if one == alike]

    def _views(self, small: Tensor, phase: int, *, alike: bool) -> Iterable[Tensor]:
        for number in self._numbers(alike=alike):
            along: Any = self.depthwise[number]
            yield per_pixel(self.pointwise[number], along[phase](small))


ADDED_AT_ONCE = 3
"""Experts added in one fused operation; runtimes limit the number of inputs."""


def add_weighted(start: Tensor, views: Iterable[Tensor], weights: Tensor) -> Tensor:
    """Return ``start`` plus the weighted outputs of the experts, after an in-place ReLU.

    ``views`` are ``(N, F, H, W)`` each, ``weights`` ``(N, len(views), 1, 1, 1)``.
    """
    shares = weights.unbind(1)
    if not is_tracing():
        for view, share in zip(views, shares, strict=True):
            start = multiply_add(start, view.relu_(), share)
        return start
    weighed = [view.relu_() * share for view, share in zip(views, shares, strict=True)]
    for first in range(0, len(weighed), ADDED_AT_ONCE):
        start = start + sum(weighed[first + 1 : first + ADDED_AT_ONCE], weighed[first])
    return start


class FastMoE(nn.Module):
    """LoGo-MoE with folded norms, for inference.

    Reuses the tensors of ``plain``: pass a copy. ``upsampled`` says whether the plain module sees
    its input upsampled by nearest neighbours (decoder).
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, plain: LoGoMoE, *, upsampled: bool) -> None:
        super().__init__()
        self.form = plain.form
        self.router = plain.router
        experts = [cast(Expert, expert) for expert in plain.experts]
        self.experts = UpsampledExperts(experts) if upsampled else PlainExperts(experts)
        self.global_proj = plain.global_proj
        if self.form.global_gate:
            self.global_fc1 = as_convolution(plain.global_fc1)
            self.global_fc2 = as_convolution(plain.global_fc2)
        self.negate = negation(plain.global_proj.out_channels)
        self.gate_conv = fold_norm(plain.gate_conv, plain.gate_norm)
        self.refine_depthwise = plain.refine_depthwise
        scale, shift = scale_and_shift(plain.refine_norm)
        self.register_buffer("scale", scale[:, None, None])
        self.register_buffer("shift", shift[:, None, None])
        self.downsample = plain.downsample

    def forward(self, maps: Tensor) -> Tensor:
        """Return the features."""
        mean = global_average(maps)  # nearest-neighbour upsampling keeps the mean
        weights = routing_weights(mean, self.router, self.form)
        whole = F.relu(self.global_proj(mean[:, :, None, None]))
        if self.form.global_gate:
            hidden = F.relu(self.global_fc1(whole))
            whole = whole * self.global_fc2(hidden).sigmoid()
        # The sum of the experts starts at minus the global vector: local minus global.
        difference = self.experts(maps, weights[:, :, None, None, None], self.negate(whole))
        mixed = multiply_add(whole, difference, self.gate_conv(difference).sigmoid_())
        mixed = multiply_add(self.shift, F.gelu(self.refine_depthwise(mixed)), self.scale)
        return mixed if self.downsample is None else F.gelu(self.downsample(mixed))
