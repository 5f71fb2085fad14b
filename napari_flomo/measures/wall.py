"""Thickness of the left ventricular wall in the 16 segments of the American Heart Association."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_flomo.errors import FlomoError
from napari_flomo.measures.heart_codes import HeartCodes
from napari_flomo.measures.slice_shape import base_first, part_masks
from napari_flomo.measures.wall_contours import (
    WallContours,
    insertion_points,
    trace_wall,
    wall_samples,
)
from napari_flomo.volumes import Volume

WALL_SEGMENTS = (
    "basal anterior",
    "basal anteroseptal",
    "basal inferoseptal",
    "basal inferior",
    "basal inferolateral",
    "basal anterolateral",
    "mid anterior",
    "mid anteroseptal",
    "mid inferoseptal",
    "mid inferior",
    "mid inferolateral",
    "mid anterolateral",
    "apical anterior",
    "apical septal",
    "apical inferior",
    "apical lateral",
)
"""Names of segments 1 to 16; 17, the apex, is not visible in short-axis slices. Cerqueira et al.,
Circulation 105(4), 2002, doi 10.1161/hc0402.102975."""

SMALLEST_ARC = 0.7
"""Smallest fraction of a cavity's border enclosed by wall; other slices lie at the valve."""

_FREE_WALL = (4, 5, 6, 1)  # from the inferior to the anterior insertion of the right ventricle
_ANTERIOR = np.array([0.0, -1.0, 1.0])  # LPS: towards the chest and the head


@dataclass(frozen=True)
class Insertions:
    """Where the right ventricle meets the left one in a slice, as (row, column) in pixels."""

    anterior: tuple[float, float]
    inferior: tuple[float, float]


@dataclass(frozen=True)
class WallThickness:
    """Thickness of the left ventricular wall in one frame.

    Attributes
    ----------
    mean_mm
        Mean of all points of the wall.
    segments_mm
        Mean of each of the `WALL_SEGMENTS`; None where no wall was seen, and for all segments if
        the insertions of the right ventricle are unknown.
    insertions
        Those used, by slice.
    levels
        Which third of the ventricle a slice belongs to: ``"basal"``, ``"mid"`` or ``"apical"``.
    """

    mean_mm: float
    segments_mm: tuple[float | None, ...]
    insertions: Mapping[int, Insertions]
    levels: Mapping[int, str]


def wall_thickness(
    labels: Volume,
    codes: HeartCodes,
    frame: int = 0,
    *,
    insertions: Mapping[int, Insertions] | None = None,
) -> WallThickness | None:
    """Measure the wall of the left ventricle between its contours in the slices of a frame.

    The thickness at a point of one contour is the distance to the other contour, taken from both
    sides. Basal, mid and apical are thirds of the slices whose cavity is enclosed by wall; the
    septum between the insertions is divided into two segments, the free wall into four, and the
    apical third into four quadrants.

    Parameters
    ----------
    labels
        Label image of a short-axis stack.
    codes
        Its left ventricle and myocardium are required.
    frame
        Which frame to measure.
    insertions
        Insertions of the right ventricle by slice, instead of those found where its labels touch
        the wall. A slice without any takes those of the nearest slice.

    Returns
    -------
    WallThickness or None
        None if no slice shows a cavity enclosed by wall.

    Raises
    ------
    FlomoError
        If the spacing is unknown, or a structure is missing in ``codes``.
    """
    if codes.left_ventricle is None or codes.myocardium is None:
        raise FlomoError(
            "The wall is measured between labels of cavity and myocardium; one is missing."
        )
    if not labels.geometry.spacing_known:
        raise FlomoError("The wall cannot be measured without a voxel size; set it first.")
    stack = labels.frame(frame).data.reshape(labels.spatial_shape)
    walls = {
        number: wall
        for number, pixels in enumerate(stack)
        if (wall := trace_wall(pixels, codes, labels.in_plane_spacing)) is not None
        and wall.enclosed >= SMALLEST_ARC
    }
    if not walls:
        return None
    found = dict(insertions or {})
    for number, wall in walls.items():
        if number not in found and (pair := _find_insertions(stack[number], wall, codes, labels)):
            found[number] = pair
    levels = _levels(list(walls), stack, codes)
    sums, counts = np.zeros(len(WALL_SEGMENTS)), np.zeros(len(WALL_SEGMENTS), int)
    every = []
    for number, wall in walls.items():
        angles, thickness = wall_samples(wall)
        every.append(thickness)
        if found:
            nearest = found[min(found, key=lambda other: abs(other - number))]
            index = _segment_index(angles, nearest, wall, levels[number])
            np.add.at(sums, index, thickness)
            np.add.at(counts, index, 1)
    return WallThickness(
        mean_mm=float(np.concatenate(every).mean()),
        segments_mm=tuple(
            float(total / n) if n else None for total, n in zip(sums, counts, strict=True)
        ),
        insertions=found,
        levels=levels,
    )


