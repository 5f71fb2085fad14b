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
    """Measure every structure in every frame by counting voxels, by the default `Conventions`.

    A slice stands for the distance to the next one, as usual for short-axis stacks: gaps between
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
        measured += volumes_of_frame(counts, structures, 0, shown=frame)
    return measured


def volumes_of_frame(
    counts: VoxelCounts, structures: Mapping[int, str], frame: int, *, shown: int
) -> list[StructureVolume]:
    """Return the volumes of a frame that was counted; ``shown`` is the number that it gets."""
    return [
        StructureVolume(code, name, shown, counts.voxels(code, frame), counts.ml(code, frame))
        for code, name in structures.items()
    ]
