"""How the result of a run becomes part of an image."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_flomo.errors import FlomoError
from napari_flomo.measures import (
    HeartCodes,
    HeartMeasures,
    VoxelCounts,
    heart_of_cine,
    implausible,
)
from napari_flomo.models import ModelCard, info
from napari_flomo.segmentation import Segmentation
from napari_flomo.session.image_state import OpenImage
from napari_flomo.session.merging import merge, merge_maps, merge_scores
from napari_flomo.session.review import Review
from napari_flomo.session.scope import Scope
from napari_flomo.volumes import Volume


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


@dataclass(frozen=True, eq=False)
class Merged:
    """An image as it will be with a result; made by `merged` in any thread, put there by `put`.

    Attributes
    ----------
    segmentation
        What the network said so far.
    scope
        What part is new.
    labels, counts
        What the user will see, and how much of it; None for a run that brings uncertainty maps
        only.
    basis
        The network's word, a copy of the labels, and the locks that it was made from.
    """

    segmentation: Segmentation
    scope: Scope
    labels: Volume | None
    counts: VoxelCounts | None
    basis: tuple[Segmentation | None, NDArray[Any] | None, frozenset[int]]

    def is_of(self, image: OpenImage) -> bool:
        """Tell whether the image is still what it was made from; a few milliseconds for a cine."""
        segmentation, painted, locked = self.basis
        if image.segmentation is not segmentation or self.labels is None:
            return image.segmentation is segmentation
        if image.locked != locked or (image.labels is None) != (painted is None):
            return False
        if image.labels is None or painted is None:
            return True
        return np.array_equal(image.labels.data, painted)


def merged(image: OpenImage, result: Segmentation, scope: Scope) -> Merged:
    """Merge a result with an image: labels, uncertainty maps, scores and counts; changes nothing.

    Raises
    ------
    FlomoError
        As `check_labels_agree`.
    """
    check_labels_agree(image, scope, result.card)
    old, locked = image.segmentation, image.locked
    painted = None if image.labels is None else image.labels.data.copy()
    segmentation = _merged(old, result, scope)
    labels = result.labels.with_data(
        merge(painted, result.labels.data, scope, locked), axes=result.labels.axes
    )
    counts = VoxelCounts.of(labels, [label.code for label in result.card.labels[1:]])
    return Merged(segmentation, scope, labels, counts, (old, painted, locked))


def merged_maps(image: OpenImage, result: Segmentation, scope: Scope) -> Merged:
    """Merge only the uncertainty maps of a result with an image; changes nothing in place.

    Raises
    ------
    FlomoError
        If the image was segmented by another model.
    """
    old = image.segmentation
    if old is None:
        raise FlomoError("This image has no labels yet; segment it first.")
    if result.card.card_hash != old.card.card_hash:
        raise FlomoError(
            f"This model's uncertainty is not that of {old.card.name}, which segmented this image; "
            "segment it again."
        )
    maps = {**old.uncertainty, **_merged_maps(old, result, scope)}
    return Merged(replace(old, uncertainty=maps), scope, None, None, (old, None, frozenset()))


def put(image: OpenImage, new: Merged) -> bool:
    """Put what was merged in its place; tell whether the image was still as it was for that.

    Not so if somebody painted meanwhile: then nothing is changed, and it is to be merged anew.
    """
    if not new.is_of(image):
        return False
    image.segmentation = new.segmentation
    if new.labels is None:
        return True
    scores = new.segmentation.slice_scores
    mask = new.scope.mask(*scores.shape)
    image.review = Review(scores) if image.review is None else image.review.rescored(scores, mask)
    image.labels, image.counts = new.labels, new.counts
    image.vouched = {place for place in image.vouched if not mask[place]}
    return True


def take_in(image: OpenImage, result: Segmentation, scope: Scope) -> None:
    """Merge a result into an image at once.

    Nothing of the image changes before everything is computed.

    Raises
    ------
    FlomoError
        As `check_labels_agree`.
    """
    put(image, merged(image, result, scope))


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


def heart_of(image: OpenImage) -> HeartMeasures | None:
    """Measure the labels of an image as they are now, see `Session.measures`."""
    if image.segmentation is None or image.counts is None:
        return None
    codes = HeartCodes.of(image.segmentation.card.labels)
    if codes is None:
        return None
    done = np.isfinite(image.segmentation.slice_scores)
    whole = np.flatnonzero(done.all(1)).tolist()
    frames = whole or np.flatnonzero(done.any(1)).tolist()
    return heart_of_cine(image.counts, codes, frames, complete=bool(whole))


def remarks_of(image: OpenImage) -> tuple[str, ...]:
    """Return what a person must know of an image and its labels, a sentence each.

    That is what its reader had to decide, and what is implausible about what was segmented.
    """
    if image.segmentation is None:
        return image.volume.notes
    done = np.isfinite(image.segmentation.slice_scores)
    whole = np.flatnonzero(done.all(1)).tolist()
    found = implausible(
        image.segmentation.labels, image.segmentation.card, whole, complete=bool(whole)
    )
    return (*image.volume.notes, *found)


def remarks_after(images: Iterable[OpenImage], key: str | None) -> str:
    """Return `remarks_of` the image of a run in one text; empty where it is not open any more."""
    found = next((image for image in images if image.key == key), None)
    return "" if found is None else " ".join(remarks_of(found))


def _merged(old: Segmentation | None, new: Segmentation, scope: Scope) -> Segmentation:
    """Return what the network said so far; the manifest is that of the last run."""
    if old is None:
        return new
    labels = merge(old.labels.data, new.labels.data, scope)
    return replace(
        new,
        labels=new.labels.with_data(labels, axes=new.labels.axes),
        uncertainty=_merged_maps(old, new, scope),
        slice_scores=merge_scores(old.slice_scores, new.slice_scores, scope),
        scores=None,  # of the last run only
    )


def _merged_maps(old: Segmentation, new: Segmentation, scope: Scope) -> dict[str, Volume]:
    maps = {}
    for name, uncertainty in new.uncertainty.items():
        before = old.uncertainty.get(name)
        data = merge_maps(None if before is None else before.data, uncertainty.data, scope)
        maps[name] = uncertainty.with_data(data, axes=uncertainty.axes)
    return maps


def _meaning(card: ModelCard) -> dict[int, str]:
    """Return what the codes of a card stand for; the concept counts more than the name."""
    return {
        label.code: label.snomed.code if label.snomed else label.name.casefold()
        for label in card.labels
    }
