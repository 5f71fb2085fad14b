"""Measurements of each slice and structure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from flomo_training.uncertainty.ranking import Ranking
from flomo_training.uncertainty.reliability import Reliability

NAN = float("nan")


@dataclass(frozen=True)
class StructureRecord:
    """One structure in one slice.

    ``found``, ``truth`` and ``both`` are voxels in the result, in the reference, and in both.
    ``inside`` and ``whole`` are sums of probabilities within the result, and over all plausible
    pixels. ``uncertainty_mm`` is the width of the uncertain band along the contour.
    """

    name: str
    found: int
    truth: int
    both: int
    inside: float
    whole: float
    uncertainty_mm: float

    @property
    def dice(self) -> float:
        """Dice with the reference; NaN if neither contains the structure."""
        size = self.found + self.truth
        return 2 * self.both / size if size else NAN

    @property
    def expected_dice(self) -> float:
        """Dice expected from the probabilities; NaN if nothing is found or expected."""
        size = self.found + self.whole
        return 2 * self.inside / size if self.found or self.whole >= 1 else NAN


@dataclass(frozen=True, eq=False)
class SliceRecord:
    """One slice of one case.

    Attributes
    ----------
    index, slices
        Index of the slice, and number of slices of the volume.
    wrong, voxel_ml
        Voxels whose label differs from the reference, and volume of one; NaN if unknown.
    contrast
        Largest difference between the mean intensities of two classes along the contours, in units
        of the model's intensity window; NaN without a structure in the reference.
    size_mm2
        Area of all structures of the reference.
    scores
        Scores for the order of review by name; large is uncertain.
    expected_error_ml
        Expected volume with a wrong label.
    everywhere, near
        Calibration over all pixels, and over the band along the contours.
    maps
        Of the band, by name of the map.
    """

    case: str
    patient: str
    phase: str
    index: int
    slices: int
    wrong: int
    voxel_ml: float
    contrast: float
    size_mm2: float
    scores: Mapping[str, float]
    expected_error_ml: float
    everywhere: Reliability
    near: Reliability
    maps: Mapping[str, Ranking]
    structures: tuple[StructureRecord, ...]

    @property
    def dice(self) -> float:
        """Mean Dice of the structures in result or reference; NaN for none."""
        values = [one.dice for one in self.structures if one.found or one.truth]
        return float(np.mean(values)) if values else NAN


def patients_of(records: Sequence[SliceRecord]) -> tuple[list[str], NDArray[np.int64]]:
    """Return the sorted patients, and the index of each record's patient."""
    names, number = np.unique([one.patient for one in records], return_inverse=True)
    return names.tolist(), number.astype(np.int64)


def reliability_by_patient(
    records: Sequence[SliceRecord], which: Literal["near", "everywhere"]
) -> Reliability:
    """Return the summed counts of every patient, ``(patients, ...)``."""
    found = [getattr(record, which) for record in records]
    return Reliability(
        _sum_by_patient(records, [one.counts for one in found]),
        _sum_by_patient(records, [one.brier for one in found]),
    )


def ranking_by_patient(records: Sequence[SliceRecord], name: str) -> Ranking:
    """Return the summed counts of a map for every patient, ``(patients, ...)``."""
    return Ranking(_sum_by_patient(records, [record.maps[name].counts for record in records]))


def _sum_by_patient(
    records: Sequence[SliceRecord], values: Sequence[NDArray[np.float64]]
) -> NDArray[np.float64]:
    names, number = patients_of(records)
    total = np.zeros((len(names), *np.shape(values[0])))
    np.add.at(total, number, np.asarray(values))
    return total
