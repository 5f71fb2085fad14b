"""Volumes of labelled structures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from napari_flomo.errors import FlomoError
from napari_flomo.volumes import Volume

MM3_PER_ML = 1000.0


@dataclass(frozen=True)
class StructureVolume:
    """The size of one structure in one frame.

    Parameters
    ----------
    code
        Value of the structure's voxels in the label image.
    name
        Name of the structure.
    frame
        Frame of the label image, counted from 0.
    voxels
        Number of voxels with the code.
    ml
        Their volume in millilitres; None if the spacing is unknown.
    """

    code: int
    name: str
    frame: int
    voxels: int
    ml: float | None


def structure_volumes(
    labels: Volume, structures: Mapping[int, str], frames: Iterable[int] | None = None
) -> list[StructureVolume]:
    """Measure every structure in every frame by counting voxels.

    The slice thickness is the distance between slices, as usual for short-axis stacks: gaps between
    slices are included.

    Parameters
    ----------
    labels
        Integer label image, with or without frames.
    structures
        Names of the codes to measure.
    frames
        Which frames to measure; all by default.

    Returns
    -------
    list of StructureVolume
        By frame, then in the order of ``structures``; absent structures measure 0.

    Raises
    ------
    FlomoError
        If the image is not of an integer type or has no such frame.
    """
    if labels.data.dtype.kind not in "iu":
        raise FlomoError("Structures can be measured in label images only, not in grey values.")
    geometry = labels.geometry
    ml_per_voxel = None
    if geometry.spacing_known:
        ml_per_voxel = float(np.prod(geometry.spacing)) / MM3_PER_ML
    measured = []
    for frame in range(labels.n_frames) if frames is None else frames:
        data = labels.frame(frame).data
        for code, name in structures.items():
            voxels = int(np.count_nonzero(data == code))
            ml = None if ml_per_voxel is None else voxels * ml_per_voxel
            measured.append(StructureVolume(code, name, frame, voxels, ml))
    return measured
