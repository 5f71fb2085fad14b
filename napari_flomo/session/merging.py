"""Merge the result of a run with what an image had before, within the scope of the run."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_flomo.errors import FlomoError
from napari_flomo.measures import HeartPhases, VoxelCounts
from napari_flomo.models import ModelCard, info
from napari_flomo.segmentation import Segmentation
from napari_flomo.session.changes import update_edits
from napari_flomo.session.image_state import OpenImage
from napari_flomo.session.overwrite import kept_slices
from napari_flomo.session.phases import automatic_phases
from napari_flomo.session.review import Review, SliceIndex
from napari_flomo.session.scope import Scope
from napari_flomo.session.undoing import begin_step
from napari_flomo.volumes import Volume


def card_of(model: str) -> ModelCard | None:
    """Return the card of a model that is on this computer, else None; never downloads."""
    with suppress(FlomoError):
        return info(model)[1]
    return None


def labels_agree(image: OpenImage, card: ModelCard | None) -> bool:
    """Return True if the labels of an image mean the same in a model, or either is unknown."""
    known = image.segmentation
    return known is None or card is None or _meaning(known.card) == _meaning(card)


def check_labels_agree(
    image: OpenImage,
    scope: Scope,
    card: ModelCard | None,
    keep: Collection[SliceIndex] = (),
) -> None:
    """Raise if a run would mix labels of two models whose codes mean different things.

    Some labels are kept if the scope is a part of the image, or labels are locked, or slices are to
    be kept. Checked before the run if the card is known, and again before its result is merged.
    """
    if labels_agree(image, card) or image.segmentation is None or card is None:
        return
    old = image.segmentation.card
    if keep or not scope.covers(image.volume):
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

    ``mask`` are the slices that are replaced, ``(frames, slices)``. Labels, counts and phases are
    None after a run that computes only uncertainty maps.
    """

    segmentation: Segmentation
    mask: NDArray[np.bool_]
    labels: Volume | None
    counts: VoxelCounts | None
    phases: HeartPhases | None
    basis: tuple[Segmentation | None, NDArray[Any] | None, frozenset[int]]
    """The segmentation, a copy of the labels, and the locks before the merge."""
    accepted: frozenset[SliceIndex] = frozenset()
    """The accepted slices before the merge."""
    spare: NDArray[Any] | None = None
    """A copy of the labels, see `OpenImage.spare`."""

    def is_of(self, image: OpenImage) -> bool:
        """Return True if the image has not changed since the merge; a few ms for a cine."""
        segmentation, painted, locked = self.basis
        if image.segmentation is not segmentation or self.labels is None:
            return image.segmentation is segmentation
        if image.locked != locked or (image.labels is None) != (painted is None):
            return False
        if self.accepted != image.confirmed:
            return False
        if image.labels is None or painted is None:
            return True
        return np.array_equal(image.labels.data, painted)


def merge_result(
    image: OpenImage,
    result: Segmentation,
    scope: Scope,
    consented: Mapping[SliceIndex, int] | None = None,
) -> MergedResult:
    """Merge labels, uncertainty maps, scores and counts with those of an image; change nothing.

    ``consented`` is that of `kept_slices`; what that returns is not replaced.

    Raises
    ------
    FlomoError
        As `check_labels_agree`.
    """
    old, locked, accepted = image.segmentation, image.locked, frozenset(image.confirmed)
    painted = None if image.labels is None else image.labels.data.copy()
    keep = kept_slices(image, scope, consented)
    check_labels_agree(image, scope, result.card, keep)
    mask = scope.mask(*result.slice_scores.shape)
    for index in keep:
        mask[index] = False
    segmentation = _merged(old, result, mask)
    labels = result.labels.with_data(
        merge(painted, result.labels.data, mask, locked), axes=result.labels.axes
    )
    counts = VoxelCounts.of(labels, [label.code for label in result.card.labels[1:]])
    phases, basis = automatic_phases(segmentation), (old, painted, locked)
    spare = labels.data.copy()
    return MergedResult(segmentation, mask, labels, counts, phases, basis, accepted, spare)


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
    mask = scope.mask(*result.slice_scores.shape)
    maps = {**old.uncertainty, **_merged_maps(old, result, mask)}
    basis = (old, None, frozenset[int]())
    return MergedResult(replace(old, uncertainty=maps), mask, None, None, None, basis)


def put_result(image: OpenImage, new: MergedResult) -> bool:
    """Apply a merged result; change nothing and return False if the image was edited meanwhile."""
    if not new.is_of(image):
        return False
    if new.labels is not None:
        begin_step(image, new.basis[1])
    image.segmentation = new.segmentation
    if new.labels is None or new.phases is None:
        return True
    scores, mask = new.segmentation.slice_scores, new.mask
    image.review = Review(scores) if image.review is None else image.review.rescored(scores, mask)
    image.labels, image.counts, image.spare = new.labels, new.counts, new.spare
    image.phases = new.phases.keep(image.phases)
    image.unsaved = True
    update_edits(image)
    image.confirmed = {index for index in image.confirmed if not mask[index]}
    image.brought_back = frozenset(index for index in image.brought_back if not mask[index])
    return True


def merge(
    existing: NDArray[Any] | None,
    proposed: NDArray[Any],
    mask: NDArray[np.bool_],
    locked: Collection[int] = (),
) -> NDArray[Any]:
    """Return labels or an uncertainty map after a run: new in the mask, unchanged elsewhere.

    Parameters
    ----------
    existing
        Array ``([frames,] slices, rows, columns)``, not changed; None stands for zeros.
    proposed
        Result of the run, of the same shape.
    mask
        The slices that are replaced, ``(frames, slices)``.
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
    for place in np.argwhere(mask).tolist():
        index = tuple(place) if existing.ndim == 4 else (place[1],)
        before, after = existing[index], proposed[index]
        finished = np.zeros(before.shape, bool)
        for code in locked:  # few; several times quicker than numpy.isin
            finished |= (before == code) | (after == code)
        result[index] = np.where(finished, before, after) if locked else after
    return result


def _merged(old: Segmentation | None, new: Segmentation, mask: NDArray[np.bool_]) -> Segmentation:
    """Return what the network found so far; the manifest is that of the last run."""
    if old is None:
        return new
    labels = merge(old.labels.data, new.labels.data, mask)
    return replace(
        new,
        labels=new.labels.with_data(labels, axes=new.labels.axes),
        uncertainty=_merged_maps(old, new, mask),
        slice_scores=np.where(mask, new.slice_scores, old.slice_scores),
        scores=None,  # of the last run only
    )


def _merged_maps(
    old: Segmentation, new: Segmentation, mask: NDArray[np.bool_]
) -> dict[str, Volume]:
    maps = {}
    for name, uncertainty in new.uncertainty.items():
        before = old.uncertainty.get(name)
        data = merge(None if before is None else before.data, uncertainty.data, mask)
        maps[name] = uncertainty.with_data(data, axes=uncertainty.axes)
    return maps


def _meaning(card: ModelCard) -> dict[int, str]:
    """Return what the codes of a card stand for; the concept counts more than the name."""
    return {
        label.code: label.snomed.code if label.snomed else label.name.casefold()
        for label in card.labels
    }
