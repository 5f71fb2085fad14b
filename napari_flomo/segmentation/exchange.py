"""Exchange volumes and segmentations between processes: arrays in files, the rest in JSON."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_flomo.errors import FlomoError
from napari_flomo.models import ModelCard
from napari_flomo.volumes import Geometry, Volume

if TYPE_CHECKING:
    from napari_flomo.segmentation.segmentation import Segmentation

_IMAGE = "image.npy"
_LABELS = "labels.npy"
_SCORES = "scores.npy"
_MAP = "uncertainty-{}.npy"


def pack_volume(folder: Path, volume: Volume) -> dict[str, Any]:
    """Write the voxels to the folder and return the rest, without the name of the image."""
    _save(folder / _IMAGE, volume.data)
    geometry = volume.geometry
    return {
        "axes": list(volume.axes),
        "spacing": list(geometry.spacing),
        "origin": list(geometry.origin),
        "direction": list(geometry.direction),
        "spacing_known": geometry.spacing_known,
        "modality": volume.modality,
        "frame_step": volume.frame_step,
        "storage": list(volume.storage),
        "slice_axis_known": volume.slice_axis_known,
    }


def unpack_volume(folder: Path, packed: Mapping[str, Any]) -> Volume:
    """Return the volume that `pack_volume` wrote; its voxels are memory-mapped."""
    spacing, origin = packed["spacing"], packed["origin"]
    geometry = Geometry(
        tuple(spacing), tuple(origin), tuple(packed["direction"]), packed["spacing_known"]
    )
    return Volume(
        np.load(folder / _IMAGE, mmap_mode="r", allow_pickle=False),
        geometry,
        tuple(packed["axes"]),
        modality=packed["modality"],
        frame_step=packed["frame_step"],
        storage=tuple(packed["storage"]),
        slice_axis_known=packed["slice_axis_known"],
    )


def pack_segmentation(folder: Path, segmentation: Segmentation) -> dict[str, Any]:
    """Write labels, uncertainty maps and scores to the folder and return the rest."""
    _save(folder / _LABELS, segmentation.labels.data)
    _save(folder / _SCORES, segmentation.slice_scores)
    for name, uncertainty in segmentation.uncertainty.items():
        _save(folder / _MAP.format(name), uncertainty.data)
    return {
        "axes": list(segmentation.labels.axes),
        "maps": list(segmentation.uncertainty),
        "manifest": dict(segmentation.manifest),
        "card": segmentation.card.to_dict(),
    }


def unpack_segmentation(folder: Path, packed: Mapping[str, Any], volume: Volume) -> Segmentation:
    """Return the segmentation that `pack_segmentation` wrote, on the grid of ``volume``."""
    from napari_flomo.segmentation.segmentation import Segmentation

    axes = tuple(packed["axes"])

    def on_grid(name: str) -> Volume:
        return volume.with_data(_load(folder / name), axes=axes)

    return Segmentation(
        labels=on_grid(_LABELS),
        probabilities=None,
        uncertainty={name: on_grid(_MAP.format(name)) for name in packed["maps"]},
        slice_scores=_load(folder / _SCORES),
        manifest=packed["manifest"],
        card=ModelCard.from_dict(packed["card"]),
    )


def _save(path: Path, array: NDArray[Any]) -> None:
    try:
        np.save(path, array, allow_pickle=False)
    except OSError as error:  # numpy's message is a number of bytes
        room = f"{array.nbytes / 1e6:.0f} MB"
        raise FlomoError(
            f"Not enough room for temporary files in {path.parents[1]}; free {room} there, or set "
            "TMPDIR to another disk."
        ) from error


def _load(path: Path) -> NDArray[Any]:
    array: NDArray[Any] = np.load(path, allow_pickle=False)
    return array
