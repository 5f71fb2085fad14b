"""Export of trained networks as model folders: safetensors and card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from torch import nn

from flomo_training.json_files import write_json
from flomo_training.recipe import Recipe
from napari_flomo.files import atomic_write
from napari_flomo.models import CARD_FILE, ModelCard, card_text, load_card, save_model
from napari_flomo.networks import build

COSTS = ("training_hours", "hardware")
"""Facts of a run that are stored in the card."""


def export_model(network: nn.Module, recipe: Recipe, folder: Path, run: Mapping[str, Any]) -> Path:
    """Write a trained network as a model folder, without deep-supervision heads, and return it.

    The facts of the run are written to ``run.json`` beside the folder.
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
    write_json(run, folder.parent / "run.json")
    return folder


def training_protocol(recipe: Recipe) -> str:
    """Return a sentence for the card about how a model was trained."""
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


def update_card(folder: Path, **changes: Any) -> ModelCard:
    """Change fields of the card of a model folder; its weights stay the same."""
    card = replace(load_card(folder), **changes)
    with atomic_write(folder / CARD_FILE) as temporary:
        temporary.write_text(card_text(card), encoding="utf-8")
    return card


def record_metrics(folder: Path, metrics: Mapping[str, Any]) -> None:
    """Add metrics (JSON types) to the card of a model folder."""
    update_card(folder, metrics={**load_card(folder).metrics, **metrics})
