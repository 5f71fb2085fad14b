"""Start segmentations in a worker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_flomo.errors import FlomoError
from napari_flomo.jobs import CORRECTIONS, Worker
from napari_flomo.segmentation import pack_volume, unpack_segmentation
from napari_flomo.session import suggestion_messages
from napari_flomo.session.image_state import OpenImage
from napari_flomo.session.merging import card_of, check_labels_agree
from napari_flomo.session.overwrite import kept_slices
from napari_flomo.session.review import SliceIndex, SliceState
from napari_flomo.session.runs import Run
from napari_flomo.session.scope import Scope
from napari_flomo.volumes import ask_for_axis

LEAST_ACCEPTED = 2
"""Slices to learn from in a study; from one, nothing can be held out."""


def segmentation_run(
    image: OpenImage,
    model: str,
    device: str,
    scope: Scope,
    *,
    mirrored: bool,
    consented: Mapping[SliceIndex, int] | None,
) -> Run:
    """Return a run that segments a part of an image; see `Session.segment` for the errors.

    They are raised here, because in the child they would come late.
    """
    scope.mask(image.volume.n_frames, image.volume.n_slices)
    if not image.volume.slice_axis_known:
        raise FlomoError(ask_for_axis(image.volume))
    keep = kept_slices(image, scope, consented)
    check_labels_agree(image, scope, card_of(model), keep)
    if keep:
        scope = scope.without(keep, image.volume)
    run = Run(
        "segment", key=image.key, model=model, device=device, scope=scope, consented=consented
    )
    run.options = {"mirrored": mirrored}
    return run


def maps_run(image: OpenImage, model: str | None, device: str, maps: Sequence[str]) -> Run:
    """Return a run that computes only uncertainty maps, where an image was segmented.

    See `Session.uncertainty` for the parameters and errors.
    """
    segmentation, scope = image.require_segmentation(), _segmented(image)
    model = model or segmentation.card.name
    run = Run("segment", key=image.key, model=model, device=device, scope=scope, only_maps=True)
    # The default map belongs to the labels, so it needs the views that they were made from.
    mirrored = segmentation.manifest.get("views") == "mirrored"
    run.options = {"maps": list(maps)} if maps else {"mirrored": mirrored}
    return run


def study_run(image: OpenImage, device: str) -> Run:
    """Return a run that suggests labels for slices of an image, learnt from its accepted ones.

    Accepted and corrected slices, and locked labels, do not change; what was learnt is not kept.
    Raises `FlomoError` if fewer than two slices are accepted, or nothing is left.
    """
    segmentation, accepted = image.require_segmentation(), accepted_slices(image)
    if len(accepted) < LEAST_ACCEPTED:
        raise FlomoError(suggestion_messages.too_few_text(len(accepted), LEAST_ACCEPTED))
    scope = _segmented(image)
    keep = kept_slices(image, scope, {})
    if len(keep) == scope.mask(image.volume.n_frames, image.volume.n_slices).sum():
        raise FlomoError(suggestion_messages.ALL_DONE)
    model = image.model or segmentation.card.name
    check_labels_agree(image, scope, card_of(model), keep)
    # Whole frames, since postprocessing needs them; what is to be kept is kept by the merge.
    scope = Scope(scope.slices, scope.without(keep, image.volume).frames)
    run = Run("learn_study", key=image.key, model=model, device=device, scope=scope, consented={})
    run.options = {"corrected": [list(index) for index in accepted]}
    return run


def accepted_slices(image: OpenImage) -> list[SliceIndex]:
    """Return the accepted slices of an image; none before the first run."""
    review = image.review
    if review is None:
        return []
    return sorted(index for index in review.order if review.state(index) is SliceState.ACCEPTED)


def can_learn_study(image: OpenImage) -> bool:
    """Return True if enough slices are accepted to learn from."""
    return len(accepted_slices(image)) >= LEAST_ACCEPTED


def _segmented(image: OpenImage) -> Scope:
    """Return the smallest scope with all slices that were segmented."""
    done = np.isfinite(image.require_segmentation().slice_scores)
    slices, frames = (tuple(np.flatnonzero(done.any(axis)).tolist()) for axis in (0, 1))
    return Scope(slices, frames)


def submit(worker: Worker, image: OpenImage, run: Run) -> None:
    """Start a run on an image."""
    volume, scope = image.volume, run.scope or Scope()
    arguments = {
        "model": run.model,
        "device": run.device,
        "slices": scope.slices,
        "frames": scope.frames,
        **run.options,
    }

    labels = None
    if run.task == "learn_study" and image.labels is not None:
        labels = image.labels.with_data(image.labels.data.copy())  # the user goes on painting

    def pack(folder: Path) -> Mapping[str, Any]:
        packed = {"volume": pack_volume(folder, volume)}
        if labels is not None:
            (folder / CORRECTIONS).mkdir()
            packed["labels"] = pack_volume(folder / CORRECTIONS, labels)
        return packed

    def unpack(folder: Path, packed: Mapping[str, Any]) -> Any:
        return unpack_segmentation(folder, packed, volume)

    worker.submit(run, arguments, pack=pack, unpack=unpack)
