"""FPFN-CAM rewritten for inference."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from napari_flomo.networks.blocks import SpatialNorm, double_size_bilinear, wide
from napari_flomo.networks.fast_arithmetic import multiply_add, per_pixel
from napari_flomo.networks.flomo_blocks import FPFN


def entropy_of(logits: Tensor) -> Tensor:
    """Return what `entropy_map` returns, with one logarithm a pixel instead of one a channel."""
    logits = logits.to(wide(logits))  # also under mixed precision, as there
    shifted = logits - logits.amax(1, keepdim=True)
    powers = shifted.exp()
    total = powers.sum(1, keepdim=True)
    entropy = total.log() - (powers * shifted).sum(1, keepdim=True) / total
    return entropy / math.log(logits.shape[1])


def cosine_of(first: Tensor, second: Tensor) -> Tensor:
    """Return what `cosine_disagreement` returns, without a map of the squares."""
    first, second = first.to(wide(first)), second.to(wide(second))
    lengths = [
        torch.linalg.vector_norm(maps, dim=1, keepdim=True).clamp_min(1e-6)
        for maps in (first, second)
    ]
    return 1 - (first * second).sum(1, keepdim=True) / (lengths[0] * lengths[1])


def normalised(norm: SpatialNorm, maps: Tensor) -> Tensor:
    """Return what the norm returns, as one product and one sum a pixel."""
    mean = maps.mean((-2, -1), keepdim=True)
    variance = (maps - mean).square().mean((-2, -1), keepdim=True)
    gain = norm.weight * torch.rsqrt(variance + norm.eps)
    return multiply_add(norm.bias - mean * gain, maps, gain)


def both_gates(plain: FPFN) -> nn.Conv2d:
    """Return one convolution from the two uncertainties to the logits of trust and of correction.

    Trust is one minus the sigmoid of a 1x1 convolution: that of its negative, which is a 3x3
    convolution with zeros around the centre.
    """
    weight = torch.zeros_like(plain.correction_gate.weight).repeat(2, 1, 1, 1)
    weight[0, :, 1, 1] = -plain.uncertainty_weight.weight.detach()[0, :, 0, 0]
    weight[1] = plain.correction_gate.weight.detach()[0]
    gates = nn.Conv2d(2, 2, 3, padding=1)
    gates.weight = nn.Parameter(weight, requires_grad=False)
    first, second = plain.uncertainty_weight.bias, plain.correction_gate.bias
    assert first is not None
    assert second is not None
    bias = [-first.detach(), second.detach()]
    gates.bias = nn.Parameter(torch.cat(bias), requires_grad=False)
    return gates


class FastFPFN(nn.Module):
    """Fusion of a skip with the decoder, corrected where the two disagree.

    In reference form the masks depend on nothing but the position; entropy and cosine are then
    computed only if the maps are asked for.

    Parameters
    ----------
    plain
        The module to rewrite; its tensors are taken over, so hand in a copy.
    maps
        Whether to return the maps.
    """

    def __init__(self, plain: FPFN, *, maps: bool) -> None:
        super().__init__()
        self.maps = maps
        self.plain = plain
        self.informed = plain.form.spatial_uncertainty
        self.gates = both_gates(plain)

    def forward(self, skip: Tensor, maps: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the fused features and, if wanted, the maps; as `FPFN.forward` does."""
        own = self.plain
        encoder = per_pixel(own.encoder_proj, skip).relu_()
        decoder = per_pixel(own.decoder_proj, maps).relu_()
        cross = per_pixel(own.cross_gate, encoder)
        if encoder.shape[-2] < decoder.shape[-2]:
            encoder, cross = double_size_bilinear(encoder), double_size_bilinear(cross)
        fused = own.fuse_conv(multiply_add(encoder, decoder, cross.sigmoid())).relu_()
        seen: dict[str, Tensor] = {}
        if self.informed or self.maps:
            entropy = entropy_of(
                per_pixel(own.entropy_logits, own.entropy_depthwise(fused).relu_())
            )
            cosine = cosine_of(encoder, decoder)
            seen = {"entropy": entropy, "cosine": cosine}
        if self.informed:
            uncertainties = (
                normalised(own.entropy_norm, entropy),
                normalised(own.cosine_norm, cosine),
            )
        else:
            one = fused[:, :1]
            uncertainties = own.entropy_norm(one), own.cosine_norm(one)
        gates = self.gates(torch.cat(uncertainties, 1)).sigmoid_()
        trust, corrective = gates[:, :1], gates[:, 1:]
        correction = own.correction_conv(fused * corrective).relu_()
        result = F.gelu(
            per_pixel(own.output_conv, multiply_add(correction + decoder, fused, trust))
        )
        return result, seen | {"trust": trust, "corrective": corrective} if self.maps else {}
