"""Join slices that a scanner stored as separate series into one stack."""

from __future__ import annotations

import re
from collections.abc import Sequence

from napari_flomo.errors import FlomoError
from napari_flomo.volumes.dicom.planes import Plane
from napari_flomo.volumes.dicom.sorting import (
    check_alike,
    header_step,
    is_parallel,
    slices_of,
    sort_stack,
)

_LONG_AXIS = re.compile(
    r"\b(?:la|lax|vla|hla)\b|long.?ax|[2345]\W?_?ch|chamber|lvot|rvot|outflow|tract",
    re.IGNORECASE,
)
_SLICE_WORDS = re.compile(
    r"\d+|(?<![a-z])(?:sl|slc|slice|pos|loc|level|apex|apical|mid|base|basal|b|s|p)(?![a-z])"
)
_WIDEST_STEP = 1.2
"""Ratio by which the step of a stack may exceed that of its headers."""


def join(groups: Sequence[Sequence[Plane]]) -> list[list[int]]:
    """Find series that are the slices of one stack, given the images of each series.

    They share study, modality, kind of image, matrix, pixel size, direction and number of phases;
    their descriptions differ only by numbers and words for a slice position; each has one slice, at
    a different position; and together they are an evenly spaced stack.

    Returns the indices of the series of each stack, ordered by the first; series that are not
    joined are stacks of one.
    """
    candidates: list[list[int]] = []
    for number, group in enumerate(groups):
        if not _is_slice(group):
            continue
        same = (stack for stack in candidates if is_same_stack(groups[stack[0]], group))
        if (stack := next(same, None)) is None:
            candidates.append([number])
        else:
            stack.append(number)
    joined = [
        numbers
        for numbers in candidates
        if len(numbers) > 1 and _is_stack([groups[number] for number in numbers])
    ]
    taken = {number for numbers in joined for number in numbers}
    unjoined = [[number] for number in range(len(groups)) if number not in taken]
    return sorted(joined + unjoined, key=min)


def _is_slice(group: Sequence[Plane]) -> bool:
    """Return True if a series is a single slice, with any number of phases, and not a long axis."""
    if _LONG_AXIS.search(group[0].file.description.replace("_", " ")):
        return False
    try:
        check_alike(group)
    except FlomoError:
        return False
    return len(slices_of(group)) == 1


def is_same_stack(group: Sequence[Plane], other: Sequence[Plane]) -> bool:
    """Return True if two series differ only by their position."""
    first, second = group[0], other[0]
    one, two = first.file, second.file
    frames = [{plane.file.frame_of_reference for plane in planes} for planes in (group, other)]
    # Several UIDs in one series were invented by an anonymiser.
    known = all(len(uids) == 1 for uids in frames)
    echoes = (one.echo_time or 0.0, two.echo_time or 0.0)
    return (
        one.study_uid == two.study_uid
        and (not known or frames[0] == frames[1] or len(group) == len(other) == 1)
        and one.modality == two.modality
        and (one.rows, one.columns) == (two.rows, two.columns)
        and one.sequence == two.sequence
        and abs(echoes[0] - echoes[1]) <= 0.1 * max(echoes)
        and first.kind.get("image type") == second.kind.get("image type")
        and _plain(one.description) == _plain(two.description)
        and len(group) == len(other)
        and is_parallel(first, second)
    )


def _plain(description: str) -> str:
    """Return a description without numbers and words for a slice position."""
    return " ".join(re.sub(r"[\W_]+", " ", _SLICE_WORDS.sub(" ", description.lower())).split())


def _is_stack(groups: Sequence[Sequence[Plane]]) -> bool:
    planes = [plane for group in groups for plane in group]
    try:
        stack = sort_stack(planes)
    except FlomoError:
        return False
    step = header_step(planes[0])
    if step is None and planes[0].thickness is not None:
        step = 2 * planes[0].thickness  # more is unusual
    return len(stack.order) == len(groups) and (
        step is None or stack.geometry.spacing[2] <= _WIDEST_STEP * step
    )
