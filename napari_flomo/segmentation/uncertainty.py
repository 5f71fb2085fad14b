"""Predictive entropy."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor


def predictive_entropy(probabilities: Tensor, activation: Literal["softmax", "sigmoid"]) -> Tensor:
    """Return the entropy of each pixel's prediction, 0 (certain) to 1 (uniform).

    ``(slices, classes, rows, columns)`` become ``(slices, rows, columns)``. With softmax: the
    entropy over the classes divided by its maximum, the logarithm of their number. With sigmoid:
    the mean over the classes of their binary entropy in bits.
    """
    import torch

    total = probabilities.new_zeros((len(probabilities), *probabilities.shape[2:]))
    # Image by image, so that intermediate results stay in the cache.
    scratch = torch.empty_like(total[:1])
    for one, classes in zip(total.split(1), probabilities.split(1), strict=True):
        for p in classes.unbind(1):
            _add_term(one, p, scratch)
            if activation == "sigmoid":
                _add_term(one, 1 - p, scratch)
    classes = probabilities.shape[1]
    largest = math.log(classes) if activation == "softmax" else classes * math.log(2)
    return total.div_(largest).clamp_(0, 1)


def _add_term(total: Tensor, p: Tensor, scratch: Tensor) -> None:
    """Add -p log p, 0 for p = 0; several times faster than ``torch.special.entr``."""
    import torch

    torch.clamp_min(p, 1e-30, out=scratch)
    total.addcmul_(scratch.log_(), p, value=-1)
