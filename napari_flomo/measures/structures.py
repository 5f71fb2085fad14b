"""Volumes of labelled structures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from napari_flomo.measures.counts import VoxelCounts
from napari_flomo.volumes import Volume


@dataclass(frozen=True)
class StructureVolume:
    """The size of one structure in one frame; ``ml`` is None if the spacing is unknown."""

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
    measured = []
    for frame in range(labels.n_frames) if frames is None else frames:
        counts = VoxelCounts.of(labels.frame(frame), structures)
        measured += [
            StructureVolume(code, name, frame, counts.voxels(code, 0), counts.ml(code, 0))
            for code, name in structures.items()
        ]
    return measured
