"""The loss of MADGNet: regions, distances and boundaries at every stage of the decoder."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from flomo_training.label_mapping import channel_masks
from flomo_training.recipe import LossWeights
from napari_flomo.networks import Output

WINDOW = 31
"""Side in pixels of the averaging window that measures how close a pixel is to an edge."""


class MultiTaskLoss(nn.Module):
    """Sum over the stages of structure loss, squared distance error and boundary cross-entropy.

    The published code contains only the structure loss; the sum with weight 1 over four stages is
    inferred from the same author's earlier public network.

    Parameters
    ----------
    weights
        From the recipe; ``region``, ``distance``, ``boundary`` and ``weighted_entropy`` are used.
    activation
        Of the regions. Distances and boundaries always have one sigmoid per channel.
    """

    targets = ("distance", "boundary")

    def __init__(self, weights: LossWeights, activation: Literal["softmax", "sigmoid"]) -> None:
        super().__init__()
        self.weights = weights
        self.activation = activation

    def forward(
        self, output: Output, classes: Tensor, distance: Tensor, boundary: Tensor
    ) -> Tensor:
        """Return the scalar loss over the logits, distances and boundaries of all stages.

        ``classes`` ``(N, H, W)`` are class indices, 0 the background; ``distance`` and ``boundary``
        are ``(N, K, H, W)`` from `flomo_training.targets`.
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

        One minus IoU, where pixels near an edge have up to six times the weight, plus
        cross-entropy. The published code intends to weight the cross-entropy in the same way but
        uses its plain mean; ``weighted_entropy`` applies the weights. With softmax the background
        has no IoU term.
        """
        logits = logits.float()
        truth = channel_masks(classes, logits, self.activation)
        near = _window_mean(truth)
        weight = 1 + 5 * (near - truth).abs()
        if self.activation == "softmax":
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
    """Return the mean of the window around each pixel with zero padding.

    Two 1-D averages are faster than PyTorch's 2-D average pooling with a large window.
    """
    reach = WINDOW // 2
    down = F.avg_pool2d(maps, (WINDOW, 1), stride=1, padding=(reach, 0))
    return F.avg_pool2d(down, (1, WINDOW), stride=1, padding=(0, reach))
