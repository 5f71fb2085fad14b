"""The loss of FIAS: Dice and cross-entropy of the output and of all mixtures of stage outputs."""

from __future__ import annotations

from itertools import combinations
from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from flomo_training.label_mapping import channel_masks
from flomo_training.recipe import LossWeights
from napari_flomo.networks import Output

SMOOTH = 1e-5


class MixingLoss(nn.Module):
    """The loss of the logits, plus its mean over the non-empty subsets of the stages' logits.

    The logits of a subset are averaged. The Dice term treats the background as a class and pools
    the batch, as in the public code of FIAS.

    Parameters
    ----------
    weights
        From the recipe; ``dice`` and ``cross_entropy`` are used (0.4 and 0.6 in FIAS).
    activation
        See `flomo_training.losses.SegmentationLoss`.
    """

    targets: tuple[str, ...] = ()

    def __init__(self, weights: LossWeights, activation: Literal["softmax", "sigmoid"]) -> None:
        super().__init__()
        self.weights = weights
        self.activation = activation

    def forward(self, output: Output, classes: Tensor) -> Tensor:
        """Return the scalar loss; ``classes`` ``(N, H, W)`` are class indices, 0 the background.

        The ``aux`` logits of the output have its size.
        """
        stages = [aux.value for aux in output.aux if aux.kind == "logits"]
        with torch.autocast(output.logits.device.type, enabled=False):
            loss = self.single(output.logits, classes)
            mixtures = [
                self.single(torch.stack(subset).mean(0), classes)
                for size in range(1, len(stages) + 1)
                for subset in combinations(stages, size)
            ]
            if mixtures:
                loss = loss + torch.stack(mixtures).mean()
            for aux in output.aux:
                if aux.kind == "router_entropy":
                    loss = loss + aux.value
        return loss

    def single(self, logits: Tensor, classes: Tensor) -> Tensor:
        """Return the loss of one map of logits ``(N, K, H, W)``."""
        logits = logits.float()
        truth = channel_masks(classes, logits, self.activation)
        if self.activation == "softmax":
            found, entropy = logits.softmax(1), F.cross_entropy(logits, classes)
        else:
            found = logits.sigmoid()
            entropy = F.binary_cross_entropy_with_logits(logits, truth)
        both, either = (found * truth).sum((0, 2, 3)), (found + truth).sum((0, 2, 3))
        dice = 1 - ((2 * both + SMOOTH) / (either + SMOOTH)).mean()
        return self.weights.dice * dice + self.weights.cross_entropy * entropy
