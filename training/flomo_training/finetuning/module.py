"""Lightning module for fine-tuning with corrections, and its evaluation."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn

from flomo_training.finetuning.batchnorm import adapt_statistics, in_view
from flomo_training.finetuning.dataset import CorrectedFrame, CorrectionSet
from flomo_training.finetuning.partial_labels import (
    merge_unnamed,
    retention,
    unnamed_retention,
)
from flomo_training.finetuning.settings import Settings
from flomo_training.label_mapping import predict_classes
from flomo_training.module import SegmentationModule
from flomo_training.recipe import Recipe
from napari_flomo.models import ModelCard
from napari_flomo.networks import Output

VALIDATION_BATCH = 4
"""Held-out slices per batch."""


class TuningModule(SegmentationModule):
    """Fine-tuning on corrections.

    Parameters
    ----------
    recipe, settings
        The recipe is `Settings.recipe`.
    parent
        The parent network.
    distil
        Whether to distil the parent where the reader agreed with it.

    Attributes
    ----------
    candidates
        The networks that are evaluated: for each share of `Settings.shares` the weights there
        between the parent and the trained network.
    validation_dice
        Of these networks.
    """

    def __init__(
        self, recipe: Recipe, settings: Settings, parent: nn.Module, *, distil: bool
    ) -> None:
        super().__init__(recipe)
        self.settings = settings
        self.candidates = {share: _Frozen(copy.deepcopy(parent)) for share in settings.shares}
        self.start = _Frozen(copy.deepcopy(parent))
        self.parent = _Frozen(parent)
        self.distil = distil
        self.validation_dice = {share: DiceAccumulator() for share in settings.shares}
        self.train()  # Lightning does not change the mode of a module

    def train(self, mode: bool = True) -> Self:
        """Set the training mode; batch norm statistics stay frozen if the settings say so."""
        super().train(mode)
        if self.settings.freeze_statistics:
            for module in self.network.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        return self

    def setup(self, stage: str) -> None:
        """Use fast gradients on a CPU; move the frozen networks to the device."""
        super().setup(stage)
        for frozen in (self.start, self.parent, *self.candidates.values()):
            frozen.network.to(self.trainer.strategy.root_device)

    def adapt_batchnorm(self, frames: Sequence[CorrectedFrame]) -> None:
        """Adapt the batch norms of the network, before training, to the training images."""
        rule = self.settings
        adapt_statistics(
            self.start.network, frames, self.recipe.model, rule.adapt_statistics, rule.seed
        )
        self.network.load_state_dict(self.start.network.state_dict())

    def training_step(self, batch: dict[str, Tensor], _index: int) -> Tensor:
        """Return the loss of a batch: segmentation loss of labelled slices, and distillation."""
        card, rule = self.recipe.model, self.settings.distillation
        images = batch["image"].contiguous(memory_format=torch.channels_last)
        output = self.network(images)
        labelled, classes = batch["labelled"], batch["classes"]
        named = batch["named"]
        merged = merge_unnamed(output.logits[labelled], named[labelled], card.activation)
        penalties = [aux for aux in output.aux if aux.kind != "logits"]
        loss: Tensor = self.loss(Output(merged, penalties), classes[labelled])
        partial = not bool(named.all())
        if self.distil or partial:
            with torch.no_grad():
                before = self.start(images)
        if partial:
            with torch.autocast(images.device.type, enabled=False):
                loss = loss + unnamed_retention(
                    output.logits, before, named, classes, card.activation
                )
        if self.distil:
            with torch.no_grad():
                seen_alike = merge_unnamed(before, named, card.activation)
                agreed = predict_classes(seen_alike, card) == classes
                where = agreed | ~labelled[:, None, None]
            with torch.autocast(images.device.type, enabled=False):
                away = retention(output.logits, before, where, card.activation, rule.temperature)
            loss = loss + rule.weight * away
        self.log("train/loss", loss, on_step=False, on_epoch=True, batch_size=len(images))
        return loss

    def on_validation_epoch_start(self) -> None:
        """Reset the Dice and update the candidates."""
        for share, candidate in self.candidates.items():
            self.validation_dice[share] = DiceAccumulator()
            weights = interpolate_weights(self.parent.network, [self.network.state_dict()], share)
            candidate.network.load_state_dict(weights)

    def validation_step(self, batch: dict[str, Any], _index: int) -> None:
        """Accumulate the Dice of slices of one held-out frame."""
        for share, candidate in self.candidates.items():
            self.validation_dice[share].add_batch(candidate, batch, self.recipe.model)


def interpolate_weights(
    parent: nn.Module, trained: Sequence[Mapping[str, Tensor]], share: float
) -> dict[str, Tensor]:
    """Interpolate between the weights of a parent (0) and the mean of trained weights (1).

    Integers, such as counters, are those of the parent. Source: Wortsman et al., Robust fine-tuning
    of zero-shot models, CVPR 2022; of the mean: Wortsman et al., Model soups, ICML 2022.
    """

    def mean(name: str, like: Tensor) -> Tensor:
        # After training Lightning moves its network, but not the parent, to the CPU.
        return torch.stack([weights[name].to(like.device) for weights in trained]).mean(0)

    return {
        name: torch.lerp(value, mean(name, value), share) if value.is_floating_point() else value
        for name, value in parent.state_dict().items()
    }


class DiceAccumulator:
    """Accumulates the Dice of held-out corrections by patient, frame and structure."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str, int], list[int]] = {}

    def add(
        self, group: str, frame: str, evaluated: Sequence[bool], found: Tensor, truth: Tensor
    ) -> None:
        """Add slices ``(N, H, W)`` of a frame; ``evaluated`` as in `CorrectedFrame`."""
        for index, counts_here in enumerate(evaluated):
            if index == 0 or not counts_here:
                continue
            one, other = found == index, truth == index
            counts = self._counts.setdefault((group, frame, index), [0, 0])
            counts[0] += 2 * int((one & other).sum())
            counts[1] += int(one.sum()) + int(other.sum())

    def add_batch(
        self, network: Callable[[Tensor], Tensor], batch: Mapping[str, Any], card: ModelCard
    ) -> None:
        """Add one of `validation_batches`; ``network`` returns logits."""
        images = batch["image"].contiguous(memory_format=torch.channels_last)
        found = predict_classes(network(images), card)
        self.add(batch["group"], batch["frame"], batch["evaluated"], found, batch["classes"])

    def by_patient(self) -> dict[str, float]:
        """Return for each patient the mean over frames and structures.

        Structures absent from both are ignored, and patients for whom nothing is left.
        """
        groups: dict[str, list[float]] = {}
        for (group, _, _), (shared, both) in self._counts.items():
            if both:
                groups.setdefault(group, []).append(shared / both)
        return {group: sum(values) / len(values) for group, values in groups.items()}


