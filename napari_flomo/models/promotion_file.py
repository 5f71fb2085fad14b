"""The folder of tuned models, and the file in it that records which were promoted.

``tuned/in_use.json`` holds for each base model a stack of the models that were promoted for it:
those that replaced it, and specialists.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_flomo.errors import FlomoError
from napari_flomo.files import write_json
from napari_flomo.paths import data_folder
from napari_flomo.schema import SchemaError, decode, encode, read_json

IN_USE_FILE = "in_use.json"
SCHEMA = 1


@dataclass(frozen=True)
class Promotion:
    """A promoted model.

    Parameters
    ----------
    name, sha256
        The model and the SHA-256 of its weights.
    date
        When it was promoted, ISO date.
    despite_gate
        Whether it was promoted although it had not passed the gate.
    specialist
        Whether it is used only for images like those that it was tuned with.
    replaces
        The older specialist for such images that is no longer used, if there was one.
    """

    name: str
    sha256: str
    date: str = ""
    despite_gate: bool = False
    specialist: bool = False
    replaces: str | None = None


@dataclass(frozen=True)
class _FileContent:
    """``bases`` holds a list of promotions for each base model, oldest first."""

    bases: Mapping[str, Any] = field(default_factory=dict)
    schema: int = SCHEMA


def tuned_folder() -> Path:
    """Return the folder of all tuned models; it need not exist."""
    return data_folder() / "tuned"


def promotions(base: str) -> list[Promotion]:
    """Return what was promoted for a base model, oldest first.

    Raises
    ------
    FlomoError
        If ``in_use.json`` is damaged.
    """
    return read_promotions().get(base, [])


def promoted_for(name: str) -> str | None:
    """Return the base model for which a tuned model was promoted, or None.

    Raises
    ------
    FlomoError
        If ``in_use.json`` is damaged.
    """
    for base, stack in read_promotions().items():
        if any(promotion.name == name for promotion in stack):
            return base
    return None


def read_promotions() -> dict[str, list[Promotion]]:
    """Return the promotions of all base models, oldest first."""
    path = tuned_folder() / IN_USE_FILE
    try:
        content = decode(_FileContent, read_json(path))
        if content.schema > SCHEMA:
            raise SchemaError("it was written by a newer napari-flomo, so update it first")
        stacks: dict[str, list[Promotion]] = {}
        for base, stack in content.bases.items():
            if not isinstance(stack, list):
                raise SchemaError(f"'bases.{base}' must be a list")
            stacks[base] = [decode(Promotion, item, f"bases.{base}") for item in stack]
    except FileNotFoundError:
        return {}
    except (OSError, SchemaError) as error:
        raise FlomoError(
            f"{path}, which records the models in use, cannot be used: {error}; delete it to "
            "start again with the base models."
        ) from error
    return stacks


def write_promotions(stacks: Mapping[str, list[Promotion]]) -> None:
    """Replace the promotions of all base models."""
    content = _FileContent({base: encode(stack) for base, stack in stacks.items() if stack})
    write_json(tuned_folder() / IN_USE_FILE, encode(content))
