"""How a segmentation is asked of a worker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_flomo.errors import FlomoError
from napari_flomo.jobs import Job, Worker
from napari_flomo.segmentation.exchange import pack_volume, unpack_segmentation
from napari_flomo.session.image_state import OpenImage
from napari_flomo.session.runs import Run
from napari_flomo.session.scope import Scope
from napari_flomo.volumes import Volume
from napari_flomo.volumes.slice_axis import ask_for_axis


def check_slice_axis(volume: Volume) -> None:
    """Raise if it is not clear which axis of an image is the slice axis.

    The segmenter would do so too, but only after the image went to another process.
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
        If the worker does something else.
    """
    arguments = _arguments(model, device, scope) | {"mirrored": mirrored}
    return Run(
        _submit(worker, image, arguments), key=image.key, model=model, device=device, scope=scope
    )


def maps_run(
    worker: Worker, image: OpenImage, model: str | None, device: str, maps: Sequence[str]
) -> Run:
    """Start to compute uncertainty maps where an image was segmented, and nothing else.

    Parameters
    ----------
    worker, image, device
        As in `segmentation_run`.
    model
        By default the one that segmented the image, by its name.
    maps
        Names; without any, the map that every run brings.

    Raises
    ------
    Busy
        If the worker does something else.
    FlomoError
        If the image was not segmented.
    """
    if image.segmentation is None:
        raise FlomoError("This image has no labels yet; segment it first.")
    done = np.isfinite(image.segmentation.slice_scores)
    slices, frames = (tuple(np.flatnonzero(done.any(axis)).tolist()) for axis in (0, 1))
    scope = Scope(slices, frames)
    model = model or image.segmentation.card.name
    arguments = _arguments(model, device, scope)
    if maps:
        arguments["maps"] = list(maps)
    else:  # that map is of the labels, so it sees what they were made from
        arguments["mirrored"] = image.segmentation.manifest.get("views") == "mirrored"
    job = _submit(worker, image, arguments)
    return Run(job, key=image.key, model=model, device=device, scope=scope, only_maps=True)


def _arguments(model: str, device: str, scope: Scope) -> dict[str, Any]:
    return {"model": model, "device": device, "slices": scope.slices, "frames": scope.frames}


def _submit(worker: Worker, image: OpenImage, arguments: Mapping[str, Any]) -> Job:
    volume = image.volume

    def pack(folder: Path) -> Mapping[str, Any]:
        return {"volume": pack_volume(folder, volume)}

    def unpack(folder: Path, packed: Mapping[str, Any]) -> Any:
        return unpack_segmentation(folder, packed, volume)

    return worker.submit("segment", arguments, pack=pack, unpack=unpack)
