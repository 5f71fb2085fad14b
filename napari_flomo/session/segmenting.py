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
from napari_flomo.session.runs import Run
from napari_flomo.session.scope import Scope
from napari_flomo.volumes import Volume, ask_for_axis


def check_slice_axis(volume: Volume) -> None:
    """Raise if it is unclear which axis of an image is the slice axis.

    The segmenter does so too, but only after the image was sent to another process.
    """
    if not volume.slice_axis_known:
        raise FlomoError(ask_for_axis(volume))


def segmentation_run(
    worker: Worker, image: OpenImage, model: str, device: str, scope: Scope, *, mirrored: bool
) -> Run:
    """Start to segment a part of an image.

    Raises
    ------
    Busy
        If another job is in progress.
    """
    run = Run("segment", key=image.key, model=model, device=device, scope=scope)
    return _submit(worker, image, run, {"mirrored": mirrored})


def maps_run(
    worker: Worker, image: OpenImage, model: str | None, device: str, maps: Sequence[str]
) -> Run:
    """Start to compute only uncertainty maps, where an image was segmented.

    Parameters
    ----------
    worker, image, device
        As in `segmentation_run`.
    model
        By default the one that segmented the image, by its name.
    maps
        Names of the maps; by default the one that every run computes.

    Raises
    ------
    Busy
        If another job is in progress.
    FlomoError
        If the image was not segmented.
    """
    if image.segmentation is None:
        raise FlomoError("This image has no labels yet; segment it first.")
    done = np.isfinite(image.segmentation.slice_scores)
    slices, frames = (tuple(np.flatnonzero(done.any(axis)).tolist()) for axis in (0, 1))
    scope = Scope(slices, frames)
    model = model or image.segmentation.card.name
    run = Run("segment", key=image.key, model=model, device=device, scope=scope, only_maps=True)
    if maps:
        return _submit(worker, image, run, {"maps": list(maps)})
    # This map belongs to the labels, so it needs the views that they were made from.
    mirrored = image.segmentation.manifest.get("views") == "mirrored"
    return _submit(worker, image, run, {"mirrored": mirrored})


def _submit(worker: Worker, image: OpenImage, run: Run, options: Mapping[str, Any]) -> Run:
    volume, scope = image.volume, run.scope or Scope()
    arguments = {
        "model": run.model,
        "device": run.device,
        "slices": scope.slices,
        "frames": scope.frames,
        **options,
    }

    def pack(folder: Path) -> Mapping[str, Any]:
        return {"volume": pack_volume(folder, volume)}

    def unpack(folder: Path, packed: Mapping[str, Any]) -> Any:
        return unpack_segmentation(folder, packed, volume)

    worker.submit(run, arguments, pack=pack, unpack=unpack)
    return run
