"""LoGo-MoE rewritten for inference: the same values from fewer operations and less memory traffic.

A decoder stage sees its input doubled by nearest neighbours. A depthwise tap on the doubled map
reads the small one, and taps that fall on the same small pixel add up. So the experts of a decoder
stage run on the small map, once for each of the four phases (even or odd row, even or odd column);
an expert with an even dilation gives the same value in all four, and runs once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from napari_flomo.networks.blocks import Expert, depthwise, global_average
from napari_flomo.networks.fast_arithmetic import interleave, multiply_add
from napari_flomo.networks.flomo_blocks import LoGoMoE, routing_weights
from napari_flomo.networks.folding import fold_norm, scale_and_shift

PHASES = ((0, 0), (0, 1), (1, 0), (1, 1))
"""Row and column of the four pixels that a pixel of the small map becomes."""


def taps_on_small_map(kernel: int, dilation: int, phase: int) -> list[int]:
    """Return where, along one axis, each tap falls on the small map, relative to the pixel.

    Parameters
    ----------
    kernel, dilation
        Of a centred convolution on the doubled map.
    phase
        0 for even rows (or columns) of the doubled map, 1 for odd ones.
    """
    reach = dilation * (kernel - 1) // 2
    return [(phase + dilation * tap - reach) // 2 for tap in range(kernel)]


def phase_depthwise(plain: nn.Conv2d, phase: tuple[int, int]) -> nn.Conv2d:
    """Return a depthwise convolution on the small map: one phase of one on the doubled map.

    Its kernel is centred, with zeros where no tap falls: they cost less than a copy of the map
    that is padded on one side.

    Parameters
    ----------
    plain
        The convolution on the doubled map: stride 1, size kept, zeros outside.
    phase
        Row and column phase.
    """
    dilation = plain.dilation[0]
    step = dilation // 2 if dilation % 2 == 0 else 1
    places = [taps_on_small_map(plain.kernel_size[0], dilation, p) for p in phase]
    reach = max(abs(place) for axis in places for place in axis) // step
    size = 2 * reach + 1
    weight = plain.weight.detach()
    merged = weight.new_zeros(len(weight), 1, size, size)
    for i, row in enumerate(places[0]):
        for j, column in enumerate(places[1]):
            merged[:, :, row // step + reach, column // step + reach] += weight[:, :, i, j]
    small = depthwise(len(weight), size, step)
    small.weight = nn.Parameter(merged, requires_grad=False)
    small.bias = plain.bias
    return small


def merged(expert: Expert) -> nn.Conv2d:
    """Return one dense convolution in place of an expert's two."""
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
    dense.weight = nn.Parameter(kernel, requires_grad=False)
    bias = second.bias.detach() + across @ first.bias.detach()
    dense.bias = nn.Parameter(bias, requires_grad=False)
    return dense


FEW_CHANNELS = 2
"""Up to so many channels an expert is cheaper as one dense convolution."""


class PlainExperts(nn.Module):
    """The mixture of the experts of an encoder stage."""

    def __init__(self, experts: list[Expert]) -> None:
        super().__init__()
        few = experts[0].depthwise.in_channels <= FEW_CHANNELS
        self.experts = nn.ModuleList(
            merged(expert) if few else nn.Sequential(expert.depthwise, expert.pointwise)
            for expert in experts
        )

    def forward(self, maps: Tensor, weights: Tensor) -> Tensor:
        """Return the mixture ``(N, features, H, W)``.

        Parameters
        ----------
        maps
            ``(N, C, H, W)``.
        weights
            ``(N, experts, 1, 1, 1)``.
        """
        mixture = None
        for expert, share in zip(self.experts, weights.unbind(1), strict=True):
            mixture = add_share(mixture, expert(maps), share)
        assert mixture is not None
        return mixture


class DoubledExperts(nn.Module):
    """The mixture of the experts of a decoder stage, from the map before it is doubled."""

    def __init__(self, experts: list[Expert]) -> None:
        super().__init__()
        self.pointwise = nn.ModuleList(expert.pointwise for expert in experts)
        self.alike = [expert.depthwise.dilation[0] % 2 == 0 for expert in experts]
        self.depthwise = nn.ModuleList(
            nn.ModuleList(
                phase_depthwise(expert.depthwise, phase)
                for phase in (PHASES[:1] if alike else PHASES)
            )
            for expert, alike in zip(experts, self.alike, strict=True)
        )

    def forward(self, small: Tensor, weights: Tensor) -> Tensor:
        """Return the mixture ``(N, features, 2h, 2w)`` from ``(N, C, h, w)``."""
        shares = weights.unbind(1)
        everywhere = None
        for alike, along, across, share in self._experts(shares):
            if alike:
                everywhere = add_share(everywhere, across(along[0](small)), share)
        phases = []
        for number in range(len(PHASES)):
            mixture = everywhere
            for alike, along, across, share in self._experts(shares):
                if not alike:
                    mixture = add_share(mixture, across(along[number](small)), share)
            assert mixture is not None
            phases.append(mixture)
        return interleave(phases)

    def _experts(self, shares: Iterable[Tensor]) -> Iterable[tuple[bool, Any, nn.Module, Tensor]]:
        return zip(self.alike, self.depthwise, self.pointwise, shares, strict=True)


def add_share(mixture: Tensor | None, view: Tensor, share: Tensor) -> Tensor:
    """Add an expert's view, rectified (in place) and weighed, to the mixture so far."""
    view = view.relu_()
    return view * share if mixture is None else multiply_add(mixture, view, share)


class FastMoE(nn.Module):
    """LoGo-MoE with folded norms, for inference.

    Parameters
    ----------
    plain
        The module to rewrite; its tensors are taken over, so hand in a copy.
    doubled
        Whether the input is to be doubled first by nearest neighbours (decoder).
    kept
        Numbers of the experts that are computed; all by default. Without one of them the result is
        another.
    """

    def __init__(self, plain: LoGoMoE, *, doubled: bool, kept: Sequence[int] | None = None) -> None:
        super().__init__()
        self.form = plain.form
        self.router = plain.router
        self.kept = None if kept is None else list(kept)
        experts = [e for i, e in enumerate(plain.experts) if kept is None or i in kept]
        self.experts = DoubledExperts(experts) if doubled else PlainExperts(experts)
        self.global_proj = plain.global_proj
        if self.form.global_gate:
            self.global_fc1, self.global_fc2 = plain.global_fc1, plain.global_fc2
        self.gate_conv = fold_norm(plain.gate_conv, plain.gate_norm)
        self.refine_depthwise = plain.refine_depthwise
        scale, shift = scale_and_shift(plain.refine_norm)
        self.register_buffer("scale", scale[:, None, None])
        self.register_buffer("shift", shift[:, None, None])
        self.downsample = plain.downsample

    def forward(self, maps: Tensor) -> Tensor:
        """Return the features."""
        mean = global_average(maps)  # doubling changes no mean
        weights = routing_weights(mean, self.router, self.form)
        if self.kept is not None:
            weights = weights[:, self.kept]
        local = self.experts(maps, weights[:, :, None, None, None])
        whole = F.relu(self.global_proj(mean[:, :, None, None]))
        if self.form.global_gate:
            hidden = F.relu(self.global_fc1(whole.flatten(1)))
            whole = whole * self.global_fc2(hidden).sigmoid()[:, :, None, None]
        difference = local - whole
        mixed = multiply_add(whole, difference, self.gate_conv(difference).sigmoid_())
        mixed = multiply_add(self.shift, F.gelu(self.refine_depthwise(mixed)), self.scale)
        return mixed if self.downsample is None else F.gelu(self.downsample(mixed))
