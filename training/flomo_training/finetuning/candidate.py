"""Model folder of a fine-tuned candidate, with its lineage in the card."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from torch import nn

from flomo_training.finetuning.dataset import CorrectionSet
from flomo_training.finetuning.settings import Settings
from flomo_training.finetuning.share import Way
from flomo_training.lineage import trained_on
from napari_flomo.models import ModelCard, Signature, save_model
from napari_flomo.schema import encode
from napari_flomo.segmentation import fit_signature

_TUNED = re.compile(r"\.tuned-[0-9a-f]{8}$")


@dataclass(frozen=True)
class Facts:
    """Facts of a finished fine-tuning run.

    Attributes
    ----------
    training, held_out
        Corrections that some fold was trained on, and those that some fold held out.
    folds
        Number of folds that held out patients.
    replayed
        Fingerprints of the images of the base task that were used for training.
    way
        Step and share of the way, and the Dice of the held-out patients.
    seconds
        Training time, including interrupted starts.
    """

    training: CorrectionSet
    held_out: CorrectionSet
    folds: int
    replayed: tuple[str, ...]
    way: Way
    seconds: float
    hardware: str
    versions: Mapping[str, Any]


def write_candidate(
    folder: Path, network: nn.Module, parent: ModelCard, settings: Settings, facts: Facts
) -> ModelCard:
    """Write card and weights of a tuned model, both or none, and return the card."""
    lineage = lineage_of(parent, settings, facts)
    card = replace(
        parent,
        name=candidate_name(parent, lineage),
        training_data=_training_data(parent, facts.training),
        trained_on=_trained_on(parent, facts),
        metrics={},
        protocol=_protocol(parent, facts, settings),
        parent=f"{parent.name} {parent.sha256}",
        created=datetime.now(UTC).date().isoformat(),
        history=(),
        lineage=lineage,
        gate=None,
        signature=signature_of(facts.training, parent),
        sha256="",
    )
    return save_model(folder, network.eval(), card)


def signature_of(training: CorrectionSet, parent: ModelCard) -> Signature | None:
    """Return the signature of the corrected images; None if one patient is too few for it."""
    known = [frame for frame in training.frames if frame.statistics is not None]
    patients = [frame.group for frame in known]
    if not patients or (parent.signature is None and len(set(patients)) < 2):
        return None
    vectors = [frame.statistics for frame in known if frame.statistics is not None]
    return fit_signature(vectors, patients, parent=parent.signature)


def lineage_of(parent: ModelCard, settings: Settings, facts: Facts) -> dict[str, Any]:
    """Return the lineage of a tuned model for its card, in JSON types."""
    training, held_out = facts.training, facts.held_out
    whole = training.joined(held_out)
    return {
        "parent": {"name": parent.name, "sha256": parent.sha256, "card_sha256": parent.card_hash},
        "corrections": {
            "sha256": whole.batch_hash,
            "records": len(whole.records),
            "slices": training.slices,
            "groups": len(training.groups),
            "held_out_slices": held_out.slices,
            "held_out_groups": len(held_out.groups),
        },
        "replayed_images": len(facts.replayed),
        "settings": encode(settings),
        "folds": facts.folds,
        "step": facts.way.step,
        "share": facts.way.share,
        "held_out_dice": {"before": facts.way.before, "after": facts.way.after},
        "seconds": round(facts.seconds, 1),
        "hardware": facts.hardware,
        "versions": dict(facts.versions),
    }


def candidate_name(parent: ModelCard, lineage: Mapping[str, Any]) -> str:
    """Return the name of a tuned model: that of the first parent, and a hash.

    The hash of parent, corrections and settings makes names of different runs differ.
    """
    what = [lineage["parent"], lineage["corrections"], lineage["settings"]]
    what.append(lineage["replayed_images"])
    digits = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:8]
    return f"{_TUNED.sub('', parent.name)}.tuned-{digits}"


def _trained_on(parent: ModelCard, facts: Facts) -> tuple[str, ...] | None:
    own = (*facts.training.fingerprints, *facts.replayed)
    known = trained_on([parent], own)
    return None if known is None else tuple(known)


def _training_data(parent: ModelCard, training: CorrectionSet) -> str:
    slices, patients = training.slices, len(training.groups)
    what = f"{slices} corrected slice{'s' * (slices != 1)} of {patients} patient"
    return f"{parent.training_data.rstrip()} Then {what}{'s' * (patients != 1)}."


def _protocol(parent: ModelCard, facts: Facts, settings: Settings) -> str:
    guard = f"with replay of {len(facts.replayed)} images of the base task"
    if not facts.replayed:
        weight = settings.distillation.weight
        guard = "held near its parent by distillation" if weight else "without replay"
    way = facts.way
    chosen = f"{way.share:g} of the way from its parent"
    if way.after is not None:
        chosen += ", chosen with the held-out corrections"
    return (
        f"Fine-tuned from {parent.name}, {guard}: {way.step} steps in each of "
        f"{max(facts.folds, 1)} fold(s), {chosen}, seed {settings.seed}."
    )
