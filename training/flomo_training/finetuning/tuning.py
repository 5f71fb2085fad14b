"""Fine-tune a model with corrections; runs can be resumed."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import torch

from flomo_training.cases import PreparedVolume
from flomo_training.finetuning.callbacks import RunProgress
from flomo_training.finetuning.candidate import Facts, write_candidate
from flomo_training.finetuning.dataset import CorrectionSet, gather
from flomo_training.finetuning.fold import FoldResult, FoldTask, train_fold
from flomo_training.finetuning.module import interpolate_weights, patient_dice
from flomo_training.finetuning.patient_split import folds, readiness
from flomo_training.finetuning.replay import read_replay
from flomo_training.finetuning.settings import Settings, read_settings
from flomo_training.finetuning.share import Way, choose_way
from flomo_training.fit import LAST
from flomo_training.gate.cases import Fold
from flomo_training.progress_logger import CURVES
from flomo_training.quiet import quiet_lightning
from napari_flomo.corrections import CorrectionStore
from napari_flomo.errors import Cancelled, FlomoError
from napari_flomo.files import atomic_write
from napari_flomo.jobs import FinetuneConfig
from napari_flomo.models import ModelCard, load_card, load_network, locate
from napari_flomo.progress import Progress, ProgressCallback, no_progress
from napari_flomo.schema import encode
from napari_flomo.segmentation import choose_device

MODEL = "model"
"""Folder of a model, in a run folder (the candidate) and in that of a fold."""

STARTED = "started.json"
"""File in a run folder with the hashes of what the run was started with."""


@dataclass(frozen=True)
class TunedModel:
    """The result of a fine-tuning.

    Attributes
    ----------
    folder, card
        Of the candidate; there is none, and the card is None, if nothing was learnt.
    way
        How far the candidate is from its parent; with share 0 nothing was learnt.
    folds
        For each fold a model that was trained without its held-out patients; none if there was only
        one patient.
    batch_hash
        SHA-256 of all corrections.
    curves
        Table (CSV) with loss and held-out Dice.
    seconds
        Of training.
    skipped
        One sentence for each correction that could not be used.
    """

    folder: Path
    card: ModelCard | None
    way: Way
    folds: tuple[Fold, ...]
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

    Only reviewed slices of accepted corrections are used. The model is trained in several folds,
    each without some of the patients, on whom it is then evaluated: how far to go from the parent
    is what helps them (`choose_way`). The candidate has the mean of the folds' weights.

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
    replayed: list[PreparedVolume] = []
    if config.replay is not None:
        report(Progress(message="Reading the data of the base task"))
        replayed = read_replay(Path(config.replay), card, corrected, settings)
    if cancelled is not None and cancelled():
        raise Cancelled
    inputs = {
        "base": card.card_hash,
        "corrections": corrected.batch_hash,
        "replayed": _hash(sorted(volume.fingerprint for volume in replayed)),
        "settings": encode(settings),
    }
    _begin(out, resume, inputs, card)
    device = torch.device(choose_device(config.device))
    parts = folds(corrected, settings) or [frozenset()]
    report(Progress(message="Evaluating the model in use"))
    parent = patient_dice(
        load_network(folder)[0], corrected.of(frozenset().union(*parts)), card, device
    )
    run = RunProgress(
        report,
        cancelled or (lambda: False),
        len(parts) * settings.evaluations * settings.evaluate_every,
        parent,
    )
    task = FoldTask(out, folder, card, replayed, settings, device, run)
    with quiet_lightning():
        results = [
            train_fold(task, number, corrected.without(part), corrected.of(part))
            for number, part in enumerate(parts, start=1)
        ]
    _check_unchanged(folder, card)
    way = _way(results, parent, settings)
    _write_curves(results, out / CURVES)
    facts = _facts(results, replayed, way)
    made: ModelCard | None = None
    judged: list[Fold] = []
    if way.share:
        for one in results:
            if one.held_out.frames:
                _write(task, one.folder / MODEL, [one], _facts([one], replayed, way))
                judged.append(Fold(one.folder / MODEL, tuple(one.held_out.as_held_out())))
        made = _write(task, out / MODEL, results, facts)
    return TunedModel(
        folder=out / MODEL,
        card=made,
        way=way,
        folds=tuple(judged),
        batch_hash=corrected.batch_hash,
        curves=out / CURVES,
        seconds=facts.seconds,
        skipped=tuple(skipped),
    )


def _way(results: Sequence[FoldResult], parent: Mapping[str, float], settings: Settings) -> Way:
    """Choose step and share on the held-out patients of all folds."""
    points = {
        point: reduce(lambda all_, one: all_ | one.dice[point], results, dict[str, float]())
        for point in results[0].dice
    }
    measured = {
        patient: dice
        for patient, dice in parent.items()
        if all(patient in found for found in points.values())
    }
    if not measured or not points:
        share = min(settings.unchecked_share, max(settings.shares))
        return Way(settings.evaluations * settings.evaluate_every, share)
    return choose_way(measured, points, settings.unchecked_share)


def _facts(results: Sequence[FoldResult], replayed: Sequence[PreparedVolume], way: Way) -> Facts:
    training = reduce(CorrectionSet.joined, (one.training for one in results))
    held_out = reduce(CorrectionSet.joined, (one.held_out for one in results))
    provenance = results[-1].logger.provenance
    return Facts(
        training=training,
        held_out=held_out,
        folds=sum(bool(one.held_out.frames) for one in results),
        replayed=tuple(sorted({volume.fingerprint for volume in replayed})),
        way=way,
        seconds=sum(one.logger.seconds for one in results),
        hardware=provenance["hardware"],
        versions=provenance["versions"],
    )


def _write(task: FoldTask, folder: Path, results: Sequence[FoldResult], facts: Facts) -> ModelCard:
    """Write a model with the mean weights of some folds, at the chosen point."""
    network = load_network(task.base)[0]
    trained = [one.weights(facts.way.step) for one in results]
    network.load_state_dict(interpolate_weights(network, trained, facts.way.share))
    return write_candidate(folder, network, task.card, task.settings, facts)


def _write_curves(results: Sequence[FoldResult], path: Path) -> None:
    """Write the curves of all folds into one table."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["fold", *results[0].logger.columns])
        writer.writeheader()
        for number, one in enumerate(results, start=1):
            writer.writerows({"fold": number, **row} for row in one.logger.rows)


def _begin(out: Path, resume: bool, inputs: Mapping[str, Any], card: ModelCard) -> None:
    """Create the run folder, or check that the run in it can be resumed.

    Raises a `FlomoError` if the folder contains another run or one that was started with other
    inputs.
    """
    if any(out.glob(f"**/{LAST}")):
        if not resume:
            raise FlomoError(
                f"{out} already contains a run; add --resume, or choose another --out."
            )
        _check_started(out, inputs, card)
        return
    out.mkdir(parents=True, exist_ok=True)
    with atomic_write(out / STARTED) as temporary:
        temporary.write_text(json.dumps(inputs, indent=2) + "\n", encoding="utf-8")


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


def _hash(values: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(values).encode()).hexdigest()
