"""How the result of a run becomes part of an image."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_flomo.errors import FlomoError
from napari_flomo.measures import VoxelCounts
from napari_flomo.models import ModelCard, info
from napari_flomo.segmentation import Segmentation
from napari_flomo.session.images import OpenImage
from napari_flomo.session.merging import Scope, merge, merge_maps, merge_scores
from napari_flomo.session.review import Review


def card_of(model: str) -> ModelCard | None:
    """Return the card of a model that is on this computer; asks nothing of the network."""
    with suppress(FlomoError):
        return info(model)[1]
    return None


def check_labels_agree(image: OpenImage, scope: Scope, card: ModelCard | None) -> None:
    """Raise if a run would mix the labels of two models that mean different things by a code.

    Found out before the run where the card is known, and in any case before its result is taken in.

    Raises
    ------
    FlomoError
        If some labels are kept, because the scope is a part or labels are locked.
    """
    if image.segmentation is None or card is None:
        return
    old = image.segmentation.card
    if _meaning(old) == _meaning(card):
        return
    if not scope.covers(image.volume):
        raise FlomoError(
            f"The labels of {card.name} mean something else than those of {old.name}, which "
            "segmented the rest of this image; segment all of it, or choose a model like that one."
        )
    if image.locked:
        raise FlomoError(
            f"The labels of {card.name} mean something else than those of {old.name}, of which "
            "some are locked; unlock them first, or choose a model like that one."
        )


def take_in(image: OpenImage, result: Segmentation, scope: Scope) -> None:
    """Merge a result into an image: labels, doubt maps, scores, review and counts.

    Nothing of the image changes before everything is computed.

    Raises
    ------
    FlomoError
        As `check_labels_agree`.
    """
    check_labels_agree(image, scope, result.card)
    merged = _merged(image.segmentation, result, scope)
    painted = None if image.labels is None else image.labels.data
    labels = result.labels.with_data(
        merge(painted, result.labels.data, scope, image.locked), axes=result.labels.axes
    )
    counts = VoxelCounts.of(labels, [label.code for label in result.card.labels[1:]])
    scores = merged.slice_scores
    mask = scope.mask(*scores.shape)
    review = Review(scores) if image.review is None else image.review.rescored(scores, mask)
    image.segmentation, image.labels = merged, labels
    image.counts, image.review = counts, review


def replace_labels(image: OpenImage, labels: NDArray[Any]) -> None:
    """Put other labels in place of those of an image, and count them.

    Raises
    ------
    FlomoError
        If they are no integers or not on the grid, or there are none yet.
    """
    if image.labels is None or image.counts is None:
        raise FlomoError("This image has no labels yet; segment it first.")
    if np.shape(labels) != image.labels.data.shape:
        raise FlomoError(
            f"Labels of shape {np.shape(labels)} do not lie on the grid of {image.name}, which has "
            f"the shape {image.labels.data.shape}; choose those of this image."
        )
    changed = image.labels.with_data(np.asarray(labels), axes=image.labels.axes)
    counts = VoxelCounts.of(changed, image.counts.codes)
    image.labels, image.counts = changed, counts


def _merged(old: Segmentation | None, new: Segmentation, scope: Scope) -> Segmentation:
    """Return what the network said so far; the manifest is that of the last run."""
    if old is None:
        return new
    maps = {}
    for name, doubt in new.uncertainty.items():
        before = old.uncertainty.get(name)
        data = merge_maps(None if before is None else before.data, doubt.data, scope)
        maps[name] = doubt.with_data(data, axes=doubt.axes)
    labels = merge(old.labels.data, new.labels.data, scope)
    return replace(
        new,
        labels=new.labels.with_data(labels, axes=new.labels.axes),
        uncertainty=maps,
        slice_scores=merge_scores(old.slice_scores, new.slice_scores, scope),
    )


def _meaning(card: ModelCard) -> dict[int, str]:
    """Return what the codes of a card stand for; the concept counts more than the name."""
    return {
        label.code: label.snomed.code if label.snomed else label.name.casefold()
        for label in card.labels
    }
