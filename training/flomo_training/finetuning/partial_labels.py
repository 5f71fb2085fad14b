"""Losses for partial labels, where the reader labelled only some of the structures."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

Activation = Literal["softmax", "sigmoid"]

NEVER = -1e4
"""A logit with probability 0, also in half precision."""


def merge_unnamed(logits: Tensor, named: Tensor, activation: Activation) -> Tensor:
    """Merge the classes that a reader did not label into the background.

    With softmax the probability of an unlabelled class is added to that of the background, as in
    the reader's label image. With sigmoid its channel is masked and has no loss. Unlabelled
    channels have probability 0 and no gradient of their own.

    Parameters
    ----------
    logits
        ``(N, K, H, W)``.
    named
        ``(N, K)`` bool, the labelled channels. With softmax channel 0 is the background.
    activation
        Of the model.

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
    """Return the distillation loss between a model and its parent, in nats.

    The mean Kullback-Leibler divergence of the probabilities softened by the temperature, times the
    squared temperature, which keeps the scale of the gradients.

    Parameters
    ----------
    logits, parent
        ``(N, K, H, W)`` of the model and of its parent.
    where
        ``(N, H, W)`` bool, the pixels to include; the loss is 0 without any.
    activation
        Of the model. With sigmoid the divergences of the channels are summed.
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


def unnamed_retention(
    logits: Tensor, parent: Tensor, named: Tensor, classes: Tensor, activation: Activation
) -> Tensor:
    """Return the distillation loss of the structures that a reader did not label, in nats.

    `merge_unnamed` leaves open where these structures are within the reader's background; without
    this term they would drift away there. Slices with labels of all structures do not contribute.

    Parameters
    ----------
    logits, parent
        ``(N, K, H, W)`` of the model and of its parent.
    named
        ``(N, K)`` bool, the labelled channels.
    classes
        ``(N, H, W)``, the reader's labels.
    activation
        Of the model. With softmax only the reader's background is used, and the probabilities there
        are relative to those of background and unlabelled structures together.
    """
    partial = ~named.all(1)[:, None, None]
    left_out = named.clone()
    if activation == "softmax":
        left_out[:, 0] = False
        partial = partial & (classes == 0)
    where, hidden = partial.expand_as(classes), left_out[:, :, None, None]
    student, teacher = (one.masked_fill(hidden, NEVER) for one in (logits, parent))
    return retention(student, teacher, where, activation, 1.0)
