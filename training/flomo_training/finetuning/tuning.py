"""Fine-tune a model with corrections: what is learnt, kept, resumed and refused."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import lightning
import torch
from torch.utils.data import DataLoader

from flomo_training.cases import PreparedVolume
from flomo_training.finetuning.callbacks import BEST, Watch, take_weights
from flomo_training.finetuning.candidate import Facts, write_candidate
from flomo_training.finetuning.gathering import Corrected, gather
from flomo_training.finetuning.module import TuningModule, validation_batches
from flomo_training.finetuning.replay import (
    ReplaySampler,
    SampleDataset,
    Samples,
    plan_samples,
    read_replay,
)
from flomo_training.finetuning.settings import Settings, read_settings
from flomo_training.finetuning.splitting import readiness, split
from flomo_training.fit import LAST, find_checkpoint, make_trainer
from flomo_training.gate.cases import HeldOut
from flomo_training.progress_logger import CURVES
from flomo_training.recipe import Hardware
from napari_flomo.corrections import CorrectionStore
from napari_flomo.errors import Cancelled, FlomoError
from napari_flomo.files import atomic_write
from napari_flomo.jobs import Report
from napari_flomo.models import ModelCard, load_card, load_network, locate
from napari_flomo.models.schema import encode
from napari_flomo.segmentation import choose_device

MODEL = "model"
"""Folder of the candidate in a run folder."""

STARTED = "started.json"
"""What a run folder keeps of what the run was started with."""


@dataclass(frozen=True)
class Tuned:
    """A fine-tuning that has ended.

    Attributes
    ----------
    folder
        Of the candidate: ``card.json`` and ``model.safetensors``.
    card
        Of the candidate.
    held_out
        Which slices were kept out of training; none, if there was only one patient.
    batch_hash
        SHA-256 of what the corrections said, those that were held out included.
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
    base: str | Path,
    store: Path,
    out: Path,
    *,
    replay: Path | None = None,
    settings: Settings | None = None,
    device: str = "auto",
    progress: Report | None = None,
    cancelled: Callable[[], bool] | None = None,
    resume: bool = False,
) -> Tuned:
    """Teach a model what readers corrected.

    Only slices that a person saw, of accepted corrections, are learnt from. Some patients are kept
    out of training.

    Parameters
    ----------
    base
        Name or folder of the model to start from; it stays as it is.
    store
        Folder of the corrections.
    out
        Run folder: checkpoints, curves and the candidate, ``model/``.
    replay
        Data folder of the base task, or a packed file of it.
    settings
        Every number; by default those of the package.
    device
        ``"auto"``, ``"cpu"``, ``"cuda"``, ...
    progress
        Is told every step.
    cancelled
        Asked before every batch.
    resume
        Go on from the last checkpoint of ``out``, if there is one yet.

    Raises
    ------
    Cancelled
        If ``cancelled`` said so; the run can be resumed.
    FlomoError
        If there is not enough to learn from, the base was replaced meanwhile, or ``out`` holds
        another run.
    """
    settings = read_settings() if settings is None else settings
    skipped: list[str] = []
    tell = _silent if progress is None else progress
    tell(0, 0, None, "Reading the corrections")
    corrected = gather(CorrectionStore.open(store), load_card(base), skipped)
    ready = readiness(corrected, settings)
    if not ready.ready:
        raise FlomoError(" ".join([ready.sentence, *skipped[:1]]))
    training, held_out = split(corrected, settings)
    replayed: list[PreparedVolume] = []
    if replay is not None:
        tell(0, 0, None, "Reading the data of the base task")
        replayed = read_replay(Path(replay), load_card(base), corrected, settings)
    if cancelled is not None and cancelled():
        raise Cancelled
    tuned = tune(
        base,
        training,
        held_out,
        Path(out),
        settings,
        replayed=replayed,
        device=device,
        progress=progress,
        cancelled=cancelled,
        resume=resume,
    )
    return replace(tuned, skipped=tuple(skipped))