@torch.no_grad()
def patient_dice(
    network: nn.Module, held_out: CorrectionSet, card: ModelCard, device: torch.device
) -> dict[str, float]:
    """Return the Dice of a network for each patient."""
    frozen, dice = _Frozen(network.to(device)), DiceAccumulator()
    for batch in validation_batches(held_out, card):
        moved = {key: one.to(device) for key, one in batch.items() if isinstance(one, Tensor)}
        dice.add_batch(frozen, {**batch, **moved}, card)
    return dice.by_patient()


def validation_batches(held_out: CorrectionSet, card: ModelCard) -> list[dict[str, Any]]:
    """Return batches of held-out slices in the model's field of view."""
    batches: list[dict[str, Any]] = []
    for frame in held_out.frames:
        images, classes = in_view(frame.volume.images, card), in_view(frame.volume.classes, card)
        for begin in range(0, len(images), VALIDATION_BATCH):
            part = slice(begin, begin + VALIDATION_BATCH)
            batches.append(
                {
                    "image": torch.from_numpy(images[part]).float() / 255,
                    "classes": torch.from_numpy(classes[part]).long(),
                    "evaluated": frame.evaluated or frame.named,
                    "group": frame.group,
                    "frame": frame.volume.case.name,
                }
            )
    return batches


class _Frozen:
    """A network that is not a submodule: not trained, not saved, not copied."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def __call__(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(images).logits.float()
        return logits

    def __deepcopy__(self, _memo: dict[int, Any]) -> _Frozen:
        return self
