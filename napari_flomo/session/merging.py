"""Merge the result of a run with what an image had before, within the scope of the run."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_flomo.errors import FlomoError
from napari_flomo.measures import HeartPhases, VoxelCounts
from napari_flomo.models import ModelCard, info
from napari_flomo.segmentation import Segmentation
from napari_flomo.session.image_state import OpenImage
from napari_flomo.session.phases import automatic_phases
from napari_flomo.session.review import Review
from napari_flomo.session.scope import Scope
from napari_flomo.volumes import Volume


def card_of(model: str) -> ModelCard | None:
    """Return the card of a model that is on this computer, else None; never downloads."""
    with suppress(FlomoError):
        return info(model)[1]
    return None


def check_labels_agree(image: OpenImage, scope: Scope, card: ModelCard | None) -> None:
    """Raise if a run would mix labels of two models whose codes mean different things.

    Some labels are kept if the scope is a part of the image or labels are locked. Checked before
    the run if the card is known, and again before its result is merged.
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
class MergedResult:
    """The result of a run, merged with an image; `put_result` applies it.

    Labels, counts and phases are None after a run that computes only uncertainty maps.
    """

    segmentation: Segmentation
    scope: Scope
    labels: Volume | None
    counts: VoxelCounts | None
    phases: HeartPhases | None
    basis: tuple[Segmentation | None, NDArray[Any] | None, frozenset[int]]
    """The segmentation, a copy of the labels, and the locks before the merge."""

    def is_of(self, image: OpenImage) -> bool:
        """Return True if the image has not changed since the merge; a few ms for a cine."""
        segmentation, painted, locked = self.basis
        if image.segmentation is not segmentation or self.labels is None:
            return image.segmentation is segmentation
        if image.locked != locked or (image.labels is None) != (painted is None):
            return False
        if image.labels is None or painted is None:
            return True
        return np.array_equal(image.labels.data, painted)


def merge_result(image: OpenImage, result: Segmentation, scope: Scope) -> MergedResult:
    """Merge labels, uncertainty maps, scores and counts with those of an image; change nothing.

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
    phases = automatic_phases(segmentation)
    return MergedResult(segmentation, scope, labels, counts, phases, (old, painted, locked))


def merge_map_result(image: OpenImage, result: Segmentation, scope: Scope) -> MergedResult:
    """Merge the uncertainty maps of a result with those of an image; change nothing.

    Raises `FlomoError` if the image was segmented by another model.
    """
    old = image.require_segmentation()
    if result.card.card_hash != old.card.card_hash:
        raise FlomoError(
            f"This model's uncertainty is not that of {old.card.name}, which segmented this image; "
            "segment it again."
        )
    maps = {**old.uncertainty, **_merged_maps(old, result, scope)}
    basis = (old, None, frozenset[int]())
    return MergedResult(replace(old, uncertainty=maps), scope, None, None, None, basis)


def put_result(image: OpenImage, new: MergedResult) -> bool:
    """Apply a merged result; change nothing and return False if the image was edited meanwhile."""
    if not new.is_of(image):
        return False
    image.segmentation = new.segmentation
    if new.labels is None or new.phases is None:
        return True
    scores = new.segmentation.slice_scores
    mask = new.scope.mask(*scores.shape)
    image.review = Review(scores) if image.review is None else image.review.rescored(scores, mask)
    image.labels, image.counts = new.labels, new.counts
    image.phases = new.phases.keep(image.phases)
    image.confirmed = {index for index in image.confirmed if not mask[index]}
    return True


def merge(
    existing: NDArray[Any] | None,
    proposed: NDArray[Any],
    scope: Scope,
    locked: Collection[int] = (),
) -> NDArray[Any]:
    """Return labels or an uncertainty map after a run: new in the scope, unchanged elsewhere.

    Parameters
    ----------
    existing
        Array ``([frames,] slices, rows, columns)``, not changed; None stands for zeros.
    proposed
        Result of the run, of the same shape.
    scope
        Part of the image that was segmented.
    locked
        Codes of labels that neither lose nor gain a voxel.

    Returns
    -------
    ndarray
        A new array with the element type of ``existing``, or else of ``proposed``.

    Raises
    ------
    FlomoError
        If the shapes differ.
    """
    if existing is None:
        existing = np.zeros_like(proposed)
    if existing.shape != proposed.shape:
        raise FlomoError(
            f"Labels of shape {proposed.shape} cannot be merged into labels of shape "
            f"{existing.shape}; they belong to different images."
        )
    result = existing.copy()
    for index in _indices_of(scope, existing.shape):
        before, after = existing[index], proposed[index]
        finished = np.zeros(before.shape, bool)
        for code in locked:  # few; several times quicker than numpy.isin
            finished |= (before == code) | (after == code)
        result[index] = np.where(finished, before, after) if locked else after
    return result


def _indices_of(scope: Scope, shape: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Yield the index of every slice of the scope; a stack without frames has one index."""
    moving = len(shape) == 4
    mask = scope.mask(shape[0] if moving else 1, shape[-3])
    for frame, number in np.argwhere(mask).tolist():
        yield (frame, number) if moving else (number,)


def _merged(old: Segmentation | None, new: Segmentation, scope: Scope) -> Segmentation:
    """Return what the network found so far; the manifest is that of the last run."""
    if old is None:
        return new
    labels = merge(old.labels.data, new.labels.data, scope)
    inside = scope.mask(*new.slice_scores.shape)
    return replace(
        new,
        labels=new.labels.with_data(labels, axes=new.labels.axes),
        uncertainty=_merged_maps(old, new, scope),
        slice_scores=np.where(inside, new.slice_scores, old.slice_scores),
        scores=None,  # of the last run only
    )


def _merged_maps(old: Segmentation, new: Segmentation, scope: Scope) -> dict[str, Volume]:
    maps = {}
    for name, uncertainty in new.uncertainty.items():
        before = old.uncertainty.get(name)
        data = merge(None if before is None else before.data, uncertainty.data, scope)
        maps[name] = uncertainty.with_data(data, axes=uncertainty.axes)
    return maps


def _meaning(card: ModelCard) -> dict[int, str]:
    """Return what the codes of a card stand for; the concept counts more than the name."""
    return {
        label.code: label.snomed.code if label.snomed else label.name.casefold()
        for label in card.labels
    }
