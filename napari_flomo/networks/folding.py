"""Batch norms of a network that no longer learns, folded into the convolution before them."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


def scale_and_shift(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Return what a batch norm in evaluation mode multiplies by and adds, both ``(C,)``."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    # In float64: the fold then costs one rounding.
    mean, variance = norm.running_mean.double(), norm.running_var.double()
    weight = norm.weight.detach().double() if norm.affine else torch.ones_like(mean)
    bias = norm.bias.detach().double() if norm.affine else torch.zeros_like(mean)
    scale = weight / (variance + norm.eps).sqrt()
    kind = norm.running_mean.dtype
    return scale.to(kind), (bias - mean * scale).to(kind)


def fold_norm(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    """Return one convolution in place of a convolution and the batch norm behind it.

    Parameters
    ----------
    convolution, norm
        Of a network in evaluation mode; neither is changed.
    """
    scale, shift = scale_and_shift(norm)
    folded = copy.deepcopy(convolution)
    weight = convolution.weight.detach() * scale[:, None, None, None]
    bias = shift if convolution.bias is None else convolution.bias.detach() * scale + shift
    folded.weight = nn.Parameter(weight, requires_grad=False)
    folded.bias = nn.Parameter(bias.clone(), requires_grad=False)
    return folded
