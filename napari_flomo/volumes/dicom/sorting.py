"""Sort the images of a DICOM series into slices and phases, and find their grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_flomo.errors import FlomoError
from napari_flomo.volumes import limits
from napari_flomo.volumes.dicom.phases import order_phases
from napari_flomo.volumes.dicom.planes import Plane
from napari_flomo.volumes.geometry import Geometry

_STEP_TOLERANCE = 0.02
"""Tolerance for even slices, as a fraction of the step: headers are rounded."""

LARGEST_UNEVENNESS = 0.2
"""Tolerance for uneven slices that are read with a note, as a fraction of the mean step."""

_WIDEST_STEP = 1.5
"""Ratio to the step of the headers from which slices may be missing."""

_SHIFT_TOLERANCE = 0.2
"""Tolerance for in-plane shifts of slices, as a fraction of a pixel."""

_SAME_POSITION_MM = 1e-2
_JITTER = 0.1
"""Tolerance for the depth of the images of one slice, as a fraction of the step ..."""

_LARGEST_JITTER_MM = 0.5
"""... and in mm."""


@dataclass(frozen=True)
class Stack:
    """The grid and order of a series.

    Attributes
    ----------
    order
        For each slice by increasing depth, the indices of its images in the order of phase; equally
        many for all slices.
    frame_step
        Seconds between phases, or None.
    notes
        For the user: how ambiguous positions and phases were interpreted.
    """

    geometry: Geometry
    order: list[list[int]]
    frame_step: float | None = None
    notes: tuple[str, ...] = ()


def sort_stack(planes: Sequence[Plane]) -> Stack:
    """Sort the images of a series into slices and phases; raise unless they are a regular stack."""
    check_alike(planes)
    rotation = rotation_of(planes[0])
    positions = np.array([plane.position for plane in planes], dtype=np.float64)
    depths = positions @ rotation[:, 2]
    groups, jitter = _group_by_depth(depths, planes[0].thickness)
    centres = np.array(
        [positions[group].mean(axis=0) if jitter else positions[group[0]] for group in groups]
    )
    step, uneven = _mean_step(planes, groups, centres @ rotation[:, 2])
    row_step, column_step = planes[0].pixel_spacing or (0.0, 0.0)
    geometry = Geometry(
        (column_step, row_step, step),
        tuple(centres[0].tolist()),
        tuple(rotation.ravel().tolist()),
    )
    _check_sideways(planes, groups, positions, geometry)
    order, frame_step, incomplete = order_phases(planes, groups)
    spread = jitter and (
        f"The positions of images of one slice differ by up to {jitter:.2g} mm; their mean was "
        "used."
    )
    notes = tuple(note for note in (spread, uneven, incomplete) if note)
    return Stack(geometry, order, frame_step, notes)


def rotation_of(plane: Plane) -> NDArray[np.float64]:
    """Return a 3x3 matrix; its columns are the directions of rising column, row and slice index."""
    if plane.orientation is None:
        return np.eye(3)
    along_row = np.array(plane.orientation[:3])
    along_column = np.array(plane.orientation[3:])
    lengths = np.linalg.norm(along_row), np.linalg.norm(along_column)
    if not all(0.9 < length < 1.1 for length in lengths):
        raise limits.damaged(plane.file.path, "its image orientation is not a direction")
    along_row, along_column = along_row / lengths[0], along_column / lengths[1]
    normal = np.cross(along_row, along_column)
    normal /= np.linalg.norm(normal) or 1.0
    return np.column_stack([along_row, along_column, normal])


def check_alike(planes: Sequence[Plane]) -> None:
    """Raise unless all images lie in parallel planes of one raster."""
    first = planes[0]
    size = (first.file.rows, first.file.columns)
    for plane in planes:
        file = plane.file
        if file.samples > 1:
            raise FlomoError(
                f"{file.path.name} is a colour image, so its series is no stack of slices; open "
                "only this file."
            )
        for name in ("position", "orientation", "pixel_spacing"):
            if getattr(plane, name) is None:
                raise FlomoError(
                    f"{plane.name} has no {name.replace('_', ' ')} in its header, so the series "
                    "cannot be stacked; export it again or open single files."
                )
        if (file.rows, file.columns) != size:
            raise FlomoError(
                f"The images of the series differ in size ({first.file.path.name}: {size[0]} x "
                f"{size[1]}, {file.path.name}: {file.rows} x {file.columns}); keep only those that "
                "belong together in the folder."
            )
        if not is_parallel(plane, first):
            raise FlomoError(
                f"The images of the series differ in direction or pixel size ({first.name} "
                f"and {plane.name}), as in a localiser; keep only those that belong together "
                "in the folder."
            )


def is_parallel(plane: Plane, other: Plane) -> bool:
    """Return True if two images have the same direction and pixel size."""
    turned = np.abs(np.subtract(plane.orientation, other.orientation)).max()  # type: ignore[arg-type]
    zoomed = np.divide(plane.pixel_spacing, other.pixel_spacing) - 1  # type: ignore[arg-type]
    return bool(turned <= 1e-3 and np.abs(zoomed).max() <= 1e-3)


def slices_of(planes: Sequence[Plane]) -> list[list[int]]:
    """Return the indices of parallel images at each slice, by increasing depth."""
    positions = np.array([plane.position for plane in planes], dtype=np.float64)
    depths = positions @ rotation_of(planes[0])[:, 2]
    return _group_by_depth(depths, planes[0].thickness)[0]


def _group_by_depth(
    depths: NDArray[np.float64], thickness: float | None
) -> tuple[list[list[int]], float]:
    """Return the indices of the images at each slice, by increasing depth, and their jitter.

    Phases of one slice may differ by a small fraction of the step: the gaps between sorted depths
    are then either small or large.
    """
    indices = np.argsort(depths, kind="stable")
    # A single slice has no step to compare with, but perhaps a thickness.
    width = float(np.ptp(depths))
    if thickness and _SAME_POSITION_MM <= width <= min(_JITTER * thickness, _LARGEST_JITTER_MM):
        return [indices.tolist()], width
    gaps = np.diff(depths[indices])
    most = min(_JITTER * float(gaps.max(initial=0)), _LARGEST_JITTER_MM)
    small = {float(gap) for gap in gaps if _SAME_POSITION_MM <= gap <= most}
    for border in sorted({*small, _SAME_POSITION_MM}, reverse=True):
        larger = np.sort(gaps[gaps > border])
        if not larger.size:
            continue
        step = float(larger[(len(larger) - 1) // 2])
        groups = np.split(indices, np.flatnonzero(gaps > border) + 1)
        width = float(max(np.ptp(depths[group]) for group in groups))
        if width <= min(_JITTER * step, _LARGEST_JITTER_MM):
            jitter = width if width >= _SAME_POSITION_MM else 0.0
            return [group.tolist() for group in groups], jitter
    found: list[list[int]] = []
    for index in indices.tolist():
        if found and depths[index] - depths[found[-1][0]] < _SAME_POSITION_MM:
            found[-1].append(index)
        else:
            found.append([index])
    return found, 0.0


def _mean_step(
    planes: Sequence[Plane], groups: Sequence[list[int]], centres: NDArray[np.float64]
) -> tuple[float, str | None]:
    """Return the step between slices in mm, and a note if it is uneven; raise if too uneven."""
    if len(groups) == 1:
        plane = planes[0]
        return plane.spacing_between or plane.thickness or 1.0, None
    steps = np.diff(centres)
    mean = float(centres[-1] - centres[0]) / (len(groups) - 1)
    # The lower median, so that a gap does not count as usual if there are two steps.
    usual = float(np.sort(steps)[(len(steps) - 1) // 2])
    if np.abs(steps - usual).max() <= _STEP_TOLERANCE * usual:
        stated = header_step(planes[0])
        if stated is None or mean <= _WIDEST_STEP * stated:
            return mean, None
        return mean, (
            f"The slices are {mean:.2f} mm apart, but their headers say {stated:.2f} mm; some may "
            "be missing."
        )
    if np.abs(steps - mean).max() <= LARGEST_UNEVENNESS * mean:
        return mean, (
            f"The slices are not evenly spaced ({steps.min():.2f} to {steps.max():.2f} mm); the "
            f"mean step of {mean:.2f} mm was used."
        )
    number = int(np.argmax(np.abs(steps - usual) > _STEP_TOLERANCE * usual)) + 1
    step = float(steps[number - 1])
    missing = round(step / usual) - 1
    whole = missing >= 1 and abs(step / usual - missing - 1) <= _STEP_TOLERANCE * (missing + 1)
    names = [planes[groups[at][0]].name for at in (number - 1, number)]
    what = (
        f"{missing} {'slice is' if missing == 1 else 'slices are'} missing"
        if whole
        else "the slices are not evenly spaced"
    )
    raise FlomoError(
        f"Between slice {number} ({names[0]}) and slice {number + 1} ({names[1]}) the step is "
        f"{step:.2f} mm instead of {usual:.2f} mm: {what}; export the complete series again."
    )


def header_step(plane: Plane) -> float | None:
    """Return the step to the next slice according to the header."""
    thickness, between = plane.thickness, plane.spacing_between
    if thickness is None or between is None:
        return between
    # Some programs put the gap there instead of the step.
    return between if between >= thickness else thickness + between


def _check_sideways(
    planes: Sequence[Plane],
    groups: Sequence[list[int]],
    positions: NDArray[np.float64],
    geometry: Geometry,
) -> None:
    """Raise if an image is not on the common grid, since it would be displaced."""
    normal = geometry.direction_matrix[:, 2]
    limit = _SHIFT_TOLERANCE * min(geometry.spacing[:2])
    for number, group in enumerate(groups):
        off = positions[group] - geometry.positions((0, 0, number))
        across = off - np.outer(off @ normal, normal)
        shifts = np.linalg.norm(across, axis=1)
        worst = int(np.argmax(shifts))
        if shifts[worst] > limit:
            raise FlomoError(
                f"Slice {number + 1} ({planes[group[worst]].name}) is shifted sideways by "
                f"{shifts[worst]:.1f} mm against the stack (a tilted gantry or a replanned slice); "
                "resample the series to a straight stack first."
            )
