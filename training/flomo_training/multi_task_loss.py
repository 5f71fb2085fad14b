"""MADGNet's loss: regions, distances and boundaries at every stage of the decoder."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from flomo_training.recipe import LossWeights
from napari_flomo.networks import Output

WINDOW = 31
"""Side of the square, in pixels, whose mean tells how near an edge a pixel lies."""


class MultiTaskLoss(nn.Module):
    """Sum over the stages of structure loss, squared error of distances, entropy of boundaries.

    The published code has the structure loss alone; that the three are added up with weight 1 over
    four stages is inferred from the same author's earlier, public network.

    Parameters
    ----------
    weights
        From the recipe; ``region``, ``distance``, ``boundary`` and ``weighted_entropy`` are read.
    activation
        Of the regions. Distances and boundaries are always one sigmoid a channel.
    """

    targets = ("distance", "boundary")

    def __init__(self, weights: LossWeights, activation: Literal["softmax", "sigmoid"]) -> None:
        super().__init__()
        self.weights = weights
        self.activation = activation

    def forward(
        self, output: Output, classes: Tensor, distance: Tensor, boundary: Tensor
    ) -> Tensor:
        """Return the loss, a scalar.

        Parameters
        ----------
        output
            Of a network; ``aux`` of the kinds logits, distance and boundary is read.
        classes
            ``(N, H, W)`` indices of classes, 0 the background.
        distance, boundary
            ``(N, K, H, W)`` from `flomo_training.targets`.
        """
        with torch.autocast(output.logits.device.type, enabled=False):
            loss = self.weights.region * self.structure(output.logits, classes)
            for aux in output.aux:
                if aux.kind == "logits":
                    loss = loss + self.weights.region * self.structure(aux.value, classes)
                elif aux.kind == "distance":
                    away = F.mse_loss(aux.value.float().sigmoid(), distance)
                    loss = loss + self.weights.distance * away
                elif aux.kind == "boundary":
                    edge = F.binary_cross_entropy_with_logits(aux.value.float(), boundary)
                    loss = loss + self.weights.boundary * edge
                elif aux.kind == "router_entropy":
                    loss = loss + aux.value
        return loss

    def structure(self, logits: Tensor, classes: Tensor) -> Tensor:
        """Return the structure loss of one map of logits ``(N, K, H, W)``.

        One minus the overlap over the union, where pixels near an edge weigh up to six times as
        much, plus cross-entropy. The published code means to weigh the latter alike, but takes its
        plain mean; ``weighted_entropy`` does what it means. With softmax the background has no
        overlap of its own.
        """
        logits = logits.float()
        softmax = self.activation == "softmax"
        first = 0 if softmax else 1
        channels = torch.arange(first, first + logits.shape[1], device=classes.device)
        truth = (classes[:, None] == channels[:, None, None]).to(logits.dtype)
        near = _window_mean(truth)
        weight = 1 + 5 * (near - truth).abs()
        if softmax:
            entropy = F.cross_entropy(logits, classes, reduction="none")[:, None]
            entropy_weight = weight.mean(1, keepdim=True)
            found, truth, weight = logits.softmax(1)[:, 1:], truth[:, 1:], weight[:, 1:]
        else:
            entropy = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
            entropy_weight = weight
            found = logits.sigmoid()
        if self.weights.weighted_entropy:
            surprise = (entropy_weight * entropy).sum((2, 3)) / entropy_weight.sum((2, 3))
        else:
            surprise = entropy
        both = (weight * found * truth).sum((2, 3))
        either = (weight * (found + truth)).sum((2, 3)) - both
        return surprise.mean() + (1 - (both + 1) / (either + 1)).mean()


def _window_mean(maps: Tensor) -> Tensor:
    """Return the mean of the square around each pixel, zeros outside; first down, then across.

    PyTorch adds up all pixels of the square, 31 times 31, for each pixel.
    """
    reach = WINDOW // 2
    down = F.avg_pool2d(maps, (WINDOW, 1), stride=1, padding=(reach, 0))
    return F.avg_pool2d(down, (1, WINDOW), stride=1, padding=(0, reach))
