"""Intervals resample patients, and paired differences use the same patients."""

from __future__ import annotations

import math

import numpy as np
import pytest

from flomo_training.bootstrap import Sample, estimate, paired_difference


def drawn_one_by_one(sample, seed, draws=2000):
    """Return the interval by brute force."""
    patients = sorted(set(sample.patients))
    rng = np.random.default_rng(seed)
    entries = list(zip(sample.values, sample.patients, sample.strata, strict=True))
    means = []
    for _ in range(draws):
        drawn = [e for p in rng.choice(patients, len(patients)) for e in entries if e[1] == p]
        strata = sorted({stratum for _, _, stratum in drawn})
        means.append(np.mean([np.nanmean([v for v, _, s in drawn if s == t]) for t in strata]))
    return np.percentile(means, (2.5, 97.5))


@pytest.fixture
def sample():
    rng = np.random.default_rng(5)
    entries = [
        (f"p{patient:02d}", structure, rng.beta(8, 2))
        for patient in range(14)
        for structure in ("wall", "cavity")
        for _ in range(2)
    ]
    values = [value for *_, value in entries]
    values[3] = float("nan")
    return Sample(values, [e[0] for e in entries], [e[1] for e in entries])


def test_estimate_equals_the_textbook_bootstrap(sample):
    found = estimate(sample, seed=7)
    assert (found.low, found.high) == pytest.approx(tuple(drawn_one_by_one(sample, 7)), abs=1e-12)
    assert found.low < found.value < found.high


def test_strata_have_equal_weights_and_values_their_own():
    sample = Sample([1.0, 1.0, 1.0, 0.0], ["a", "b", "c", "a"], ["x", "x", "x", "y"])
    assert estimate(sample).value == pytest.approx(0.5)
    assert estimate(Sample([1.0, 0.0], ["a", "b"], ["", ""], [3, 1])).value == pytest.approx(0.75)


def test_coverage_of_the_interval():
    """About 95 % of the intervals contain the known mean."""
    rng = np.random.default_rng(0)
    patients = [f"p{i}" for i in range(40)]
    held = 0
    for _ in range(100):
        found = estimate(Sample(rng.normal(3, 1, 40).tolist(), patients, [""] * 40))
        held += found.low < 3 < found.high
    assert 86 <= held <= 99


def test_one_patient_gives_no_interval():
    found = estimate(Sample([0.9, 0.8], ["a", "a"], ["x", "x"]))
    assert found.value == pytest.approx(0.85)
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert math.isnan(estimate(Sample([float("nan")] * 2, ["a", "b"], ["x", "x"])).value)


def test_a_paired_difference_sees_what_two_intervals_cannot(sample):
    better = Sample([v + 0.01 for v in sample.values], sample.patients, sample.strata)
    one, other = estimate(better), estimate(sample)
    assert one.low < other.high  # side by side they overlap
    found = paired_difference(better, sample)
    assert found.value == pytest.approx(0.01)
    assert found.low == pytest.approx(0.01)


def test_a_difference_needs_the_same_patients(sample):
    others = Sample(sample.values, [f"q{p}" for p in sample.patients], sample.strata)
    with pytest.raises(ValueError, match="same patients"):
        paired_difference(sample, others)
