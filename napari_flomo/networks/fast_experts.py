"""LoGo-MoE rewritten for inference: the same values from fewer operations and less memory traffic.

A decoder stage sees its input doubled by nearest neighbours. A depthwise tap on the doubled map
reads the small one, and taps that fall on the same small pixel add up. So the experts of a decoder
stage run on the small map, once for each of the four phases (even or odd row, even or odd column);
an expert with an even dilation gives the same value in all four, and runs once.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from napari_flomo.networks.blocks import Expert, global_average
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


class PhaseDepthwise(nn.Module):
    """A depthwise convolution of the doubled map, for one of its four phases.

    Parameters
    ----------
    plain
        The convolution on the doubled map: stride 1, size kept, zeros outside.
    phase
        Row and column phase.
    """

    def __init__(self, plain: nn.Conv2d, phase: tuple[int, int]) -> None:
        super().__init__()
        weight = plain.weight.detach()
        size, dilation = plain.kernel_size[0], plain.dilation[0]
        places = [taps_on_small_map(size, dilation, p) for p in phase]
        self.step = dilation // 2 if dilation % 2 == 0 else 1
        low = [min(place) for place in places]
        high = [max(place) for place in places]
        rows, columns = ((h - w) // self.step + 1 for w, h in zip(low, high, strict=True))
        merged = weight.new_zeros(len(weight), 1, rows, columns)
        for i, row in enumerate(places[0]):
            for j, column in enumerate(places[1]):
                at = (row - low[0]) // self.step, (column - low[1]) // self.step
                merged[:, :, at[0], at[1]] += weight[:, :, i, j]
        self.register_buffer("weight", merged)
        self.register_buffer("bias", plain.bias.detach().clone())
        # Left, right, above, below, as F.pad counts them.
        self.pad = (-low[1], high[1], -low[0], high[0])

    def forward(self, small: Tensor) -> Tensor:
        """Map ``(N, C, h, w)`` to the values of this phase, of the same shape."""
        left, right, above, below = self.pad
        padding: tuple[int, int] = (0, 0)
        if left == right and above == below:
            padding = (above, left)
        else:
            small = F.pad(small, self.pad)
        groups = small.shape[1]
        return F.conv2d(small, self.weight, self.bias, 1, padding, self.step, groups)


def interleave(phases: list[Tensor]) -> Tensor:
    """Return the map ``(N, C, 2h, 2w)`` whose four phases ``(N, C, h, w)`` are given."""
    stacked = torch.stack([phase.permute(0, 2, 3, 1) for phase in phases], 3)  # (N, h, w, 4, C)
    number, height, width, _, channels = stacked.shape
    split = stacked.unflatten(3, (2, 2)).permute(0, 1, 3, 2, 4, 5)  # (N, h, 2, w, 2, C)
    return split.reshape(number, 2 * height, 2 * width, channels).permute(0, 3, 1, 2)


class PlainExperts(nn.Module):
    """The mixture of the experts of an encoder stage."""

    def __init__(self, experts: list[Expert]) -> None:
        super().__init__()
        self.experts = nn.ModuleList(experts)

    def forward(self, maps: Tensor, weights: Tensor) -> Tensor:
        """Return the mixture ``(N, features, H, W)``.

        Parameters
        ----------
        maps
            ``(N, C, H, W)``.
        weights
            ``(N, experts, 1, 1, 1)``.
        """
        return _mix([expert(maps) for expert in self.experts], weights)


class DoubledExperts(nn.Module):
    """The mixture of the experts of a decoder stage, from the map before it is doubled."""

    def __init__(self, experts: list[Expert]) -> None:
        super().__init__()
        self.pointwise = nn.ModuleList(expert.pointwise for expert in experts)
        self.alike = [expert.depthwise.dilation[0] % 2 == 0 for expert in experts]
        self.depthwise = nn.ModuleList(
            nn.ModuleList(
                PhaseDepthwise(expert.depthwise, phase)
                for phase in (PHASES[:1] if alike else PHASES)
            )
            for expert, alike in zip(experts, self.alike, strict=True)
        )

    def forward(self, small: Tensor, weights: Tensor) -> Tensor:
        """Return the mixture ``(N, features, 2h, 2w)`` from ``(N, C, h, w)``."""
        everywhere = _mix(
            [
                F.relu(pointwise(depthwise[0](small)))
                for alike, pointwise, depthwise in self._parts()
                if alike
            ],
            weights[:, self.alike],
        )
        kept = [not alike for alike in self.alike]
        phases = []
        for number in range(len(PHASES)):
            own = [
                F.relu(pointwise(depthwise[number](small)))
                for alike, pointwise, depthwise in self._parts()
                if not alike
            ]
            phases.append(_mix(own, weights[:, kept]) + everywhere)
        return interleave(phases)

    def _parts(self) -> zip:
        return zip(self.alike, self.pointwise, self.depthwise, strict=True)


def _mix(views: list[Tensor], weights: Tensor) -> Tensor:
    mixture = views[0] * weights[:, 0]
    for number, view in enumerate(views[1:], start=1):
        mixture = mixture + view * weights[:, number]
    return mixture


class FastMoE(nn.Module):
    """LoGo-MoE with folded norms, for inference.

    Parameters
    ----------
    plain
        The module to rewrite; its tensors are taken over, so hand in a copy.
    doubled
        Whether the input is to be doubled first by nearest neighbours (decoder).
    """

    def __init__(self, plain: LoGoMoE, *, doubled: bool) -> None:
        super().__init__()
        self.form = plain.form
        self.router = plain.router
        experts = list(plain.experts)
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
        weights = routing_weights(mean, self.router, self.form)[:, :, None, None, None]
        local = self.experts(maps, weights)
        whole = F.relu(self.global_proj(mean[:, :, None, None]))
        if self.form.global_gate:
            hidden = F.relu(self.global_fc1(whole.flatten(1)))
            whole = whole * self.global_fc2(hidden).sigmoid()[:, :, None, None]
        difference = local - whole
        mixed = whole + difference * self.gate_conv(difference).sigmoid()
        mixed = F.gelu(self.refine_depthwise(mixed)) * self.scale + self.shift
        return mixed if self.downsample is None else F.gelu(self.downsample(mixed))
