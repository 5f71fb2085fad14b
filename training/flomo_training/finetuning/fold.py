"""Train on the patients of one fold, and evaluate the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from flomo_training.cases import PreparedVolume
from flomo_training.finetuning.callbacks import (
    FinetuneLogger,
    RunProgress,
    load_weights,
    weights_file,
)
from flomo_training.finetuning.dataset import CorrectionSet
from flomo_training.finetuning.module import TuningModule, validation_batches
from flomo_training.finetuning.replay import ReplaySampler, SampleDataset, plan_samples
from flomo_training.finetuning.settings import Settings
from flomo_training.finetuning.share import Point
from flomo_training.fit import LAST, make_trainer
from flomo_training.recipe import Hardware
from napari_flomo.errors import Cancelled
from napari_flomo.models import ModelCard, load_network


@dataclass(frozen=True, eq=False)
class FoldTask:
    """What all folds of a run have in common.

    Attributes
    ----------
    out
        Run folder; each fold has a folder in it.
    base, card
        Folder and card of the parent.
    replayed
        Data of the base task.
    device
        Where to train.
    run
        Progress of all folds.
    """

    out: Path
    base: Path
    card: ModelCard
    replayed: Sequence[PreparedVolume]
    settings: Settings
    device: torch.device
    run: RunProgress

    def folder(self, number: int) -> Path:
        """Return the folder of a fold, counted from 1."""
        return self.out / f"fold-{number}"

    def checkpoint(self, number: int) -> Path | None:
        """Return the checkpoint of a fold, if there is one."""
        path = self.folder(number) / LAST
        return path if path.is_file() else None


@dataclass(frozen=True, eq=False)
class FoldResult:
    """A trained fold.

    Attributes
    ----------
    folder
        Its folder, with a checkpoint and the weights of the evaluated steps.
    training, held_out
        Its corrections.
    logger
        Its curves, provenance, and the Dice of its held-out patients.
    """

    folder: Path
    training: CorrectionSet
    held_out: CorrectionSet
    logger: FinetuneLogger

    @property
    def dice(self) -> dict[Point, dict[str, float]]:
        """Dice of each held-out patient by step and share."""
        return self.logger.dice

    def weights(self, step: int) -> dict[str, Tensor]:
        """Return the averaged weights of an evaluated step; without evaluation the last ones."""
        if self.held_out.frames:
            return load_weights(self.folder / weights_file(step))
        finished = torch.load(self.folder / LAST, map_location="cpu", weights_only=True)
        own: dict[str, Tensor] = finished["state_dict"]
        return {
            name.removeprefix("network."): value
            for name, value in own.items()
            if name.startswith("network.")
        }


def train_fold(
    task: FoldTask, number: int, training: CorrectionSet, held_out: CorrectionSet
) -> FoldResult:
    """Train a fold, from its last checkpoint if there is one; a finished one is not continued.

    Raises `Cancelled` if the run was cancelled.
    """
    settings, card, folder = task.settings, task.card, task.folder(number)
    steps = settings.evaluations * settings.evaluate_every
    logger = FinetuneLogger(folder, task.run, (number - 1) * steps)
    recipe = settings.recipe(card, task.base, _hardware(task.device))
    distil = not task.replayed and settings.distillation.weight > 0
    # Seed just before the weights are loaded, since imports may draw random numbers.
    lightning.seed_everything(settings.seed + number, workers=True, verbose=False)
    module = TuningModule(recipe, settings, load_network(task.base)[0], distil=distil)
    samples = plan_samples(training, task.replayed, card, settings)
    dataset = SampleDataset(samples, card, recipe.crops, recipe.augmentation, settings.seed)
    sampler = ReplaySampler(samples, settings.batch_size, settings.evaluate_every, settings.seed)
    loader = DataLoader(dataset, batch_size=settings.batch_size, sampler=sampler)
    batches: Any = validation_batches(held_out, card)
    # A device without a number is the first one.
    device = task.device
    devices = [device.index] if device.type == "cuda" and ":" in str(device) else None
    trainer = make_trainer(recipe, folder, logger, devices)
    module.adapt_batchnorm(training.frames)
    # A checkpoint is read without unpickling objects.
    trainer.fit(
        module,
        loader,
        DataLoader(batches, batch_size=None) if batches else None,
        ckpt_path=task.checkpoint(number),
        weights_only=True,
    )
    if trainer.interrupted:
        raise Cancelled("The training was interrupted; continue with --resume.")
    return FoldResult(folder, training, held_out, logger)


def _hardware(device: torch.device) -> Hardware:
    return Hardware(accelerator="gpu" if device.type == "cuda" else "cpu", devices=1)