def thickening(diastole: WallThickness, systole: WallThickness) -> tuple[float | None, ...]:
    """Return the systolic thickening of each segment in percent of its thickness at diastole."""
    return tuple(
        None if before is None or after is None else 100 * (after - before) / before
        for before, after in zip(diastole.segments_mm, systole.segments_mm, strict=True)
    )


def _find_insertions(
    pixels: NDArray[np.integer], wall: WallContours, codes: HeartCodes, labels: Volume
) -> Insertions | None:
    """Find the insertions from labels of the right ventricle; the anterior one by orientation."""
    if codes.right_ventricle is None:
        return None
    pair = insertion_points(pixels == codes.right_ventricle, wall)
    if pair is None:
        return None
    columns, rows = labels.geometry.direction_matrix.T[:2]
    height = [(row * rows + column * columns) @ _ANTERIOR for row, column in pair]
    ends = [tuple((point / wall.step).tolist()) for point in pair]
    if height[0] < height[1]:
        ends.reverse()
    return Insertions(ends[0], ends[1])


def _levels(
    numbers: Sequence[int], stack: NDArray[np.integer], codes: HeartCodes
) -> dict[int, str]:
    """Divide slices into thirds from base to apex."""
    areas = [
        {part: int(mask.sum()) for part, mask in part_masks(stack[number], codes).items()}
        for number in numbers
    ]
    ordered = list(numbers) if base_first(areas) else list(numbers)[::-1]
    names = ("basal", "mid", "apical")
    return {number: names[3 * i // len(ordered)] for i, number in enumerate(ordered)}


def _segment_index(
    angles: NDArray[np.float64], insertions: Insertions, wall: WallContours, level: str
) -> NDArray[np.intp]:
    """Return the index in `WALL_SEGMENTS` of points at angles about the cavity's centre."""
    anterior, inferior = (
        wall.angle_of(np.array(point) * wall.step)
        for point in (insertions.anterior, insertions.inferior)
    )
    turn = 2 * np.pi
    septum = (inferior - anterior) % turn
    sense = 1.0
    if septum > np.pi:  # the septum is the shorter way from one insertion to the other
        septum, sense = turn - septum, -1.0
    past_anterior = (sense * (angles - anterior)) % turn
    if level == "apical":
        quadrant = ((past_anterior - septum / 2 + np.pi / 4) % turn) // (np.pi / 2)
        return np.array([13, 14, 15, 12])[quadrant.astype(int)]
    in_septum = past_anterior < septum
    half = np.where(past_anterior < septum / 2, 2, 3)
    quarter = ((past_anterior - septum) / (turn - septum) * 4).clip(0, 3).astype(int)
    number = np.where(in_septum, half, np.array(_FREE_WALL)[quarter])
    return number - 1 + (6 if level == "mid" else 0)
