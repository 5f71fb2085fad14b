"""Where weights come from: what a run starts from must not have seen what the run is judged on.

A card keeps fingerprints of the images that its weights have seen, those of its parents included.
They tell nothing to whoever does not have the images, so a clinic's model gives no patient away.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from flomo_training.pack import held_out_fingerprints
from flomo_training.recipe import Recipe
from napari_flomo.errors import FlomoError
from napari_flomo.models import ModelCard, load_card


def check_parent(recipe: Recipe, source: Path) -> ModelCard | None:
    """Return the card of the model that a run starts from, or None if it starts from nothing.

    Parameters
    ----------
    recipe
        Of the run.
    source
        Data folder or packed file.

    Raises
    ------
    FlomoError
        If the model was trained on an image that the run holds out, or nobody knows.
    """
    if recipe.parent is None:
        return None
    card = load_card(recipe.parent)
    _check_unseen(recipe, source, recipe.parent, card, "start from")
    return card


def check_teachers(recipe: Recipe, source: Path) -> list[ModelCard]:
    """Return the cards of the models that a run learns from.

    Parameters
    ----------
    recipe, source
        As for `check_parent`.

    Raises
    ------
    FlomoError
        If a teacher was trained on an image that the run holds out, or nobody knows.
    """
    cards = [load_card(name) for name in recipe.teachers]
    for name, card in zip(recipe.teachers, cards, strict=True):
        _check_unseen(recipe, source, name, card, "learn from")
    return cards


def _check_unseen(recipe: Recipe, source: Path, name: str, card: ModelCard, use: str) -> None:
    """Raise if a model has seen an image that a run holds out, or nobody knows."""
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
            f"The card of {name} does not tell which images it was trained on, so fold {fold} may "
            "be among them; give the fold that it held out as 'data.parent_fold' in the recipe."
        )
    elif recipe.data.parent_fold != fold:
        raise FlomoError(
            f"{name} was trained on fold {fold}: it held out fold {recipe.data.parent_fold}; {use} "
            "a model that has not seen this fold, or choose another fold."
        )


def trained_on(ancestors: Iterable[ModelCard], own: Iterable[str]) -> list[str] | None:
    """Return the fingerprints for the card of a new model; None if an ancestor's are not known.

    Parameters
    ----------
    ancestors
        The parent and the teachers: what they have seen, the new model has learnt from, too.
    own
        Fingerprints of the images of the run.
    """
    seen = set(own)
    for card in ancestors:
        if card.trained_on is None:
            return None
        seen.update(card.trained_on)
    return sorted(seen)
