"""The models that are used by default: a base model, what replaced it, and its specialists.

A specialist is a promoted model with a signature: it is used for images like those that it was
tuned with. All other images go to the parent, the base model or what was promoted in its place.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from napari_flomo.errors import FlomoError
from napari_flomo.models import cache, index, tuned
from napari_flomo.models.card import CARD_FILE, ModelCard, read_card
from napari_flomo.models.promotion_file import Promotion, promotions
from napari_flomo.models.signature import Signature

AUTOMATIC = "automatic"
"""Stands for the default model, or the member of its family that suits the image."""

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Specialist:
    """A model that is used for images like those that it was tuned with."""

    name: str
    signature: Signature

    @property
    def title(self) -> str:
        """What its images are, or else its name."""
        return self.signature.title or self.name


@dataclass(frozen=True)
class Family:
    """The models that are used where no model is named.

    Attributes
    ----------
    parent
        Name of the model for all images that suit no specialist.
    signature
        Its signature, or that of its base model; None if unknown.
    specialists
        In the order of their promotion.
    problems
        Why promoted specialists cannot be used, a sentence for each.
    """

    parent: str
    signature: Signature | None = None
    specialists: tuple[Specialist, ...] = ()
    problems: tuple[str, ...] = ()

    def title(self, name: str) -> str:
        """Return the title of a member; of any other model its name."""
        return next((one.title for one in self.specialists if one.name == name), name)


def in_use(base: str) -> str:
    """Return the model that is in use for a base model, for images that suit no specialist.

    Parameters
    ----------
    base
        Name of the base model, such as ``"flomo-b0-acdc"``.

    Returns
    -------
    str
        The model that was promoted last and is no specialist. A damaged or missing one is skipped
        with a warning in the log; without any promotion it is the base model.
    """
    return _parent(base, _stack(base))


def family(base: str) -> Family:
    """Return the models that are used for a base model; the weights of specialists are not read.

    Parameters
    ----------
    base
        Name of the base model.
    """
    stack = _stack(base)
    parent = _parent(base, stack)
    active: list[Promotion] = []
    for one in stack:
        if one.specialist:
            active = [other for other in active if other.name != one.replaces]
            active.append(one)
    specialists: list[Specialist] = []
    problems: list[str] = []
    for one in active:
        try:
            specialists.append(_specialist(one))
        except FlomoError as error:
            problems.append(f"The specialist {one.name} is not used: {error}")
    return Family(parent, _signature(parent, base), tuple(specialists), tuple(problems))


def default_model(base: str) -> str:
    """Return what stands for the default: `AUTOMATIC` with specialists, else the model in use."""
    stack = _stack(base)
    return AUTOMATIC if any(one.specialist for one in stack) else _parent(base, stack)


def verify_promoted(promotion: Promotion) -> ModelCard:
    """Return the card of a promoted model; raise unless its weights are those promoted."""
    card = tuned.read_verified_card(promotion.name)
    if card.sha256 != promotion.sha256:
        raise FlomoError(f"{promotion.name} has other weights than those that were promoted.")
    return card


def _stack(base: str) -> Sequence[Promotion]:
    try:
        return promotions(base)
    except FlomoError as error:
        _LOG.warning("%s Until then %s is used.", error, base)
        return []


def _parent(base: str, stack: Sequence[Promotion]) -> str:
    for promotion in reversed(stack):
        if promotion.specialist:
            continue
        try:
            verify_promoted(promotion)
        except FlomoError as error:
            _LOG.warning("%s is not used: %s", promotion.name, error)
            continue
        return promotion.name
    return base


def _specialist(promotion: Promotion) -> Specialist:
    folder = tuned.find(promotion.name)
    if folder is None:
        raise FlomoError(f"{promotion.name} is missing.")
    card = read_card(folder / CARD_FILE)
    if card.sha256 != promotion.sha256 or card.signature is None:
        raise FlomoError(f"{promotion.name} is not the model that was promoted.")
    return Specialist(promotion.name, card.signature)


def _signature(parent: str, base: str) -> Signature | None:
    """Return the signature of the parent; one tuned without signature suits the base's images."""
    for name in (parent, base):
        folder = _folder(name)
        if folder is not None:
            with suppress(FlomoError):
                signature = read_card(folder / CARD_FILE).signature
                if signature is not None:
                    return signature
    return None


def _folder(name: str) -> Path | None:
    """Return the folder of a model of ours or a tuned one on this computer."""
    if name in index.available():
        return index.BUNDLED / name
    entry = index.read_index().get(name)
    found = None if entry is None or entry.source is None else cache.find(entry.source)
    return tuned.find(name) if found is None else found[0]
