"""Which model stands for a name: a stack of promoted descendants over each base model.

The stack lies in ``tuned/in_use.json``. A name that somebody types always means exactly that model;
only where nobody chose one, `in_use` says which it is.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from napari_flomo.errors import FlomoError
from napari_flomo.files import atomic_write
from napari_flomo.models import tuned
from napari_flomo.models.card import ModelCard, read_card
from napari_flomo.models.schema import SchemaFault, decode, encode, read_json
from napari_flomo.models.shelf import CARD_FILE

IN_USE_FILE = "in_use.json"
SCHEMA = 1

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Promotion:
    """A tuned model on a stack.

    Parameters
    ----------
    name, sha256
        The model and the SHA-256 of its weights.
    date
        When it was promoted, ISO date.
    despite_gate
        Whether somebody wanted it although the gate had not let it pass.
    """

    name: str
    sha256: str
    date: str = ""
    despite_gate: bool = False


@dataclass(frozen=True)
class _InUse:
    """The content of the file; ``bases`` holds a list of promotions for each base, oldest first."""

    bases: Mapping[str, Any] = field(default_factory=dict)
    schema: int = SCHEMA


def in_use(base: str) -> str:
    """Return the model that stands for a base model now.

    Parameters
    ----------
    base
        Name of the base model, such as ``"flomo-b0-acdc"``.

    Returns
    -------
    str
        The model that was promoted last. A damaged or missing one is passed over, which is logged;
        without any it is the base itself.
    """
    try:
        stack = promotions(base)
    except FlomoError as error:
        _LOG.warning("%s Until then %s is used.", error, base)
        return base
    for promotion in reversed(stack):
        try:
            _check(promotion)
        except FlomoError as error:
            _LOG.warning("%s is not used: %s", promotion.name, error)
            continue
        return promotion.name
    return base


def promote(name: str, *, despite_gate: bool = False) -> str:
    """Let a candidate take the place of its parent.

    Parameters
    ----------
    name
        Of a tuned model, see `napari_flomo.models.install_candidate`.
    despite_gate
        Promote it although the gate did not let it pass; this is recorded.

    Returns
    -------
    str
        The base model for which it stands now.

    Raises
    ------
    FlomoError
        If there is no such candidate, it is damaged, it did not pass the gate, or its parent is not
        the model in use now.
    """
    with tuned.locked():
        card = tuned.read_sound(name)
        base = base_of(card)
        stacks = _read()
        current = in_use(base)
        if current == name:
            return base
        _check_parent(card, current, stacks.get(base, []))
        if not despite_gate:
            check_gate(card)
        passed = card.gate is not None and card.gate.get("verdict") == "passed"
        today = datetime.now(UTC).date().isoformat()
        # Those above the one in use are damaged or gone, and would come back once repaired.
        kept = _up_to(stacks.get(base, []), current)
        added = Promotion(name, card.sha256, today, despite_gate=despite_gate and not passed)
        _write(stacks | {base: [*kept, added]})
    return base


def rollback(base: str) -> str:
    """Go back to the model that was in use before the last promotion.

    Parameters
    ----------
    base
        Name of the base model, or of a model that was promoted for it.

    Returns
    -------
    str
        The model in use now.

    Raises
    ------
    FlomoError
        If nothing was promoted for that model.
    """
    with tuned.locked():
        stacks = _read()
        base = base if base in stacks else (promoted_for(base) or base)
        stack = stacks.get(base, [])
        if not stack:
            raise FlomoError(f"No tuned model stands for {base}, so there is no way back from it.")
        # A damaged model on top is not in use, so to take only that off would change nothing.
        current = in_use(base)
        _write(stacks | {base: _up_to(stack, current)[:-1]})
    return in_use(base)


def promotions(base: str) -> list[Promotion]:
    """Return what was promoted for a base model, oldest first.

    Raises
    ------
    FlomoError
        If the file that tells is damaged.
    """
    return _read().get(base, [])


def promoted_for(name: str) -> str | None:
    """Return the base model on whose stack a tuned model is, or None.

    Raises
    ------
    FlomoError
        If the file that tells is damaged.
    """
    for base, stack in _read().items():
        if any(promotion.name == name for promotion in stack):
            return base
    return None


def base_of(card: ModelCard) -> str:
    """Return the base model from which a tuned model descends, over all its parents.

    Raises
    ------
    FlomoError
        If it has no parent, or the chain of parents is a circle.
    """
    seen = [card.name]
    while card.parent is not None:
        parent = parent_of(card)[0]
        if parent in seen:
            raise FlomoError(f"{' and '.join(seen)} call each other parents; train again.")
        folder = tuned.find(parent)
        if folder is None:
            return promoted_for(parent) or parent
        seen.append(parent)
        card = read_card(folder / CARD_FILE)
    if len(seen) == 1:
        raise FlomoError(f"{card.name} was not tuned from another model, so it replaces none.")
    return seen[-1]


def parent_of(card: ModelCard) -> tuple[str, str]:
    """Return name and SHA-256 of the weights of the parent that a card names; "" if unknown."""
    name, _, sha256 = (card.parent or "").rpartition(" ")
    return (name, sha256) if name else (sha256, "")


def check_gate(card: ModelCard) -> None:
    """Raise unless the gate let these very weights pass.

    Raises
    ------
    FlomoError
        With the reasons of the gate.
    """
    gate = card.gate
    if gate is None:
        raise FlomoError(
            f"{card.name} has not been compared with its parent yet; run flomo gate first."
        )
    if (gate.get("sha256"), gate.get("parent_sha256")) != (card.sha256, parent_of(card)[1]):
        raise FlomoError(
            f"The gate judged other weights than those of {card.name} and its parent; run flomo "
            "gate again."
        )
    if gate.get("verdict") != "passed":
        reasons = " ".join(str(reason) for reason in gate.get("reasons", ()))
        raise FlomoError(f"The gate did not let {card.name} pass: {reasons}".rstrip(" :"))


def _check_parent(card: ModelCard, current: str, stack: list[Promotion]) -> None:
    parent, sha256 = parent_of(card)
    now = next((promotion.sha256 for promotion in stack if promotion.name == current), None)
    now = _sha256_of(current) if now is None else now
    if now is None:  # a base outside the shelf: nobody here can have replaced it
        return
    if now != sha256:
        which = f"a newer {current}" if current == parent else current
        raise FlomoError(
            f"{card.name} was tuned from {parent}, but {which} has taken its place meanwhile; "
            f"train again from {current}."
        )


def _sha256_of(model: str) -> str | None:
    """Return the hash of the weights of a model that is on this computer under its name."""
    from napari_flomo.models import library

    try:
        folder = library.find(model)
    except FlomoError:
        return None
    return None if folder is None else read_card(folder / CARD_FILE).sha256


def _check(promotion: Promotion) -> None:
    if tuned.read_sound(promotion.name).sha256 != promotion.sha256:
        raise FlomoError(f"{promotion.name} has other weights than those that were promoted.")


def _up_to(stack: list[Promotion], name: str) -> list[Promotion]:
    """Return a stack up to a model; nothing of it where the model is the base."""
    for index, promotion in enumerate(stack):
        if promotion.name == name:
            return stack[: index + 1]
    return []


def _read() -> dict[str, list[Promotion]]:
    path = _file()
    try:
        content = decode(_InUse, read_json(path))
        if content.schema > SCHEMA:
            raise SchemaFault("it was written by a newer napari-flomo, so update it first")
        stacks: dict[str, list[Promotion]] = {}
        for base, stack in content.bases.items():
            if not isinstance(stack, list):
                raise SchemaFault(f"'bases.{base}' must be a list")
            stacks[base] = [decode(Promotion, item, f"bases.{base}") for item in stack]
    except FileNotFoundError:
        return {}
    except (OSError, SchemaFault) as error:
        raise FlomoError(
            f"{path}, which tells the models in use, cannot be used: {error}; delete it to begin "
            "anew with the base models."
        ) from error
    return stacks


def _write(stacks: Mapping[str, list[Promotion]]) -> None:
    content = _InUse({base: encode(stack) for base, stack in stacks.items() if stack})
    with atomic_write(_file()) as temporary:
        temporary.write_text(json.dumps(encode(content), indent=1) + "\n", encoding="utf-8")


def _file() -> Path:
    return tuned.tuned_folder() / IN_USE_FILE
