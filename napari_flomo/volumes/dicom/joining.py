"""Slices that a scanner put into a series each, joined into one stack."""

from __future__ import annotations

import re
from collections.abc import Sequence

from napari_flomo.errors import FlomoError
from napari_flomo.volumes.dicom.header import Plane
from napari_flomo.volumes.dicom.sorting import (
    check_alike,
    is_parallel,
    slices_of,
    sort_stack,
    told_step,
)

_LONG_AXIS = re.compile(
    r"\b(?:la|lax|vla|hla)\b|long.?ax|[2345]\W?_?ch|chamber|lvot|rvot|outflow|tract",
    re.IGNORECASE,
)
_PLACE = re.compile(
    r"\d+|(?<![a-z])(?:sl|slc|slice|pos|loc|level|apex|apical|mid|base|basal|b|s|p)(?![a-z])"
)
_WIDEST_STEP = 1.2
"""Share of the step that headers tell by which that of a stack may exceed it."""


def join(groups: Sequence[Sequence[Plane]]) -> list[list[int]]:
    """Find series that are the slices of one stack.

    They are of one study and alike in modality, kind of image, matrix, pixel size, direction and
    number of phases; their descriptions differ by no more than numbers and words for the place of
    a slice; each has one slice, at a place of its own; and together they are an even stack.

    Parameters
    ----------
    groups
        The images of each series.

    Returns
    -------
    list of list of int
        The numbers of the series of each stack; a series that is joined with no other stands alone.
        In the order of the first of each.
    """
    candidates: list[list[int]] = []
    for number, group in enumerate(groups):
        if not _is_slice(group):
            continue
        fitting = (one for one in candidates if alike(groups[one[0]], group))
        same = next(fitting, None)
        if same is None:
            candidates.append([number])
        else:
            same.append(number)
    joined = [
        numbers
        for numbers in candidates
        if len(numbers) > 1 and _is_stack([groups[number] for number in numbers])
    ]
    taken = {number for numbers in joined for number in numbers}
    alone = [[number] for number in range(len(groups)) if number not in taken]
    return sorted(joined + alone, key=min)


def _is_slice(group: Sequence[Plane]) -> bool:
    """Return True if a series is one slice, of one phase or several, that is no long axis."""
    if _LONG_AXIS.search(group[0].file.description.replace("_", " ")):
        return False
    try:
        check_alike(group)
    except FlomoError:
        return False
    return len(slices_of(group)) == 1


def alike(group: Sequence[Plane], other: Sequence[Plane]) -> bool:
    """Return True if nothing but their place tells the images of two series apart."""
    first, second = group[0], other[0]
    one, two = first.file, second.file
    frames = [{plane.file.frame_of_reference for plane in planes} for planes in (group, other)]
    # Where the images of one series have several, they were made up by who took the names out.
    told = all(len(uids) == 1 for uids in frames)
    echoes = (one.echo_time or 0.0, two.echo_time or 0.0)
    return (
        one.study_uid == two.study_uid
        and (not told or frames[0] == frames[1] or len(group) == len(other) == 1)
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
    """Return a description without what tells one slice of a stack from the next."""
    return " ".join(re.sub(r"[\W_]+", " ", _PLACE.sub(" ", description.lower())).split())


def _is_stack(groups: Sequence[Sequence[Plane]]) -> bool:
    planes = [plane for group in groups for plane in group]
    try:
        stack = sort_stack(planes)
    except FlomoError:
        return False
    told = told_step(planes[0])
    if told is None and planes[0].thickness is not None:
        told = 2 * planes[0].thickness  # more is not usual
    return len(stack.order) == len(groups) and (
        told is None or stack.geometry.spacing[2] <= _WIDEST_STEP * told
    )
