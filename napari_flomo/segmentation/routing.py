"""Choose the model of a family by the image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from napari_flomo.models import Signature
from napari_flomo.segmentation.image_signature import SIGNATURE_KIND

MARGIN = 0.0
"""Advantage in `Signature.misfit` that a specialist needs over its parent."""


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
        One of "nearest", "parent" (the parent is nearest), "stranger" (the image is like that of
        no specialist) and "alone" (there is no specialist).
    nearness
        Of each model with a signature that can be compared; "" stands for the parent.
    """

    name: str | None
    reason: str
    nearness: Mapping[str, Nearness]


def route(
    vector: Sequence[float], parent: Signature | None, specialists: Mapping[str, Signature]
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
    if "" in nearness and nearness[""].misfit <= nearness[best].misfit + MARGIN:
        return Route(None, "parent", nearness)
    return Route(best, "nearest", nearness)


def _fits(signature: Signature, vector: Sequence[float]) -> bool:
    return signature.kind == SIGNATURE_KIND and len(signature.centre) == len(vector)


def _nearness(signature: Signature, vector: Sequence[float]) -> Nearness:
    return Nearness(signature.distance(vector), signature.limit, signature.misfit(vector))
