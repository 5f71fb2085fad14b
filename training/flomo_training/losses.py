"""Loss functions for segmentation and distillation.

The default loss is the sum of Dice, cross-entropy and focal Tversky over the output and its
intermediate stages; the losses of other networks are in separate modules.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F  # noqa: N812
from monai.losses import DiceLoss, TverskyLoss
from torch import Tensor, nn

from flomo_training.label_mapping import channel_masks
from flomo_training.mixing_loss import MixingLoss
from flomo_training.multi_task_loss import MultiTaskLoss
from flomo_training.recipe import LossWeights
from napari_flomo.networks import Output


class SegmentationLoss(nn.Module):
    """Weighted sum of the loss terms of a recipe.

    The overlap terms ignore the background and pool the whole batch, so that a single wrong pixel
    in a slice without a structure is not counted as a complete miss.

    Parameters
    ----------
    weights
        From the recipe. The focal Tversky index follows Abraham and Khan (2019).
    activation
        ``"softmax"``: channel k is class k. ``"sigmoid"``: channel k is class k + 1, without a
        channel for the background, and the cross-entropy is binary.
    """

    targets: tuple[str, ...] = ()
    """Additional arguments of `forward`; see `flomo_training.targets`."""

    def __init__(
        self, weights: LossWeights, activation: Literal["softmax", "sigmoid"] = "softmax"
    ) -> None:
        super().__init__()
        self.weights = weights
        self.activation = activation
        options: dict[str, Any] = (
            {"include_background": False, "softmax": True, "to_onehot_y": True, "batch": True}
            if activation == "softmax"
            else {"sigmoid": True, "batch": True}
        )
        self.dice = DiceLoss(**options)
        self.tversky = TverskyLoss(
            alpha=weights.false_positive, beta=weights.false_negative, reduction="none", **options
        )

    def forward(self, output: Output, classes: Tensor) -> Tensor:
        """Return the scalar loss; ``classes`` ``(N, H, W)`` are class indices, 0 the background."""
        loss = self.single(output.logits, classes)
        finest = max((a.stage for a in output.aux if a.kind == "logits"), default=0)
        for aux in output.aux:
            if aux.kind == "logits":
                size = classes.shape[-2:]
                logits = F.interpolate(aux.value, size=size, mode="bilinear", align_corners=False)
                weight = self.weights.deep_supervision * 0.5 ** (finest - aux.stage)
                loss = loss + weight * self.single(logits, classes)
            elif aux.kind == "router_entropy":
                loss = loss + aux.value
        return loss

    def single(self, logits: Tensor, classes: Tensor) -> Tensor:
        """Return the loss of one map of logits."""
        w = self.weights
        # bfloat16 is not precise enough for sums over many pixels.
        with torch.autocast(logits.device.type, enabled=False):
            logits = logits.float()
            loss = logits.new_zeros(())
            target = classes[:, None]
            if self.activation == "sigmoid":
                target = channel_masks(classes, logits, self.activation)
            if w.cross_entropy:
                loss = loss + w.cross_entropy * (
                    F.cross_entropy(logits, classes)
                    if self.activation == "softmax"
                    else F.binary_cross_entropy_with_logits(logits, target)
                )
            if w.dice:
                loss = loss + w.dice * self.dice(logits, target)
            if w.focal_tversky:
                missed = self.tversky(logits, target).clamp_min(1e-6)
                loss = loss + w.focal_tversky * missed.pow(w.gamma).mean()
            return loss


class DistillationLoss(nn.Module):
    """Cross-entropy and Dice of a student against the probabilities of its teachers.

    ``cross_entropy`` and ``dice`` have the same weights as against labels.
    """

    def __init__(self, weights: LossWeights) -> None:
        super().__init__()
        self.weights = weights
        self.dice = DiceLoss(include_background=False, softmax=True, batch=True)

    def forward(self, logits: Tensor, probabilities: Tensor) -> Tensor:
        """Return the scalar loss of ``(N, K, H, W)`` logits and mean probabilities."""
        with torch.autocast(logits.device.type, enabled=False):
            logits = logits.float()
            entropy = F.cross_entropy(logits, probabilities)
            return self.weights.cross_entropy * entropy + self.weights.dice * self.dice(
                logits, probabilities
            )


def make_loss(
    weights: LossWeights, activation: Literal["softmax", "sigmoid"]
) -> SegmentationLoss | MultiTaskLoss | MixingLoss:
    """Return the loss of a recipe.

    It is called with the network output, the classes, and the tensors named in its ``targets``.
    """
    kinds: dict[str, type[SegmentationLoss] | type[MultiTaskLoss] | type[MixingLoss]] = {
        "overlap": SegmentationLoss,
        "multi_task": MultiTaskLoss,
        "mixing": MixingLoss,
    }
    return kinds[weights.kind](weights, activation)
