"""Where and when each image of a DICOM series was taken: slices, phases and their grid."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from napari_flomo.errors import FlomoError
from napari_flomo.volumes import limits
from napari_flomo.volumes.dicom_header import DicomHeader
from napari_flomo.volumes.geometry import Geometry

# Slices may differ from an even step by this fraction of it (headers round to a few digits) ...
_STEP_TOLERANCE = 0.02
# ... and may be shifted sideways by this fraction of a pixel.
_SHIFT_TOLERANCE = 0.2
_SAME_POSITION_MM = 1e-2


@dataclass(frozen=True)
class Stack:
    """The order of a series.

    Parameters
    ----------
    geometry
        Grid of its slices.
    order
        For each slice in rising depth, the indices of its images in the order of phase; equally
        many for all slices.
    frame_step
        Seconds between phases, None when there is one phase or its time is unknown.
    """

    geometry: Geometry
    order: list[list[int]]
    frame_step: float | None


def sort_stack(headers: Sequence[DicomHeader]) -> Stack:
    """Sort single images into slices and phases.

    Parameters
    ----------
    headers
        All images of one series, in any order.

    Raises
    ------
    FlomoError
        If they do not form one evenly spaced, straight stack with as many phases at each slice, or
        nothing tells the order of the phases.
    """
    _check_alike(headers)
    rotation = rotation_of(headers[0])
    positions = np.array([header.position for header in headers], dtype=np.float64)
    groups = _group_by_depth(headers, positions @ rotation[:, 2])
    centres = np.array([positions[group[0]] @ rotation[:, 2] for group in groups])
    row_step, column_step = headers[0].pixel_spacing or (0.0, 0.0)
    geometry = Geometry(
        (column_step, row_step, _even_step(headers, groups, centres)),
        tuple(positions[groups[0][0]].tolist()),
        tuple(rotation.ravel().tolist()),
    )
    _check_sideways(headers, groups, positions, geometry)
    order, frame_step = _order_phases(headers, groups)
    return Stack(geometry, order, frame_step)


def rotation_of(header: DicomHeader) -> NDArray[np.float64]:
    """Return the directions of an image's axes.

    Returns
    -------
    array
        3x3; columns are the directions of rising column, row and slice index.

    Raises
    ------
    FlomoError
        If the header's orientation is not made of directions.
    """
    if header.orientation is None:
        return np.eye(3)
    along_row = np.array(header.orientation[:3])
    along_column = np.array(header.orientation[3:])
    lengths = np.linalg.norm(along_row), np.linalg.norm(along_column)
    if not all(0.9 < length < 1.1 for length in lengths):
        raise limits.damaged(header.path, "its image orientation is not a direction")
    along_row, along_column = along_row / lengths[0], along_column / lengths[1]
    normal = np.cross(along_row, along_column)
    normal /= np.linalg.norm(normal) or 1.0
    return np.column_stack([along_row, along_column, normal])


def _check_alike(headers: Sequence[DicomHeader]) -> None:
    """All images must lie in parallel planes of one raster, else they are no stack."""
    first = headers[0]
    for header in headers:
        if header.samples > 1:
            raise FlomoError(
                f"{header.path.name} is a colour image, so its series is no stack of slices; open "
                "the file on its own."
            )
        for name in ("position", "orientation", "pixel_spacing"):
            if getattr(header, name) is None:
                raise FlomoError(
                    f"{header.path.name} does not say its {name.replace('_', ' ')} in the patient, "
                    "so the series cannot be stacked; export it again or open single files."
                )
        if (header.rows, header.columns) != (first.rows, first.columns):
            raise FlomoError(
                f"The images of the series differ in size ({first.path.name}: {first.rows} x "
                f"{first.columns}, {header.path.name}: {header.rows} x {header.columns}); keep "
                "only those that belong together in the folder."
            )
        turned = np.abs(np.subtract(header.orientation, first.orientation)).max()  # type: ignore[arg-type]
        zoomed = np.divide(header.pixel_spacing, first.pixel_spacing) - 1  # type: ignore[arg-type]
        if turned > 1e-3 or np.abs(zoomed).max() > 1e-3:
            raise FlomoError(
                f"The images of the series differ in direction or pixel size ({first.path.name} "
                f"and {header.path.name}), as in a localiser; keep only those that belong together "
                "in the folder."
            )


def _group_by_depth(headers: Sequence[DicomHeader], depths: NDArray[np.float64]) -> list[list[int]]:
    """Return the indices of the images at each slice, slices in rising depth."""
    groups: list[list[int]] = []
    for index in np.argsort(depths, kind="stable").tolist():
        if groups and depths[index] - depths[groups[-1][0]] < _SAME_POSITION_MM:
            groups[-1].append(index)
        else:
            groups.append([index])
    counts = Counter(len(group) for group in groups)
    if len(counts) > 1:
        usual = counts.most_common(1)[0][0]
        number, odd = next((n, g) for n, g in enumerate(groups, 1) if len(g) != usual)
        raise FlomoError(
            f"Slice {number} of {len(groups)} (at {depths[odd[0]]:.1f} mm, "
            f"{headers[odd[0]].path.name}) has {len(odd)} images, but most slices have {usual}; "
            "files are missing, or there are copies or a second series in the folder."
        )
    return groups


def _even_step(
    headers: Sequence[DicomHeader], groups: Sequence[list[int]], centres: NDArray[np.float64]
) -> float:
    """Return the step between slices in mm, or say between which ones it is wrong."""
    if len(groups) == 1:
        header = headers[0]
        return header.spacing_between or header.thickness or 1.0
    steps = np.diff(centres)
    # The lower median, so that one gap among two steps is not taken for half of the rule.
    usual = float(np.sort(steps)[(len(steps) - 1) // 2])
    for number, step in enumerate(steps.tolist(), 1):
        if abs(step - usual) <= _STEP_TOLERANCE * usual:
            continue
        missing = round(step / usual) - 1
        whole = missing >= 1 and abs(step / usual - missing - 1) <= _STEP_TOLERANCE * (missing + 1)
        names = [headers[groups[at][0]].path.name for at in (number - 1, number)]
        what = (
            f"{missing} {'slice is' if missing == 1 else 'slices are'} missing"
            if whole
            else "the slices are not evenly spaced"
        )
        raise FlomoError(
            f"Between slice {number} ({names[0]}) and slice {number + 1} ({names[1]}) the step is "
            f"{step:.2f} mm instead of {usual:.2f} mm: {what}; export the complete series again."
        )
    return float(centres[-1] - centres[0]) / (len(groups) - 1)


def _check_sideways(
    headers: Sequence[DicomHeader],
    groups: Sequence[list[int]],
    positions: NDArray[np.float64],
    geometry: Geometry,
) -> None:
    """Each image must lie where the common grid says, or it would be shown displaced."""
    normal = geometry.direction_matrix[:, 2]
    limit = _SHIFT_TOLERANCE * min(geometry.spacing[:2])
    for number, group in enumerate(groups):
        off = positions[group] - geometry.positions((0, 0, number))
        across = off - np.outer(off @ normal, normal)
        shifts = np.linalg.norm(across, axis=1)
        worst = int(np.argmax(shifts))
        if shifts[worst] > limit:
            raise FlomoError(
                f"Slice {number + 1} ({headers[group[worst]].path.name}) is shifted sideways by "
                f"{shifts[worst]:.1f} mm against the stack (a tilted gantry or a replanned slice); "
                "resample the series to a straight stack first."
            )


def _order_phases(
    headers: Sequence[DicomHeader], groups: Sequence[list[int]]
) -> tuple[list[list[int]], float | None]:
    """Return the indices of each slice in the order of phase, and the seconds between phases.

    Phases are matched by rank and not by time: each slice of a cine has its own heartbeat.
    """
    if len(groups[0]) == 1:
        return [list(group) for group in groups], None
    for group in groups:
        for what in ("image_type", "echo"):
            kinds = sorted({str(getattr(headers[index], what)) for index in group})
            if len(kinds) > 1:
                raise FlomoError(
                    "The series mixes different images of the same slice "
                    f"({what.replace('_', ' ')} {' and '.join(kinds)}), such as magnitude and "
                    "phase; keep only one kind in the folder."
                )
    for name in ("temporal_position", "trigger_time", "instance_number"):
        keys = [[getattr(headers[index], name) for index in group] for group in groups]
        if any(key is None for group in keys for key in group):
            continue
        if any(len(set(group)) < len(group) for group in keys):
            continue
        order = [
            [index for _, index in sorted(zip(key, group, strict=True))]
            for key, group in zip(keys, groups, strict=True)
        ]
        times = [header.trigger_time for header in headers]
        return order, None if None in times else _frame_step(order, times)
    raise FlomoError(
        f"The series has {len(groups[0])} images at each slice, but neither temporal position, "
        "trigger time nor instance number tells their order; export it again with these tags."
    )


def _frame_step(order: Sequence[Sequence[int]], times: Sequence[float | None]) -> float | None:
    """Median step of the trigger times (ms) in seconds."""
    steps = [
        (times[after] or 0.0) - (times[before] or 0.0)
        for indices in order
        for before, after in pairwise(indices)
    ]
    step = float(np.median(steps)) / 1000
    return step if step > 0 else None
