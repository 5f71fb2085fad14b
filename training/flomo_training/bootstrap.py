"""Means with 95 % intervals by percentile bootstrap over patients.

The volumes of one patient and the structures of one volume are not independent; resampling them
separately would make the intervals too narrow.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
"""Number of bootstrap resamples."""

LEVEL = (2.5, 97.5)
"""Percentiles that bound an interval."""


@dataclass(frozen=True)
class Estimate:
    """A mean and its 95 % interval; the bounds are NaN for fewer than two patients."""

    value: float
    low: float
    high: float

    def rounded(self, digits: int) -> list[float | None]:
        """Return the value and its bounds for JSON."""
        return [rounded(figure, digits) for figure in astuple(self)]


def rounded(value: float, digits: int) -> float | None:
    """Return a rounded value, without the sign of zero; None if it is not finite."""
    return round(value, digits) + 0.0 if math.isfinite(value) else None


@dataclass(frozen=True, eq=False)
class Sample:
    """Measured values, each of a patient and a stratum.

    Attributes
    ----------
    values
        NaN is ignored.
    patients
        Of each value.
    strata
        Of each value; the mean is computed within each stratum first, so that each structure has
        the same weight.
    weights
        Of each value within its stratum; equal by default.
    """

    values: Sequence[float]
    patients: Sequence[str]
    strata: Sequence[str]
    weights: Sequence[float] | None = None

    def totals(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the weighted sums and the weights, both (patients in order, strata)."""
        patients, patient = np.unique(np.asarray(self.patients, dtype=str), return_inverse=True)
        strata, stratum = np.unique(np.asarray(self.strata, dtype=str), return_inverse=True)
        values = np.asarray(self.values, np.float64)
        weights = np.ones_like(values) if self.weights is None else np.asarray(self.weights, float)
        there = ~np.isnan(values)
        sums, counts = np.zeros((2, len(patients), len(strata)))
        where = (patient[there], stratum[there])
        np.add.at(sums, where, values[there] * weights[there])
        np.add.at(counts, where, weights[there])
        return sums, counts


def estimate(sample: Sample, seed: int = 0) -> Estimate:
    """Return the mean within each stratum, then over strata, with its interval."""
    sums, counts = sample.totals()
    return _estimate(
        _means(np.ones((1, len(sums))), sums, counts),
        _means(draws(len(sums), seed), sums, counts),
        len(sums),
    )


def paired_difference(first: Sample, second: Sample, seed: int = 0) -> Estimate:
    """Return the mean of ``first`` minus the mean of ``second`` with its interval.

    Both are measured on the same patients, which are resampled together, so the difficulty of a
    patient cancels out. Raises a `ValueError` if the patients or the strata differ.
    """
    if set(first.patients) != set(second.patients) or set(first.strata) != set(second.strata):
        raise ValueError("a paired difference needs the same patients and structures on both sides")
    one, other = first.totals(), second.totals()
    patients = len(one[0])
    everyone, drawn = np.ones((1, patients)), draws(patients, seed)
    return _estimate(
        _means(everyone, *one) - _means(everyone, *other),
        _means(drawn, *one) - _means(drawn, *other),
        patients,
    )


def draws(patients: int, seed: int) -> NDArray[np.float64]:
    """Return how often each patient occurs in each resample, (resamples, patients)."""
    chosen = np.random.default_rng(seed).integers(0, patients, (RESAMPLES, patients))
    times = np.zeros((RESAMPLES, patients))
    np.add.at(times, (np.arange(RESAMPLES)[:, None], chosen), 1.0)
    return times


def patient_weights(patients: int, seed: int = 0) -> NDArray[np.float64]:
    """Return the weights of patients, (1 + resamples, patients): first the original sample.

    A single patient is not resampled.
    """
    everyone = np.ones((1, patients))
    return np.concatenate([everyone, draws(patients, seed)]) if patients > 1 else everyone


def interval_of(drawn: NDArray[np.float64]) -> Estimate:
    """Return a statistic and its interval, given its values for each row of `patient_weights`."""
    return _estimate(drawn[:1], drawn[1:], len(drawn))


def _means(
    times: NDArray[np.float64], sums: NDArray[np.float64], counts: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the mean over strata of the means within them, for every resample.

    Strata without a value in a resample are ignored; without any value the mean is NaN.
    """
    weights = times @ counts
    there = weights > 0
    within = np.divide(times @ sums, weights, out=np.zeros_like(weights), where=there)
    return divide(within.sum(1), there.sum(1))


def divide(above: NDArray[Any], below: NDArray[Any]) -> NDArray[np.float64]:
    """Divide arrays of one shape; NaN where ``below`` is not positive."""
    below = np.asarray(below)
    result: NDArray[np.float64] = np.divide(
        above, below, out=np.full(below.shape, np.nan), where=below > 0
    )
    return result


def _estimate(value: NDArray[np.float64], means: NDArray[np.float64], patients: int) -> Estimate:
    if patients < 2 or np.isnan(means).all():
        return Estimate(float(value[0]), float("nan"), float("nan"))
    low, high = np.nanpercentile(means, LEVEL)
    return Estimate(float(value[0]), float(low), float(high))
