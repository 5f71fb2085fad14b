"""From a trained network to a model folder: safetensors and card."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from torch import nn

from flomo_training.recipe import Recipe
from napari_flomo.errors import FlomoError
from napari_flomo.files import atomic_write
from napari_flomo.models import ModelCard, load_card, load_network, save_model
from napari_flomo.models.card import CARD_FILE, card_text
from napari_flomo.networks import build

COSTS = ("training_hours", "hardware")
"""Facts of a run that belong into the card."""


def export_model(network: nn.Module, recipe: Recipe, folder: Path, run: Mapping[str, Any]) -> Path:
    """Write a trained network as a model that the shelf can load.

    Heads that only helped the training (deep supervision) are left out.

    Parameters
    ----------
    network
        As trained.
    recipe
        That it was trained by.
    folder
        Where ``card.json`` and ``model.safetensors`` go; ``run.json`` is written beside it.
    run
        Facts of the run, for ``run.json``.

    Returns
    -------
    Path
        The model folder.
    """
    arguments = {k: v for k, v in recipe.model.network_arguments.items() if k != "deep_supervision"}
    card = replace(
        recipe.model,
        network_arguments=arguments,
        metrics={name: run[name] for name in COSTS if name in run},
        created=datetime.now(UTC).date().isoformat(),
        protocol=training_protocol(recipe),
        parent=run.get("parent"),
        trained_on=None if run.get("trained_on") is None else tuple(run["trained_on"]),
    )
    plain = build(
        card.network, in_channels=card.in_channels, num_classes=card.num_classes, **arguments
    )
    trained = network.state_dict()
    plain.load_state_dict({name: trained[name] for name in plain.state_dict()})
    save_model(folder, plain.eval(), card)
    with atomic_write(folder.parent / "run.json") as temporary:
        temporary.write_text(json.dumps(dict(run), indent=2) + "\n", encoding="utf-8")
    return folder


def training_protocol(recipe: Recipe) -> str:
    """Return how a model was trained, in a sentence for its card."""
    start = ", starting from its parent" if recipe.parent else ""
    mean = ", mean of the last weights" if recipe.average is not None else ""
    data = (
        "Trained on all patients of its data"
        if recipe.data.fold is None
        else f"Trained without the patients of fold {recipe.data.fold}"
    )
    if recipe.distillation is not None:
        count = len(recipe.distillation.teachers)
        start += f", distilled from {count} teacher{'s' if count > 1 else ''}"
    return (
        f"{data}{start}: flavour "
        f"'{recipe.flavour}', {recipe.epochs} epochs{mean}, seed {recipe.seed}."
    )


def supersede(old: Path, new: Path) -> ModelCard:
    """Put a better model in the place of an older one; the card remembers the older one.

    Parameters
    ----------
    old
        Model folder that is replaced.
    new
        Model folder that takes its place, and stays as it is.

    Returns
    -------
    ModelCard
        The card now in ``old``.

    Raises
    ------
    FlomoError
        If either model is damaged, their names differ, or they are one and the same.
    """
    (_, before), (network, card) = load_network(old), load_network(new)
    if before.name != card.name or before.sha256 == card.sha256:
        raise FlomoError(
            f"{new} cannot follow {old}: it must have the same name and other weights."
        )
    version = {
        "sha256": before.sha256,
        "created": before.created,
        "protocol": before.protocol,
        "metrics": dict(before.metrics),
    }
    return save_model(old, network, replace(card, history=(*before.history, version)))


def record_metrics(folder: Path, metrics: Mapping[str, Any]) -> None:
    """Add measured figures to the card of a model; its weights stay as they are.

    Parameters
    ----------
    folder
        The model folder.
    metrics
        JSON types; they say how they were measured.
    """
    card = load_card(folder)
    card = replace(card, metrics={**card.metrics, **metrics})
    with atomic_write(folder / CARD_FILE) as temporary:
        temporary.write_text(card_text(card), encoding="utf-8")
