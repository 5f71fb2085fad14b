"""Losses on partial truth: a reader who named two structures of four said nothing of the others."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

Activation = Literal["softmax", "sigmoid"]

NEVER = -1e4
"""A logit whose probability is 0, also in half precision."""


def merge_unnamed(logits: Tensor, named: Tensor, activation: Activation) -> Tensor:
    """Return logits in which the classes that a reader does not tell apart are one.

    With softmax a class without a name counts as background, because that is what the reader's
    label image has there: its probability is added to the background's. With sigmoid it is taken
    out, so that no loss sees it.

    Parameters
    ----------
    logits
        ``(N, K, H, W)``.
    named
        ``(N, K)`` bool: which channels have a name. With softmax channel 0 is the background.
    activation
        Of the model.

    Returns
    -------
    Tensor
        Of the same shape; channels without a name have probability 0 and no gradient of their own.

    Notes
    -----
    Source: the marginal loss of Shi et al., Marginal loss and exclusion loss for partially
    supervised multi-organ segmentation, Medical Image Analysis 70, 2021.
    """
    if bool(named.all()):
        return logits
    keep = named[:, :, None, None]
    result = logits.masked_fill(~keep, NEVER)
    if activation == "sigmoid":
        return result
    together = ~named
    together[:, 0] = True  # a copy: ~ made a new tensor
    background = logits.masked_fill(~together[:, :, None, None], float("-inf")).logsumexp(1)
    return torch.cat((background[:, None], result[:, 1:]), 1)


def retention(
    logits: Tensor, parent: Tensor, where: Tensor, activation: Activation, temperature: float
) -> Tensor:
    """Return how far a model went from its parent, in nats, as a scalar.

    The Kullback-Leibler divergence of the parent's probabilities from the model's, both softened,
    as a mean over pixels; times the squared temperature, so that its gradients keep their size.

    Parameters
    ----------
    logits, parent
        ``(N, K, H, W)`` of the model and of its parent.
    where
        ``(N, H, W)`` bool: the pixels that count; none gives 0.
    activation
        Of the model. With sigmoid channels are independent and their divergences are added up.
    temperature
        1 or more.
    """
    student, teacher = logits.float() / temperature, parent.float() / temperature
    if activation == "softmax":
        target = teacher.log_softmax(1)
        divergence = (target.exp() * (target - student.log_softmax(1))).sum(1)
    else:
        share = teacher.sigmoid()
        entropy = F.binary_cross_entropy_with_logits(teacher, share, reduction="none")
        cross = F.binary_cross_entropy_with_logits(student, share, reduction="none")
        divergence = (cross - entropy).sum(1)
    weight = where.to(divergence.dtype)
    return temperature**2 * (divergence * weight).sum() / weight.sum().clamp_min(1)


def decide(logits: Tensor, activation: Activation, threshold: float) -> Tensor:
    """Return the class of each pixel, ``(N, H, W)``: an index of the card's labels.

    Parameters
    ----------
    logits
        ``(N, K, H, W)``.
    activation, threshold
        Of the card. With sigmoid the likeliest channel wins where it reaches the threshold.
    """
    best, winner = logits.max(1)
    if activation == "softmax":
        return winner
    return torch.where(best.float().sigmoid() >= threshold, winner + 1, 0)
