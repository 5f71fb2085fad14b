"""How much the network doubts each pixel."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor


def predictive_entropy(probabilities: Tensor, activation: Literal["softmax", "sigmoid"]) -> Tensor:
    """Return the entropy of each pixel's prediction, 0 (certain) to 1 (no idea).

    Parameters
    ----------
    probabilities
        ``(slices, classes, rows, columns)``.
    activation
        With softmax: the entropy over the classes divided by its maximum, the logarithm of their
        number. With sigmoid: the mean over the classes of each one's yes-or-no entropy in bits.

    Returns
    -------
    Tensor
        ``(slices, rows, columns)``.
    """
    total = _terms(probabilities).sum(1)
    if activation == "softmax":
        total /= math.log(probabilities.shape[1])
    else:
        total += _terms(1 - probabilities).sum(1)
        total /= probabilities.shape[1] * math.log(2)
    return total.clamp_(0, 1)


def _terms(probabilities: Tensor) -> Tensor:
    """Return -p log p, 0 for p = 0; several times faster than ``torch.special.entr``."""
    return probabilities.clamp_min(1e-30).log_().mul_(probabilities).neg_()
