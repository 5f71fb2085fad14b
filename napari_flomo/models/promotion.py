"""Which model is in use for a base model: promote tuned models, and undo promotions.

Promotions of a base model form a stack. An explicit name always means exactly that model; `in_use`
returns the default.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from napari_flomo.errors import FlomoError
from napari_flomo.models import registry, tuned
from napari_flomo.models.card import CARD_FILE, ModelCard, read_card
from napari_flomo.models.promotion_file import (
    Promotion,
    promoted_for,
    promotions,
    read_promotions,
    write_promotions,
)

_LOG = logging.getLogger(__name__)


def in_use(base: str) -> str:
    """Return the model that is in use for a base model.

    Parameters
    ----------
    base
        Name of the base model, such as ``"flomo-b0-acdc"``.

    Returns
    -------
    str
        The model that was promoted last. A damaged or missing one is skipped with a warning in the
        log; without any promotion it is the base model.
    """
    try:
        stack = promotions(base)
    except FlomoError as error:
        _LOG.warning("%s Until then %s is used.", error, base)
        return base
    for promotion in reversed(stack):
        try:
            _verify(promotion)
        except FlomoError as error:
            _LOG.warning("%s is not used: %s", promotion.name, error)
            continue
        return promotion.name
    return base


def promote(name: str, *, despite_gate: bool = False) -> str:
    """Use a candidate in place of its parent.

    Parameters
    ----------
    name
        Name of a tuned model, see `napari_flomo.models.install_candidate`.
    despite_gate
        Promote it although it did not pass the gate; this is recorded.

    Returns
    -------
    str
        The base model for which it is now in use.

    Raises
    ------
    FlomoError
        If there is no such candidate, it is damaged, it did not pass the gate, or its parent is not
        the model in use now.
    """
    with tuned.locked():
        card = tuned.read_verified_card(name)
        base = base_of(card)
        stacks = read_promotions()
        current = in_use(base)
        if current == name:
            return base
        _check_parent(card, current, stacks.get(base, []))
        if not despite_gate:
            check_gate(card)
        passed = card.gate is not None and card.gate.get("verdict") == "passed"
        today = datetime.now(UTC).date().isoformat()
        # Models above the one in use are damaged or gone; they must not return once repaired.
        kept = _truncate(stacks.get(base, []), current)
        added = Promotion(name, card.sha256, today, despite_gate=despite_gate and not passed)
        write_promotions(stacks | {base: [*kept, added]})
    return base


def rollback(base: str) -> str:
    """Undo the last promotion.

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
        stacks = read_promotions()
        base = base if base in stacks else (promoted_for(base) or base)
        stack = stacks.get(base, [])
        if not stack:
            raise FlomoError(f"No model was promoted for {base}, so there is nothing to undo.")
        # A damaged model on top is not in use; removing only that one would change nothing.
        current = in_use(base)
        write_promotions(stacks | {base: _truncate(stack, current)[:-1]})
    return in_use(base)


def base_of(card: ModelCard) -> str:
    """Return the base model from which a tuned model descends, following all its parents.

    Raises
    ------
    FlomoError
        If it has no parent, or the chain of parents is a circle.
    """
    seen = [card.name]
    while card.parent is not None:
        parent = parent_of(card)[0]
        if parent in seen:
            raise FlomoError(f"{' and '.join(seen)} name each other as parents; train again.")
        folder = tuned.find(parent)
        if folder is None:
            return promoted_for(parent) or parent
        seen.append(parent)
        card = read_card(folder / CARD_FILE)
    if len(seen) == 1:
        raise FlomoError(f"{card.name} was not tuned from another model, so it cannot replace one.")
    return seen[-1]


def parent_of(card: ModelCard) -> tuple[str, str]:
    """Return name and weights' SHA-256 of the parent in a card; "" if unknown."""
    name, _, sha256 = (card.parent or "").rpartition(" ")
    return (name, sha256) if name else (sha256, "")


def check_gate(card: ModelCard) -> None:
    """Raise, with the reasons of the gate, unless exactly these weights passed it."""
    gate = card.gate
    if gate is None:
        raise FlomoError(
            f"{card.name} has not been compared with its parent yet; run flomo gate first."
        )
    if (gate.get("sha256"), gate.get("parent_sha256")) != (card.sha256, parent_of(card)[1]):
        raise FlomoError(
            f"The gate compared other weights than those of {card.name} and its parent; run flomo "
            "gate again."
        )
    if gate.get("verdict") != "passed":
        reasons = " ".join(str(reason) for reason in gate.get("reasons", ()))
        raise FlomoError(f"{card.name} did not pass the gate: {reasons}".rstrip(" :"))


def _check_parent(card: ModelCard, current: str, stack: list[Promotion]) -> None:
    parent, sha256 = parent_of(card)
    now = next((promotion.sha256 for promotion in stack if promotion.name == current), None)
    now = _sha256_of(current) if now is None else now
    if now is None:  # a base that is not on this computer under its name cannot have been replaced
        return
    if now != sha256:
        which = f"a newer {current}" if current == parent else current
        raise FlomoError(
            f"{card.name} was tuned from {parent}, but {which} has replaced it since; train again "
            f"from {current}."
        )


def _sha256_of(model: str) -> str | None:
    """Return the hash of the weights of a model that is on this computer under its name."""
    try:
        folder = registry.find(model)
    except FlomoError:
        return None
    return None if folder is None else read_card(folder / CARD_FILE).sha256


def _verify(promotion: Promotion) -> None:
    if tuned.read_verified_card(promotion.name).sha256 != promotion.sha256:
        raise FlomoError(f"{promotion.name} has other weights than those that were promoted.")


def _truncate(stack: list[Promotion], name: str) -> list[Promotion]:
    """Return a stack up to and including a model; empty if the model is the base."""
    for index, promotion in enumerate(stack):
        if promotion.name == name:
            return stack[: index + 1]
    return []
