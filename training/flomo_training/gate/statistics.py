"""Statistics of a comparison: before, after, and the paired difference with its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from flomo_training.bootstrap import Sample, estimate, paired_difference, rounded
from flomo_training.gate.comparison import ImageComparison, StructureComparison

DIGITS = {"dice": 4, "hd95_mm": 2, "ece": 4}


@dataclass(frozen=True)
class MetricChange:
    """One metric of parent and candidate, their difference, and the bounds of its 95 % interval.

    None if it was not measured; no interval for fewer than two patients.
    """

    before: float | None = None
    after: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class StructureChange:
    """All metrics of one structure, or of the ``"mean"`` over structures."""

    name: str
    dice: MetricChange
    hd95_mm: MetricChange
    ece: MetricChange


@dataclass(frozen=True)
class DataSetResult:
    """Results on the reference set or on the held-out corrections.

    Attributes
    ----------
    data, sha256
        Name, and hash of all images and labels.
    groups, images, slices
        Number of evaluated patients, images and slices.
    mean, structures
        Over structures, and of each one in the order of the card.
    left_alone
        Structures that the readers accepted unchanged; not part of the mean.
    to_parent
        Number of images that the router gives to the parent, beside which the candidate is used.
    """

    data: str
    sha256: str
    groups: int
    images: int
    slices: int
    mean: StructureChange
    structures: tuple[StructureChange, ...]
    left_alone: tuple[StructureChange, ...] = ()
    to_parent: int = 0


def summarise(
    comparisons: Sequence[ImageComparison], names: Sequence[str], data: str, sha256: str
) -> DataSetResult:
    """Return the results on one data set; ``names`` are the structures in the order of the card."""
    rows = [row for one in comparisons for row in one.rows if row.drawn]
    others = [row for one in comparisons for row in one.rows if not row.drawn]
    return DataSetResult(
        data=data,
        sha256=sha256,
        groups=len({one.image.group for one in comparisons}),
        images=len(comparisons),
        slices=sum(len(one.image.slices) for one in comparisons),
        mean=_structure_change("mean", rows),
        structures=_by_structure(rows, names),
        left_alone=_by_structure(others, names),
        to_parent=sum(one.to_parent for one in comparisons),
    )


def _by_structure(
    rows: Sequence[StructureComparison], names: Sequence[str]
) -> tuple[StructureChange, ...]:
    own = {name: [row for row in rows if row.structure == name] for name in names}
    return tuple(_structure_change(name, those) for name, those in own.items() if those)


def _structure_change(name: str, rows: Sequence[StructureComparison]) -> StructureChange:
    return StructureChange(name, *(_metric_change(rows, metric) for metric in DIGITS))


def _metric_change(rows: Sequence[StructureComparison], metric: str) -> MetricChange:
    """Return a metric: the mean over images of each structure, then over structures."""
    before, after = (_sample(rows, side, metric) for side in ("before", "after"))
    if before is None or after is None:
        return MetricChange()
    digits = DIGITS[metric]
    sides = (rounded(estimate(side).value, digits) for side in (before, after))
    return MetricChange(*sides, *paired_difference(after, before).rounded(digits))


def _sample(rows: Sequence[StructureComparison], side: str, metric: str) -> Sample | None:
    """Return the values of one model; None if some images with a Dice have no value."""
    there = [row for row in rows if not math.isnan(row.before.dice)]
    values = [float(getattr(getattr(row, side), metric)) for row in there]
    if not values or any(map(math.isnan, values)):
        return None  # a mean over a part of the images would be misleading
    return Sample(values, [row.group for row in there], [row.structure for row in there])
