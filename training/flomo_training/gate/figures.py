"""Figures of a comparison: before, after, and the paired difference with its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from flomo_training.bootstrap import Sample, estimate, paired_difference
from flomo_training.gate.measuring import Judged, Row

DIGITS = {"dice": 4, "hd95_mm": 2, "ece": 4}


@dataclass(frozen=True)
class Figure:
    """One metric of parent and candidate; None where it was not measured.

    Attributes
    ----------
    before, after
        Of parent and candidate.
    difference
        ``after - before``.
    low, high
        Bounds of its 95 % interval; None for fewer than two patients.
    """

    before: float | None = None
    after: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class StructureFigures:
    """All metrics of one structure, or of the mean over structures.

    Attributes
    ----------
    name
        Of the structure, or ``"mean"``.
    dice, hd95_mm, ece
        See `flomo_training.gate.measuring.Scores`.
    """

    name: str
    dice: Figure
    hd95_mm: Figure
    ece: Figure


@dataclass(frozen=True)
class Part:
    """What the gate measured on the reference set, or on the held-out corrections.

    Attributes
    ----------
    data
        Name of the data.
    sha256
        Of all images and labels in it.
    groups, images, slices
        How many patients, images and slices were judged.
    mean
        Over structures.
    structures
        Those that were judged, in the order of the card.
    left_alone
        Those that the reader of an image left as they had been proposed; they are in no mean.
    """

    data: str
    sha256: str
    groups: int
    images: int
    slices: int
    mean: StructureFigures
    structures: tuple[StructureFigures, ...]
    left_alone: tuple[StructureFigures, ...] = ()


def summarise(judged: Sequence[Judged], names: Sequence[str], data: str, sha256: str) -> Part:
    """Return the figures of one part.

    Parameters
    ----------
    judged
        Its images, at least one.
    names
        Of all structures, in the order of the card.
    data, sha256
        What was judged on.
    """
    rows = [row for one in judged for row in one.rows if row.drawn]
    others = [row for one in judged for row in one.rows if not row.drawn]
    return Part(
        data=data,
        sha256=sha256,
        groups=len({one.image.group for one in judged}),
        images=len(judged),
        slices=sum(len(one.image.slices) for one in judged),
        mean=_figures("mean", rows),
        structures=_by_structure(rows, names),
        left_alone=_by_structure(others, names),
    )


def _by_structure(rows: Sequence[Row], names: Sequence[str]) -> tuple[StructureFigures, ...]:
    own = {name: [row for row in rows if row.structure == name] for name in names}
    return tuple(_figures(name, those) for name, those in own.items() if those)


def _figures(name: str, rows: Sequence[Row]) -> StructureFigures:
    return StructureFigures(name, *(_figure(rows, metric) for metric in DIGITS))


def _figure(rows: Sequence[Row], metric: str) -> Figure:
    """Return a metric: the mean over images of each structure, then over structures."""
    before, after = (_sample(rows, side, metric) for side in ("before", "after"))
    if before is None or after is None:
        return Figure()
    difference = paired_difference(after, before)
    sides = estimate(before).value, estimate(after).value
    values = (*sides, difference.value, difference.low, difference.high)
    return Figure(*(_rounded(value, DIGITS[metric]) for value in values))


def _sample(rows: Sequence[Row], side: str, metric: str) -> Sample | None:
    """Return the values of one model; None if it was not measured wherever there is a Dice."""
    there = [row for row in rows if not math.isnan(row.before.dice)]
    values = [float(getattr(getattr(row, side), metric)) for row in there]
    if not values or any(map(math.isnan, values)):
        return None  # a mean over some of the images would look like one of all
    return Sample(values, [row.group for row in there], [row.structure for row in there])


def _rounded(value: float, digits: int) -> float | None:
    # Adding zero makes one number of 0 and -0.
    return None if math.isnan(value) else round(value, digits) + 0.0