def tune(
    base: str | Path,
    training: Corrected,
    held_out: Corrected,
    out: Path,
    settings: Settings,
    *,
    replayed: Sequence[PreparedVolume] = (),
    device: str = "auto",
    progress: Report | None = None,
    cancelled: Callable[[], bool] | None = None,
    resume: bool = False,
) -> Tuned:
    """Fine-tune with slices that were gathered before. Arguments and errors as of `finetune`.

    Parameters
    ----------
    training, held_out
        From `split`; ``held_out`` may be empty, then the last weights are kept.
    replayed
        From `read_replay`.
    """
    folder = locate(base)
    card = load_card(folder)
    checkpoint = _begin(
        out,
        resume,
        card,
        training=training,
        held_out=held_out,
        replayed=replayed,
        settings=settings,
    )
    samples = plan_samples(training, replayed, card, settings)
    chosen = choose_device(device)
    recipe = settings.recipe(card, folder, _hardware(chosen))
    teaches = not replayed and settings.distillation.weight > 0
    # Just before weights are drawn: what is imported on the way may draw numbers of its own.
    lightning.seed_everything(settings.seed, workers=True, verbose=False)
    module = TuningModule(recipe, settings, load_network(folder)[0], teaches=teaches)
    tell = _silent if progress is None else progress
    watch = Watch(out, settings, tell, _never if cancelled is None else cancelled)
    # A device without a number is the first one that there is.
    devices = [chosen.index] if chosen.type == "cuda" and ":" in str(chosen) else None
    trainer = make_trainer(recipe, out, watch, devices)
    batches = validation_batches(held_out, card)
    with warnings.catch_warnings():
        # The few slices of a fine-tuning are prepared quicker than a process starts.
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        if batches:
            trainer.validate(module, _looks_loader(batches), verbose=False)
            watch.baseline = module.tally.dice()
        module.adapt_batchnorm(training.frames)
        loader = _samples_loader(samples, card, recipe, settings)
        # Only tensors and numbers are ever read from a checkpoint, never a pickled object.
        trainer.fit(
            module,
            loader,
            _looks_loader(batches) if batches else None,
            ckpt_path=checkpoint,
            weights_only=True,
        )
    if trainer.interrupted:
        raise Cancelled("The training was interrupted; go on with --resume.")
    _take_result(module, watch, out)
    _check_unchanged(folder, card)
    facts = Facts(
        training=training,
        held_out=held_out,
        replayed=tuple(sorted({volume.fingerprint for volume in replayed})),
        steps=int(trainer.global_step),
        best_step=watch.best_step or int(trainer.global_step),
        dice_before=watch.baseline,
        dice_after=watch.best,
        seconds=watch.seconds,
        hardware=watch.provenance["hardware"],
        versions=watch.provenance["versions"],
    )
    candidate = write_candidate(out / MODEL, module.candidate.network, card, settings, facts)
    return Tuned(
        folder=out / MODEL,
        card=candidate,
        held_out=tuple(held_out.as_held_out()),
        batch_hash=Corrected((*training.frames, *held_out.frames)).batch_hash,
        curves=out / CURVES,
        seconds=watch.seconds,
    )


def _begin(
    out: Path,
    resume: bool,
    card: ModelCard,
    *,
    training: Corrected,
    held_out: Corrected,
    replayed: Sequence[PreparedVolume],
    settings: Settings,
) -> Path | None:
    """Return the checkpoint to go on from, if there is one, or make a run folder.

    Raises
    ------
    FlomoError
        If another run is in the way, or this one was started with something else.
    """
    checkpoint = None
    if not resume or (out / LAST).is_file():
        checkpoint = find_checkpoint(out, resume)
    told = {
        "base": card.card_hash,
        "corrections": [training.batch_hash, held_out.batch_hash],
        "replayed": _hash(sorted(volume.fingerprint for volume in replayed)),
        "settings": encode(settings),
    }
    if checkpoint is not None:
        _check_started(out, told, card)
        return checkpoint
    out.mkdir(parents=True, exist_ok=True)
    with atomic_write(out / STARTED) as temporary:
        temporary.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    return None


def _check_started(out: Path, told: Mapping[str, Any], card: ModelCard) -> None:
    try:
        before = json.loads((out / STARTED).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FlomoError(
            f"{out} does not tell what its training began with; train anew in another folder."
        ) from error
    what = {
        "base": f"The model {card.name} was replaced",
        "corrections": "The corrections have changed",
        "replayed": "The data of the base task has changed",
        "settings": "The settings have changed",
    }
    for key, sentence in what.items():
        if before.get(key) != json.loads(json.dumps(told[key])):
            raise FlomoError(
                f"{sentence} since this training began, so it cannot go on; train anew in another "
                "folder."
            )


def _check_unchanged(folder: Path, card: ModelCard) -> None:
    """Raise if the base is not what it was when the training began."""
    try:
        now = load_card(folder).card_hash
    except FlomoError:
        now = ""
    if now != card.card_hash:
        raise FlomoError(
            f"The model {card.name} was replaced while the training went on, so its result was not "
            "kept; train anew."
        )


def _take_result(module: TuningModule, watch: Watch, out: Path) -> None:
    """Make the best candidate, or without held-out slices that of the last running mean.

    A run that was cut off between its last step and this line comes here untrained.
    """
    if watch.best is not None:
        take_weights(module.candidate.network, out / BEST)
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


def _looks_loader(batches: list[dict[str, Any]]) -> DataLoader[Any]:
    return DataLoader(batches, batch_size=None)  # type: ignore[arg-type]


def _hardware(device: torch.device) -> Hardware:
    return Hardware(accelerator="gpu" if device.type == "cuda" else "cpu", devices=1)


def _hash(values: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(values).encode()).hexdigest()


def _never() -> bool:
    """Tell that nobody asked to stop."""
    return False


def _silent(
    done: int,
    total: int,
    seconds_left: float | None = None,
    message: str = "",
    data: Mapping[str, Any] | None = None,
) -> None:
    """Tell nobody."""
