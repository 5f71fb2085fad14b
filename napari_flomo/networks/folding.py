"""Fold batch norms in evaluation mode into the convolutions before them."""

from __future__ import annotations

import copy
from collections import Counter
from itertools import pairwise
from typing import TypeGuard, TypeVar

import torch
from torch import Tensor, nn

Layer = TypeVar("Layer", bound=nn.Conv2d)


def scale_and_shift(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Return factor and offset of a batch norm in evaluation mode, both ``(C,)``."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    # In float64, so that it costs a single rounding.
    mean, variance = norm.running_mean.double(), norm.running_var.double()
    weight = norm.weight.detach().double() if norm.affine else torch.ones_like(mean)
    bias = norm.bias.detach().double() if norm.affine else torch.zeros_like(mean)
    scale = weight / (variance + norm.eps).sqrt()
    kind = norm.running_mean.dtype
    return scale.to(kind), (bias - mean * scale).to(kind)


def with_weights(layer: Layer, weight: Tensor, bias: Tensor | None) -> Layer:
    """Replace the weights of a convolution by frozen ones, and return it."""
    layer.weight = nn.Parameter(weight.detach(), requires_grad=False)
    layer.bias = None if bias is None else nn.Parameter(bias.detach(), requires_grad=False)
    return layer


def fold_norm(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    """Return one convolution that replaces a convolution and the batch norm after it."""
    scale, shift = scale_and_shift(norm)
    weight = convolution.weight.detach() * scale[:, None, None, None]
    bias = shift if convolution.bias is None else convolution.bias.detach() * scale + shift
    return with_weights(copy.deepcopy(convolution), weight, bias.clone())


def fold_norms(network: nn.Module) -> None:
    """Fold, in place, each batch norm that directly follows a convolution in an `nn.Sequential`.

    The network must be in evaluation mode. Norms elsewhere stay: only in a sequence it is certain
    that nothing else reads the output of the convolution.
    """
    uses = Counter(id(child) for module in network.modules() for child in module.children())
    for module in list(network.modules()):
        if type(module).forward is not nn.Sequential.forward:
            continue
        parts = list(module.named_children())
        for (name, first), (after, second) in pairwise(parts):
            if isinstance(second, nn.BatchNorm2d) and _may_fold(first, second, uses):
                setattr(module, name, fold_norm(first, second))
                setattr(module, after, nn.Identity())


def _may_fold(first: nn.Module, norm: nn.BatchNorm2d, uses: Counter[int]) -> TypeGuard[nn.Conv2d]:
    return (
        isinstance(first, nn.Conv2d)
        and uses[id(first)] == uses[id(norm)] == 1
        and norm.running_mean is not None
    )
