"""Choose the model of a family by the image."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from napari_flomo import DEFAULT_MODEL
from napari_flomo.errors import describe
from napari_flomo.models import (
    AUTOMATIC,
    Family,
    ModelCard,
    Signature,
    family,
    load_card,
    verify,
)
from napari_flomo.segmentation.image_signature import SIGNATURE_KIND, image_signature
from napari_flomo.segmentation.segmentation import Segmentation
from napari_flomo.volumes import Volume

Reason = Literal["named", "alone", "nearest", "parent", "stranger", "failed"]

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Nearness:
    """How well an image fits a model.

    Attributes
    ----------
    distance, limit
        See `Signature`.
    misfit
        Of all models that an image is not a stranger to, that with the least is used.
    """

    distance: float
    limit: float
    misfit: float


@dataclass(frozen=True)
class Route:
    """Which model suits an image.

    Attributes
    ----------
    name
        The chosen specialist, or None for the parent.
    reason
        Of "nearest", "parent" (the parent is nearest), "stranger" (the image is like those of no
        specialist) and "alone" (no specialist can be compared).
    nearness
        Of each model with a signature that can be compared; "" stands for the parent.
    """

    name: str | None
    reason: Reason
    nearness: Mapping[str, Nearness]


@dataclass(frozen=True)
class ModelChoice:
    """The model for an image, and why it.

    Attributes
    ----------
    model
        Name or folder.
    title
        For display: what the images of a specialist are, or else its name.
    reason
        As in `Route`; "named" if the user chose the model, "failed" if the image could not be
        compared or the specialist for it is damaged: then this is the parent.
    nearness
        How near the image is to each model, by name.
    problems
        What went wrong, a sentence for each.
    """

    model: str
    title: str
    reason: Reason
    nearness: Mapping[str, Nearness] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    @property
    def by_image(self) -> bool:
        """Whether the image decided."""
        return self.reason not in ("named", "alone")

    def noted(self, segmentation: Segmentation) -> Segmentation:
        """Return a segmentation whose manifest has this choice, unless the user made it."""
        if not self.by_image and not self.problems:
            return segmentation
        near = {
            name: {key: round(value, 4) for key, value in asdict(one).items()}
            for name, one in self.nearness.items()
        }
        choice: dict[str, Any] = {
            "model": self.model,
            "title": self.title,
            "reason": self.reason,
            "nearness": near,
            "problems": list(self.problems),
        }
        return replace(segmentation, manifest={**segmentation.manifest, "choice": choice})


def choose_model(volume: Volume, model: str | None = None) -> ModelChoice:
    """Return the model for an image: that which was named, or the best of the default family.

    Parameters
    ----------
    volume
        The image.
    model
        Name or folder; None or `AUTOMATIC` lets the image decide. Ties, strangers, images that
        cannot be compared, and those whose specialist is damaged go to the parent.

    Raises
    ------
    FlomoError
        If the parent is missing or its card is damaged.
    """
    if model is not None and model != AUTOMATIC:
        return ModelChoice(model, model, "named")
    members = family(DEFAULT_MODEL)
    if not members.specialists:
        return _told(ModelChoice(members.parent, members.parent, "alone", {}, members.problems))
    choice = choose_member(volume, members, load_card(members.parent))
    if choice.model != members.parent:
        (found,) = verify([choice.model])
        if found.problem is not None:
            choice = fallen_back(choice, members, found.problem)
    return _told(choice)


def choose_member(volume: Volume, members: Family, card: ModelCard) -> ModelChoice:
    """Return the member of a family for an image; reads nothing. ``card`` is that of the parent."""
    parent = members.parent
    try:
        vector = image_signature(volume, card)
        signatures = {one.name: one.signature for one in members.specialists}
        found = route(vector, members.signature, signatures)
    except Exception as error:  # a specialist is a gain, and no reason not to segment
        sentence = describe(error).sentence
        problem = f"The image was not compared with those of the specialists: {sentence}"
        return ModelChoice(parent, parent, "failed", {}, (*members.problems, problem))
    name = found.name or parent
    nearness = {one or parent: value for one, value in found.nearness.items()}
    return ModelChoice(name, members.title(name), found.reason, nearness, members.problems)


def fallen_back(choice: ModelChoice, members: Family, problem: str) -> ModelChoice:
    """Return the choice of the parent instead of a damaged specialist."""
    text = f"{choice.title} suits the image, but {members.parent} was used: {problem}"
    return replace(
        choice,
        model=members.parent,
        title=members.parent,
        reason="failed",
        problems=(*choice.problems, text),
    )


def _told(choice: ModelChoice) -> ModelChoice:
    for problem in choice.problems:
        _LOG.warning("%s", problem)
    return choice


def route(
    vector: ArrayLike, parent: Signature | None, specialists: Mapping[str, Signature]
) -> Route:
    """Return the specialist that suits an image, or the parent.

    Parameters
    ----------
    vector
        Statistics of the image, see `image_signature`.
    parent
        Signature of the parent; without one, the limits of the specialists decide alone.
    specialists
        Signatures by name.
    """
    comparable = {name: one for name, one in specialists.items() if _fits(one, vector)}
    nearness = {name: _nearness(one, vector) for name, one in comparable.items()}
    near = [name for name, one in nearness.items() if one.distance <= one.limit]
    if parent is not None and _fits(parent, vector):
        nearness[""] = _nearness(parent, vector)
    if not comparable:
        return Route(None, "alone", nearness)
    if not near:
        return Route(None, "stranger", nearness)
    best = min(near, key=lambda name: nearness[name].misfit)
    if "" in nearness and nearness[""].misfit <= nearness[best].misfit:
        return Route(None, "parent", nearness)
    return Route(best, "nearest", nearness)


def _fits(signature: Signature, vector: ArrayLike) -> bool:
    return signature.kind == SIGNATURE_KIND and len(signature.centre) == np.size(vector)


def _nearness(signature: Signature, vector: ArrayLike) -> Nearness:
    return Nearness(signature.distance(vector), signature.limit, signature.misfit(vector))
