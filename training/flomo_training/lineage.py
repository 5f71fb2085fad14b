"""Origin of weights: a start model or teacher must not have seen the held-out images of a run.

A model card stores fingerprints of all training images, including those of its parents. They reveal
nothing to anyone who does not have the images, so they do not identify patients.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from flomo_training.pack import held_out_fingerprints
from flomo_training.recipe import Recipe
from napari_flomo.errors import FlomoError
from napari_flomo.models import ModelCard, load_card


def check_parent(recipe: Recipe, source: Path) -> ModelCard | None:
    """Return the card of the model that a run starts from, or None for random weights.

    Raises a `FlomoError` if the model was or may have been trained on a held-out image of the run.
    """
    if recipe.parent is None:
        return None
    card = load_card(recipe.parent)
    _check_unseen(recipe, source, recipe.parent, card, "start from")
    return card


def check_teachers(recipe: Recipe, source: Path) -> list[ModelCard]:
    """Return the cards of the teachers of a run, with the same check."""
    cards = [load_card(name) for name in recipe.teachers]
    for name, card in zip(recipe.teachers, cards, strict=True):
        _check_unseen(recipe, source, name, card, "learn from")
    return cards


def _check_unseen(recipe: Recipe, source: Path, name: str, card: ModelCard, use: str) -> None:
    """Raise if a model was or may have been trained on a held-out image of a run."""
    fold = recipe.data.fold
    if fold is None:
        return
    if card.trained_on is not None:
        seen = set(card.trained_on)
        held_out = held_out_fingerprints(source, fold)
        if leaked := sorted(case for case, value in held_out.items() if value in seen):
            raise FlomoError(
                f"{name} was trained on {leaked[0]}, which fold {fold} holds out; {use} a "
                "model that has not seen this fold, or choose another fold."
            )
    elif recipe.data.parent_fold is None:
        raise FlomoError(
            f"The card of {name} does not list its training images, so fold {fold} may be among "
            "them; set 'data.parent_fold' in the recipe to the fold that it held out."
        )
    elif recipe.data.parent_fold != fold:
        raise FlomoError(
            f"{name} was trained on fold {fold}: it held out fold {recipe.data.parent_fold}; {use} "
            "a model that has not seen this fold, or choose another fold."
        )


def trained_on(ancestors: Iterable[ModelCard], own: Iterable[str]) -> list[str] | None:
    """Return the fingerprints for the card of a new model; None if an ancestor's are unknown.

    Ancestors are the parent and the teachers; ``own`` has the fingerprints of the run's images.
    """
    seen = set(own)
    for card in ancestors:
        if card.trained_on is None:
            return None
        seen.update(card.trained_on)
    return sorted(seen)
