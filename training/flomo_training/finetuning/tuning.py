"""Fine-tune a model with corrections; runs can be resumed."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
import torch
from torch.utils.data import DataLoader

from flomo_training.cases import PreparedVolume
from flomo_training.finetuning.callbacks import BEST, FinetuneLogger, load_weights
from flomo_training.finetuning.candidate import Facts, write_candidate
from flomo_training.finetuning.dataset import gather
from flomo_training.finetuning.module import TuningModule, validation_batches
from flomo_training.finetuning.patient_split import readiness, split
from flomo_training.finetuning.replay import (
    ReplaySampler,
    SampleDataset,
    Samples,
    plan_samples,
    read_replay,
)
from flomo_training.finetuning.settings import Settings, read_settings
from flomo_training.fit import LAST, find_checkpoint, make_trainer
from flomo_training.gate.cases import HeldOut
from flomo_training.progress_logger import CURVES
from flomo_training.recipe import Hardware, Recipe
from napari_flomo.corrections import CorrectionStore
from napari_flomo.errors import Cancelled, FlomoError
from napari_flomo.files import atomic_write
from napari_flomo.jobs import FinetuneConfig
from napari_flomo.models import ModelCard, load_card, load_network, locate
from napari_flomo.progress import Progress, ProgressCallback, no_progress
from napari_flomo.schema import encode
from napari_flomo.segmentation import choose_device

MODEL = "model"
"""Folder of the candidate, in a run folder."""

STARTED = "started.json"
"""File in a run folder with the hashes of what the run was started with."""


@dataclass(frozen=True)
class TunedModel:
    """The result of a fine-tuning.

    Attributes
    ----------
    folder, card
        Of the candidate.
    held_out
        Slices that were held out of training; none if there was only one patient.
    batch_hash
        SHA-256 of all corrections, including held-out ones.
    curves
        Table (CSV) with loss and held-out Dice.
    seconds
        Of training.
    skipped
        One sentence for each correction that could not be used.
    """

    folder: Path
    card: ModelCard
    held_out: tuple[HeldOut, ...]
    batch_hash: str
    curves: Path
    seconds: float
    skipped: tuple[str, ...] = ()


def finetune(
    config: FinetuneConfig,
    out: Path,
    *,
    settings: Settings | None = None,
    resume: bool = False,
    progress: ProgressCallback | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> TunedModel:
    """Fine-tune a model with corrections.

    Only reviewed slices of accepted corrections are used. Some patients are held out.

    Parameters
    ----------
    config
        Model, corrections, replay data and device.
    out
        Run folder: checkpoints, curves and the candidate, ``model/``.
    settings
        The hyperparameters; by default those of ``config.settings``.
    resume
        Resume from the last checkpoint of ``out``, if there is one.
    progress
        Called at every step.
    cancelled
        Checked before every batch.

    Raises
    ------
    Cancelled
        If ``cancelled`` returned True; the run can be resumed.
    FlomoError
        If there are not enough corrections, the base was replaced meanwhile, or ``out`` contains
        another run.
    """
    settings = read_settings(config.settings) if settings is None else settings
    skipped: list[str] = []
    report = progress or no_progress
    report(Progress(message="Reading the corrections"))
    folder = locate(config.base)
    card = load_card(folder)
    corrected = gather(CorrectionStore.open(Path(config.store)), card, skipped)
    ready = readiness(corrected, settings)
    if not ready.ready:
        raise FlomoError(" ".join([ready.sentence, *skipped[:1]]))
    training, held_out = split(corrected, settings)
    replayed: list[PreparedVolume] = []
    if config.replay is not None:
        report(Progress(message="Reading the data of the base task"))
        replayed = read_replay(Path(config.replay), card, corrected, settings)
    if cancelled is not None and cancelled():
        raise Cancelled
    inputs = {
        "base": card.card_hash,
        "corrections": [training.batch_hash, held_out.batch_hash],
        "replayed": _hash(sorted(volume.fingerprint for volume in replayed)),
        "settings": encode(settings),
    }
    checkpoint = _begin(out, resume, inputs, card)
    logger = FinetuneLogger(out, settings, report, cancelled or (lambda: False))
    device = choose_device(config.device)
    recipe = settings.recipe(card, folder, _hardware(device))
    distil = not replayed and settings.distillation.weight > 0
    # Seed just before the weights are loaded, since imports may draw random numbers.
    lightning.seed_everything(settings.seed, workers=True, verbose=False)
    module = TuningModule(recipe, settings, load_network(folder)[0], distil=distil)
    samples = plan_samples(training, replayed, card, settings)
    loader = _samples_loader(samples, card, recipe, settings)
    batches = validation_batches(held_out, card)
    with warnings.catch_warnings():
        # So few slices are prepared faster than a worker process starts.
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        trainer = _make_trainer(recipe, logger, device)
        if batches:
            trainer.validate(module, _validation_loader(batches), verbose=False)
            logger.baseline = module.validation_dice.mean()
        module.adapt_batchnorm(training.frames)
        validation = _validation_loader(batches) if batches else None
        # A checkpoint is read without unpickling objects.
        trainer.fit(module, loader, validation, ckpt_path=checkpoint, weights_only=True)
    if trainer.interrupted:
        raise Cancelled("The training was interrupted; continue with --resume.")
    _load_result(module, logger, out)
    _check_unchanged(folder, card)
    facts = Facts(
        training=training,
        held_out=held_out,
        replayed=tuple(sorted({volume.fingerprint for volume in replayed})),
        steps=int(trainer.global_step),
        best_step=logger.best_step or int(trainer.global_step),
        dice_before=logger.baseline,
        dice_after=logger.best,
        seconds=logger.seconds,
        hardware=logger.provenance["hardware"],
        versions=logger.provenance["versions"],
    )
    candidate = write_candidate(out / MODEL, module.candidate.network, card, settings, facts)
    return TunedModel(
        folder=out / MODEL,
        card=candidate,
        held_out=tuple(held_out.as_held_out()),
        batch_hash=training.joined(held_out).batch_hash,
        curves=out / CURVES,
        seconds=logger.seconds,
        skipped=tuple(skipped),
    )


def _make_trainer(
    recipe: Recipe, logger: FinetuneLogger, device: torch.device
) -> lightning.Trainer:
    # A device without a number is the first one.
    devices = [device.index] if device.type == "cuda" and ":" in str(device) else None
    return make_trainer(recipe, logger.out, logger, devices)


def _begin(out: Path, resume: bool, inputs: Mapping[str, Any], card: ModelCard) -> Path | None:
    """Return the checkpoint to resume from, or create the run folder and return None.

    Raises a `FlomoError` if the folder contains another run or one that was started with other
    inputs.
    """
    checkpoint = None
    if not resume or (out / LAST).is_file():
        checkpoint = find_checkpoint(out, resume)
    if checkpoint is not None:
        _check_started(out, inputs, card)
        return checkpoint
    out.mkdir(parents=True, exist_ok=True)
    with atomic_write(out / STARTED) as temporary:
        temporary.write_text(json.dumps(inputs, indent=2) + "\n", encoding="utf-8")
    return None


def _check_started(out: Path, now: Mapping[str, Any], card: ModelCard) -> None:
    try:
        before = json.loads((out / STARTED).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FlomoError(
            f"{out} does not record how its training was started; start a new run in another "
            "folder."
        ) from error
    what = {
        "base": f"The model {card.name} was replaced",
        "corrections": "The corrections have changed",
        "replayed": "The data of the base task has changed",
        "settings": "The settings have changed",
    }
    for key, sentence in what.items():
        if before.get(key) != json.loads(json.dumps(now[key])):
            raise FlomoError(
                f"{sentence} since this training was started, so it cannot be resumed; start a "
                "new run in another folder."
            )


def _check_unchanged(folder: Path, card: ModelCard) -> None:
    """Raise if the base model was replaced since the training was started."""
    try:
        now = load_card(folder).card_hash
    except FlomoError:
        now = ""
    if now != card.card_hash:
        raise FlomoError(
            f"The model {card.name} was replaced during the training, so the result was discarded; "
            "start a new run."
        )


def _load_result(module: TuningModule, logger: FinetuneLogger, out: Path) -> None:
    """Load the best weights, or without held-out slices the last running mean.

    A run that is resumed after its last step arrives here without training.
    """
    if logger.best is not None:
        load_weights(module.candidate.network, out / BEST)
        return
    finished = torch.load(out / LAST, map_location="cpu", weights_only=True)
    module.load_state_dict(finished["state_dict"])
    module.update_candidate()


def _samples_loader(
    samples: Samples, card: ModelCard, recipe: Any, settings: Settings
) -> DataLoader[Any]:
    dataset = SampleDataset(samples, card, recipe.crops, recipe.augmentation, settings.seed)
    sampler = ReplaySampler(samples, settings.batch_size, settings.evaluate_every, settings.seed)
    return DataLoader(dataset, batch_size=settings.batch_size, sampler=sampler)


def _validation_loader(batches: list[dict[str, Any]]) -> DataLoader[Any]:
    return DataLoader(batches, batch_size=None)  # type: ignore[arg-type]


def _hardware(device: torch.device) -> Hardware:
    return Hardware(accelerator="gpu" if device.type == "cuda" else "cpu", devices=1)


def _hash(values: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(values).encode()).hexdigest()
