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


def check_start(recipe: Recipe, source: Path) -> ModelCard | None:
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
    name, fold = recipe.parent, recipe.data.fold
    if name is None:
        return None
    card = load_card(name)
    if card.trained_on is not None:
        seen = set(card.trained_on)
        held_out = held_out_fingerprints(source, fold)
        if leaked := sorted(case for case, value in held_out.items() if value in seen):
            raise FlomoError(
                f"{name} was trained on {leaked[0]}, which fold {fold} holds out; start from a "
                "model that has not seen this fold, or choose another fold."
            )
    elif recipe.data.parent_fold is None:
        raise FlomoError(
            f"The card of {name} does not tell which images it was trained on, so fold {fold} may "
            "be among them; give the fold that it held out as 'data.parent_fold' in the recipe."
        )
    elif recipe.data.parent_fold != fold:
        raise FlomoError(
            f"{name} was trained on fold {fold}: it held out fold {recipe.data.parent_fold}; start "
            "from a model that has not seen this fold, or choose another fold."
        )
    return card


def trained_on(parent: ModelCard | None, own: Iterable[str]) -> list[str] | None:
    """Return the fingerprints for the card of a new model; None if its parent's are not known."""
    if parent is None:
        return sorted(set(own))
    return None if parent.trained_on is None else sorted({*parent.trained_on, *own})
