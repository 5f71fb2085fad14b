"""Sort the images of each slice by phase."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from napari_flomo.errors import FlomoError
from napari_flomo.volumes.dicom.planes import Plane

KEYS = (
    "temporal_position",
    "trigger_time",
    "trigger_delay",
    "cardiac_percentage",
    "time_offset",
    "dimension",
    "acquisition_time",
    "reference_time",
    "instance_number",
    "content_time",
)
"""Header values that may encode the phase of an image, the most reliable first."""

_ALIKE = ("temporal_position", "trigger_time", "trigger_delay", "cardiac_percentage", "dimension")
"""Those that are approximately equal for the same phase of all slices."""

_NEAR = 0.35
"""Tolerance of times, as a fraction of the step between phases."""

LARGEST_LOSS = 1 / 3
"""Fraction of phases that may be incomplete and skipped; one may always be."""

Order = list[list[int]]


def order_phases(
    planes: Sequence[Plane], groups: Sequence[Sequence[int]]
) -> tuple[Order, float | None, str | None]:
    """Sort the images of each slice, given by their indices in ``groups``, by phase.

    Phases are matched by rank and not by time: each slice of a cine is acquired in another
    heartbeat. If images are missing, only phases that are complete in all slices are kept.

    Returns the indices of each slice in the order of phase, the seconds between phases or None, and
    a note about phases that were left out or None.
    """
    if all(len(group) == 1 for group in groups):
        return [list(group) for group in groups], None, None
    _check_kinds(planes, groups)
    note = None
    if len({len(group) for group in groups}) > 1:
        groups, note = _complete(planes, groups)
    for name in KEYS:
        keys = _keys(planes, groups, name)
        if keys is None:
            continue
        order = [
            [index for _, index in sorted(zip(key, group, strict=True))]
            for key, group in zip(keys, groups, strict=True)
        ]
        return order, _frame_step(planes, order), note
    raise FlomoError(
        f"The series has {len(groups[0])} images at each slice, but neither temporal position, "
        "trigger time nor instance number gives their order; export it again with these tags."
    )


def _check_kinds(planes: Sequence[Plane], groups: Sequence[Sequence[int]]) -> None:
    for group in groups:
        for what in planes[group[0]].kind:
            kinds = sorted({planes[index].kind.get(what, "") for index in group})
            if len(kinds) > 1:
                raise FlomoError(
                    "The series mixes different images of the same slice "
                    f"({what} {' and '.join(kinds)}), such as magnitude and phase; keep only one "
                    "kind in the folder."
                )


def _keys(
    planes: Sequence[Plane], groups: Sequence[Sequence[int]], name: str
) -> list[list[float]] | None:
    """Return the values of a key at each slice; None if it does not distinguish the phases."""
    keys: list[list[float]] = []
    for group in groups:
        values = [planes[index].times.get(name) for index in group]
        known = [value for value in values if value is not None]
        if len(known) < len(values) or len(set(known)) < len(known):
            return None
        keys.append(known)
    return keys


def _frame_step(planes: Sequence[Plane], order: Order) -> float | None:
    """Return the median step of the trigger times (ms) in seconds."""
    if len(order[0]) < 2:
        return None
    for name in ("trigger_time", "trigger_delay"):
        times = [plane.times.get(name) for plane in planes]
        if None in times:
            continue
        steps = [
            (times[after] or 0.0) - (times[before] or 0.0)
            for indices in order
            for before, after in pairwise(indices)
        ]
        step = float(np.median(steps)) / 1000
        if step > 0:
            return step
    return None


def _complete(
    planes: Sequence[Plane], groups: Sequence[Sequence[int]]
) -> tuple[list[list[int]], str]:
    """Return the images of complete phases, and a note about the others; raise if unclear."""
    counts = Counter(len(group) for group in groups)
    usual, most = counts.most_common(1)[0][0], max(counts)
    ranks = None if usual == 1 else _ranks(planes, groups, most)
    complete = set() if ranks is None else set.intersection(*map(set, ranks))
    if ranks is None or most - len(complete) > max(1, most * LARGEST_LOSS):
        raise _refusal(planes, groups, usual)
    kept = [
        [index for index, rank in zip(group, numbers, strict=True) if rank in complete]
        for group, numbers in zip(groups, ranks, strict=True)
    ]
    lost = [str(rank + 1) for rank in range(most) if rank not in complete]
    where = [str(n) for n, group in enumerate(groups, 1) if len(group) < most]
    return kept, (
        f"{_named('Slice', where)} {'has' if len(where) == 1 else 'have'} fewer images than the "
        f"others, so {len(lost)} of {most} phases ({_named('number', lost)}) "
        f"{'was' if len(lost) == 1 else 'were'} left out of all slices."
    )


def _named(noun: str, numbers: Sequence[str]) -> str:
    return f"{noun}{'s' if len(numbers) > 1 else ''} {', '.join(numbers)}"


def _refusal(planes: Sequence[Plane], groups: Sequence[Sequence[int]], usual: int) -> FlomoError:
    number, odd = next((n, g) for n, g in enumerate(groups, 1) if len(g) != usual)
    return FlomoError(
        f"Slice {number} of {len(groups)} ({planes[odd[0]].name}) has {len(odd)} images, but most "
        f"slices have {usual}, and it is not clear which phases are complete; files are missing, "
        "or there is a second series in the folder: export the complete series again."
    )


def _ranks(
    planes: Sequence[Plane], groups: Sequence[Sequence[int]], most: int
) -> list[list[int]] | None:
    """Return the phase number of each image; None if unknown or contradictory."""
    ranks = []
    for name in _ALIKE:
        keys = _keys(planes, groups, name)
        found = None if keys is None else _by_time(keys, most)
        if found is not None:
            ranks.append(found)
    if not ranks:
        keys = _keys(planes, groups, "instance_number")
        return None if keys is None else _by_number(keys, most)
    return ranks[0] if all(found == ranks[0] for found in ranks) else None


def _by_time(keys: Sequence[Sequence[float]], most: int) -> list[list[int]] | None:
    """Match the times of incomplete slices with those of complete ones."""
    reference = np.mean([sorted(key) for key in keys if len(key) == most], axis=0)
    step = float(np.diff(reference).min())
    ranks = []
    for key in keys:
        if len(key) == most:
            ranks.append(np.argsort(np.argsort(key)).tolist())
            continue
        away = np.abs(np.asarray(key)[:, np.newaxis] - reference)
        nearest = away.argmin(axis=1)
        if away.min(axis=1).max() > _NEAR * step or len(set(nearest.tolist())) < len(key):
            return None
        ranks.append(nearest.tolist())
    return ranks


def _by_number(keys: Sequence[Sequence[float]], most: int) -> list[list[int]] | None:
    """Find gaps in instance numbers, which rise evenly from phase to phase and slice to slice."""
    whole = [(number, sorted(key)) for number, key in enumerate(keys) if len(key) == most]
    strides = {after - before for _, key in whole for before, after in pairwise(key)}
    if len(strides) != 1 or len(whole) < 2:
        return None
    stride = strides.pop()
    (first, start), (last, end) = whole[0], whole[-1]
    rise = (end[0] - start[0]) / (last - first)
    ranks = []
    for number, key in enumerate(keys):
        found = (np.asarray(key) - start[0] - rise * (number - first)) / stride
        rounded = np.round(found).astype(int)
        if np.abs(found - rounded).max() > 1e-6 or rounded.min() < 0 or rounded.max() >= most:
            return None
        ranks.append(rounded.tolist())
    return ranks
