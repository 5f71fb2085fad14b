"""What is kept of each slice when uncertainty is measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flomo_training.uncertainty.ranking import Ranking
from flomo_training.uncertainty.reliability import Reliability

NAN = float("nan")


@dataclass(frozen=True)
class StructureRecord:
    """One structure in one slice; sums of voxels, and of probabilities over plausible pixels.

    Attributes
    ----------
    name
        Of the structure.
    found, truth, both
        Voxels in the result, in the reference, in both.
    inside, whole
        Probability within the result, and all of it.
    uncertainty_mm
        Width of the band of uncertainty along its contour.
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
        """Agreement with the reference; NaN where neither holds the structure."""
        size = self.found + self.truth
        return 2 * self.both / size if size else NAN

    @property
    def expected_dice(self) -> float:
        """The Dice that the probabilities promise; NaN where nothing is found or expected."""
        size = self.found + self.whole
        return 2 * self.inside / size if self.found or self.whole >= 1 else NAN


@dataclass(frozen=True, eq=False)
class SliceRecord:
    """One slice of one case.

    Attributes
    ----------
    case, patient, phase
        What it is of.
    index, slices
        Its number, and how many the volume has.
    wrong
        Voxels whose label is not the reference's.
    voxel_ml
        Volume of a voxel; NaN where the spacing is unknown.
    contrast
        Largest difference between the mean intensities of two classes along the contours, in units
        of the model's intensity window; NaN without a structure in the reference.
    size_mm2
        Area of all structures of the reference.
    scores
        Candidates for the order of review by name; large is uncertain.
    expected_error_ml
        Volume that is expected to be wrong.
    everywhere, near
        Calibration over all pixels, and over the band along the contours.
    maps
        Of the band, by the name of the map.
    structures
        One record for each.
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
        """Mean Dice of the structures that the result or the reference holds; NaN for none."""
        values = [one.dice for one in self.structures if one.found or one.truth]
        return float(np.mean(values)) if values else NAN


def patients_of(records: Sequence[SliceRecord]) -> tuple[list[str], NDArray[np.int64]]:
    """Return the patients, sorted, and the number of each record's patient among them."""
    names, number = np.unique([one.patient for one in records], return_inverse=True)
    return names.tolist(), number.astype(np.int64)


def reliability_by_patient(
    records: Sequence[SliceRecord], which: Callable[[SliceRecord], Reliability]
) -> Reliability:
    """Return the counts of every patient, added up, ``(patients, ...)``."""
    names, number = patients_of(records)
    counts = np.zeros((len(names), *which(records[0]).counts.shape))
    brier = np.zeros(len(names))
    for place, record in zip(number, records, strict=True):
        counts[place] += which(record).counts
        brier[place] += which(record).brier
    return Reliability(counts, brier)


def ranking_by_patient(records: Sequence[SliceRecord], name: str) -> Ranking:
    """Return the counts of a map of every patient, added up, ``(patients, ...)``."""
    names, number = patients_of(records)
    counts = np.zeros((len(names), *records[0].maps[name].counts.shape))
    for place, record in zip(number, records, strict=True):
        counts[place] += record.maps[name].counts
    return Ranking(counts)
