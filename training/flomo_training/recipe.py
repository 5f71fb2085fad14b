"""Training recipes: all parameters of a run, read from YAML and validated."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml

from flomo_training.recipe_checks import check_recipe
from flomo_training.recipe_schema import (
    Augmentation,
    Crops,
    CropStage,
    Data,
    Distillation,
    EncoderWeights,
    Hardware,
    LossWeights,
    Optimiser,
    Recipe,
)
from napari_flomo.errors import FlomoError
from napari_flomo.schema import SchemaError, decode
from napari_flomo.tables import read_text

__all__ = [
    "Augmentation",
    "CropStage",
    "Crops",
    "Data",
    "Distillation",
    "EncoderWeights",
    "Hardware",
    "LossWeights",
    "Optimiser",
    "Recipe",
    "locate_recipe",
    "parse_recipe",
    "read_recipe",
    "recipe_names",
]

RECIPES = Path(__file__).parent / "recipes"
"""Folder of the recipes that come with the package."""


def read_recipe(path: str | os.PathLike[str]) -> Recipe:
    """Read and validate a recipe.

    Parameters
    ----------
    path
        A file, or the name of a recipe of the package.

    Raises
    ------
    FlomoError
        If the file is missing or not YAML, or a key is unknown, missing or invalid; the message
        names the key.
    """
    path = locate_recipe(path)
    try:
        content = yaml.safe_load(read_text(path))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise FlomoError(f"The recipe {path} cannot be read ({reason}); fix it.") from error
    return parse_recipe(content, path)


def locate_recipe(recipe: str | os.PathLike[str]) -> Path:
    """Return the file of a recipe, given as a path or by a name of `recipe_names`.

    Raises a `FlomoError` if there is no such file or recipe.
    """
    path = Path(recipe)
    if path.is_file():
        return path
    if str(recipe) in recipe_names():
        return RECIPES / f"{recipe}.yaml"
    raise FlomoError(
        f"The recipe {recipe} does not exist; give a file, or one of {', '.join(recipe_names())}."
    )


def recipe_names() -> list[str]:
    """Return the names of the recipes of the package."""
    return sorted(path.stem for path in RECIPES.glob("*.yaml"))


def parse_recipe(content: Any, path: Path) -> Recipe:
    """Validate the content of a recipe; ``path`` appears in error messages."""
    try:
        recipe = decode(Recipe, content)
        check_recipe(recipe)
    except SchemaError as fault:
        raise FlomoError(f"The recipe {path} is not valid: {fault}; fix this key.") from fault
    return recipe
