"""Promote tuned models, and undo promotions.

Promotions of a base model form a stack. A model without signature replaces its parent, one with a
signature becomes a specialist beside it, see `napari_flomo.models.family`. An explicit name always
means exactly that model.
"""

from __future__ import annotations

from datetime import UTC, datetime

from napari_flomo.errors import FlomoError
from napari_flomo.models import registry, tuned
from napari_flomo.models.card import CARD_FILE, ModelCard, read_card
from napari_flomo.models.family import Family, family, in_use, verify_promoted
from napari_flomo.models.promotion_file import (
    Promotion,
    promoted_for,
    read_promotions,
    write_promotions,
)


def promote(name: str, *, despite_gate: bool = False) -> str:
    """Use a candidate: in place of its parent, or beside it for images like those it learned from.

    A candidate with a signature becomes a specialist. It replaces an older specialist for images of
    the same kind: that which it was tuned from, or that whose signature its own resembles.

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
        in use now.
    """
    with tuned.locked():
        card = tuned.read_verified_card(name)
        base = base_of(card)
        stacks = read_promotions()
        stack = stacks.get(base, [])
        members = family(base)
        if name == members.parent or name in _names(members):
            return base
        # A copy of the parent's signature says nothing about the images that were corrected.
        specialist = card.signature not in (None, members.signature)
        replaces = _older(card, members) if specialist else None
        _check_parent(card, _current(card, members.parent, stack), stack)
        if not despite_gate:
            check_gate(card)
        passed = card.gate is not None and card.gate.get("verdict") == "passed"
        added = Promotion(
            name,
            card.sha256,
            datetime.now(UTC).date().isoformat(),
            despite_gate=despite_gate and not passed,
            specialist=specialist,
            replaces=replaces,
        )
        kept = [one for one in stack if one.name != name]
        if not specialist:
            kept = _without_damaged(kept, members.parent)
        write_promotions(stacks | {base: [*kept, added]})
    return base


def rollback(base: str) -> str:
    """Undo the last promotion: its model, or the specialist, is no longer used.

    Parameters
    ----------
    base
        Name of the base model, or of a model that was promoted for it.

    Returns
    -------
    str
        The model in use now for images that suit no specialist.

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
        while stack and not _is_sound(stack[-1]):
            stack = stack[:-1]
        write_promotions(stacks | {base: stack[:-1]})
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


def _names(members: Family) -> set[str]:
    return {one.name for one in members.specialists}


def _current(card: ModelCard, parent: str, stack: list[Promotion]) -> str:
    """Return the model in use that a candidate must be tuned from: the parent, or a specialist."""
    tuned_from = parent_of(card)[0]
    if not any(one.specialist and one.name == tuned_from for one in stack):
        return parent
    for one in stack:
        if one.replaces == tuned_from:
            tuned_from = one.name
    return tuned_from


def _older(card: ModelCard, members: Family) -> str | None:
    """Return the specialist for images like those of a candidate, or None."""
    assert card.signature is not None
    tuned_from = parent_of(card)[0]
    if tuned_from in _names(members):
        return tuned_from
    alike = {
        one.name: distance
        for one in members.specialists
        if (distance := one.signature.distance_to(card.signature)) <= one.signature.limit
    }
    return min(alike, key=lambda name: alike[name]) if alike else None


def _without_damaged(stack: list[Promotion], current: str) -> list[Promotion]:
    """Return a stack without what follows the model in use but is no specialist.

    Those models are damaged or gone; they must not return once repaired.
    """
    names = [one.name for one in stack]
    first = names.index(current) + 1 if current in names else 0
    return stack[:first] + [one for one in stack[first:] if one.specialist]


def _is_sound(promotion: Promotion) -> bool:
    try:
        verify_promoted(promotion)
    except FlomoError:
        return False
    return True
