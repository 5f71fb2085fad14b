"""Start segmentations in a worker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_flomo.errors import FlomoError
from napari_flomo.jobs import Worker
from napari_flomo.segmentation import pack_volume, unpack_segmentation
from napari_flomo.session.image_state import OpenImage
from napari_flomo.session.merging import card_of, check_labels_agree
from napari_flomo.session.overwrite import kept_slices
from napari_flomo.session.review import SliceIndex
from napari_flomo.session.runs import Run
from napari_flomo.session.scope import Scope
from napari_flomo.volumes import ask_for_axis


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
    segmentation = image.require_segmentation()
    done = np.isfinite(segmentation.slice_scores)
    slices, frames = (tuple(np.flatnonzero(done.any(axis)).tolist()) for axis in (0, 1))
    scope = Scope(slices, frames)
    model = model or segmentation.card.name
    run = Run("segment", key=image.key, model=model, device=device, scope=scope, only_maps=True)
    # The default map belongs to the labels, so it needs the views that they were made from.
    mirrored = segmentation.manifest.get("views") == "mirrored"
    run.options = {"maps": list(maps)} if maps else {"mirrored": mirrored}
    return run


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

    def pack(folder: Path) -> Mapping[str, Any]:
        return {"volume": pack_volume(folder, volume)}

    def unpack(folder: Path, packed: Mapping[str, Any]) -> Any:
        return unpack_segmentation(folder, packed, volume)

    worker.submit(run, arguments, pack=pack, unpack=unpack)
