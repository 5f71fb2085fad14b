"""Uncertainty measures with known results or computed by brute force."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from flomo_training.uncertainty.band import foreground_band
from flomo_training.uncertainty.error_recall import (
    anatomical_score,
    recall_in_queue,
    recall_in_volumes,
)
from flomo_training.uncertainty.quality import (
    FEATURES,
    QualityTable,
    cross_mean,
    cross_predict,
    fit_quality,
)
from flomo_training.uncertainty.ranking import Ranking
from flomo_training.uncertainty.reliability import Reliability
from flomo_training.uncertainty.robustness import (
    UNDEGRADED,
    DegradationResult,
    robustness_statistics,
)
from flomo_training.uncertainty.statistics import estimate


class TestCalibrationErrors:
    def test_calibrated_probabilities_have_no_error(self):
        rng = np.random.default_rng(0)
        confidence = rng.uniform(0.3, 1, 200_000)
        honest = Reliability.of(confidence, rng.random(len(confidence)) < confidence, 0.0)
        assert honest.ece() < 0.006
        assert honest.adaptive_ece() < 0.006

    def test_a_known_gap(self):
        confidence = np.array([0.9] * 100 + [0.6] * 300)
        right = np.array([True] * 70 + [False] * 30 + [True] * 210 + [False] * 90)
        found = Reliability.of(confidence, right, 40.0)
        assert found.ece() == pytest.approx(0.25 * 0.2 + 0.75 * 0.1)
        assert found.mean_brier() == pytest.approx(0.1)
        means, shares, pixels = found.curve()
        assert pixels.sum() == 400
        assert np.nanmax(means) == pytest.approx(0.9)
        assert sorted(shares[pixels > 0]) == pytest.approx([0.7, 0.7])

    def test_adaptive_bins_hold_equally_many_pixels(self):
        """Over- and underconfidence close by cancel in one wide bin, not in narrow ones."""
        confidence = np.linspace(0.9402, 0.9995, 3000)
        right = np.arange(3000) >= 1500
        found = Reliability.of(confidence, right, 0.0)
        assert found.ece() < found.adaptive_ece()
        assert found.adaptive_ece() == pytest.approx(
            np.abs((confidence - right).reshape(15, 200).mean(1)).mean(), abs=0.03
        )

    def test_counts_add_up(self):
        rng = np.random.default_rng(1)
        confidence, right = rng.random(1000), rng.random(1000) < 0.5
        parts = [Reliability.of(confidence[i::2], right[i::2], i) for i in range(2)]
        whole = Reliability.of(confidence, right, 1.0)
        summed = Reliability(parts[0].counts + parts[1].counts, parts[0].brier + parts[1].brier)
        assert summed.ece() == pytest.approx(whole.ece())
        stacked = Reliability(np.stack([p.counts for p in parts]), np.array([0.0, 1.0]))
        assert stacked.ece() == pytest.approx([float(p.ece()) for p in parts])

    def test_empty_input_gives_nan(self):
        empty = Reliability.of(np.zeros(0), np.zeros(0, bool), 0.0)
        assert math.isnan(empty.ece())
        assert math.isnan(empty.mean_brier())


class TestRanking:
    @pytest.fixture
    def sample(self):
        rng = np.random.default_rng(2)
        wrong = rng.random(4000) < 0.2
        values = np.clip(rng.normal(0.3, 0.12, 4000) + 0.15 * wrong, 0, 1)
        return values, wrong

    def test_against_brute_force(self, sample):
        values, wrong = sample
        ranking = Ranking.of(values, wrong)
        pairs = values[wrong][:, None] - values[~wrong][None]
        assert ranking.auroc() == pytest.approx((pairs > 0).mean(), abs=2e-3)
        order = np.argsort(-values)
        hits = wrong[order]
        precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
        assert ranking.aupr() == pytest.approx(precision[hits].mean(), abs=5e-3)
        kept = wrong[order[::-1]]
        risk = np.cumsum(kept) / np.arange(1, len(kept) + 1)
        assert ranking.aurc() == pytest.approx(risk.mean(), abs=2e-3)
        best = np.cumsum(np.sort(wrong)) / np.arange(1, len(wrong) + 1)
        assert ranking.best_aurc() == pytest.approx(best.mean(), abs=2e-3)

    def test_ends(self, sample):
        _, wrong = sample
        knows_all = Ranking.of(wrong.astype(float), wrong)
        assert knows_all.auroc() == 1
        assert knows_all.aupr() == 1
        knows_nothing = Ranking.of(np.full(len(wrong), 0.4), wrong)
        assert knows_nothing.auroc() == 0.5
        assert knows_nothing.aupr() == pytest.approx(wrong.mean())
        assert knows_nothing.aurc() == pytest.approx(wrong.mean())
        assert math.isnan(Ranking.of(np.ones(3), np.zeros(3, bool)).auroc())

    def test_small_values_are_distinguished(self):
        values = np.array([1e-6, 2e-6, 3e-6, 5e-6])
        assert Ranking.of(values, np.array([False, False, True, True])).auroc() == 1


class TestFinding:
    def test_one_queue(self):
        wrong = np.array([50.0, 0, 30, 20, 0])
        one = np.ones((1, 5))
        assert recall_in_queue(wrong, wrong, one, (0.2, 0.4, 0.5, 1))[0] == pytest.approx(
            [0.5, 0.8, 0.9, 1]
        )
        assert recall_in_queue(-wrong, wrong, one, (0.4,))[0] == 0
        assert np.isnan(recall_in_queue(wrong, 0 * wrong, one)).all()

    def test_a_patient_drawn_twice_counts_twice(self):
        scores, wrong = np.array([3.0, 2, 1]), np.array([10.0, 5, 5])
        weights = np.array([[2.0, 1, 1]])
        assert recall_in_queue(scores, wrong, weights, (0.5,))[0] == pytest.approx([20 / 30])

    def test_every_volume(self):
        volume = np.array([0, 0, 1, 1, 1, 1])
        scores = np.array([1.0, 2, 9, 8, 7, 6])
        wrong = np.array([6.0, 0, 4, 0, 0, 0])
        found = recall_in_volumes(scores, wrong, volume, np.ones((1, 6)), (0.25, 0.5))
        assert found[0] == pytest.approx([4 / 10, 4 / 10])
        twice = np.array([[1.0, 1, 3, 3, 3, 3]])
        assert recall_in_volumes(scores, wrong, volume, twice, (0.5,))[0] == pytest.approx(
            [12 / 18]
        )

    def test_ends_first(self):
        scores = [anatomical_score(index, 5) for index in range(5)]
        assert scores[0] == scores[4] > scores[1] == scores[3] > scores[2]


def test_the_band_is_measured_in_mm_in_the_plane():
    found = np.zeros((2, 40, 40), np.uint8)
    reference = found.copy()
    found[0, 20:, :] = 3
    band = foreground_band(found, reference, (2.0, 1.0), 5.0)
    # The contour runs between rows 19 and 20; from each of them two more rows, of 2 mm, are near.
    assert np.flatnonzero(band[0].any(1)).tolist() == list(range(17, 23))
    assert not band[1].any()
    reference[1, :, :10] = 1
    band = foreground_band(found, reference, (2.0, 1.0), 5.0)
    assert np.flatnonzero(band[1].any(0)).tolist() == list(range(4, 16))


class TestPredictedDice:
    def test_regression_is_tested_on_other_patients(self):
        rng = np.random.default_rng(4)
        values = rng.random((300, len(FEATURES)))
        dice = 0.2 + 0.6 * values[:, 0] + 0.01 * rng.normal(size=300)
        patients = np.repeat([f"p{n}" for n in range(10)], 30)
        table = QualityTable(values, dice, values[:, 0], patients)
        predicted = cross_predict(table)
        assert np.abs(predicted - dice).mean() < 0.02
        assert np.abs(cross_mean(table) - dice).mean() > 0.1
        assert set(fit_quality(table).to_dict()) >= {"features", "weights", "intercept"}

    def test_a_patient_never_tests_itself(self):
        values = np.zeros((4, len(FEATURES)))
        values[2:, 0] = 1
        table = QualityTable(
            values, np.array([0.5, 0.5, 0.9, 0.9]), values[:, 0], np.array(["a", "a", "b", "b"])
        )
        assert cross_predict(table) == pytest.approx([0.9, 0.9, 0.5, 0.5])


def test_correlation_of_uncertainty_and_dice():
    def row(case, kind, grade, dice, uncertainty):
        return DegradationResult(case, case, "ED", kind, grade, dice, dice, uncertainty, 1 - dice)

    rows = []
    for number, case in enumerate(("a", "b", "c")):
        rows.append(row(case, UNDEGRADED, "", 0.9, 1.0))
        rows.append(row(case, "noise", "mild", 0.8 - number / 100, 1.1 + number / 100))
        rows.append(row(case, "noise", "strong", 0.5 - number / 100, 1.4 + number / 100))
    found = robustness_statistics(rows)
    assert found["correlation"]["uncertainty_mm"] == pytest.approx(1)
    strong = found["states"][2]
    assert strong["dice"] == pytest.approx(0.49)
    assert strong["dice_change"][0] == pytest.approx(-0.41)
    assert strong["dice_change"][1] < strong["dice_change"][0] < strong["dice_change"][2]
    opposite = [replace(one, uncertainty_mm=one.dice) for one in rows]
    assert robustness_statistics(opposite)["correlation"]["uncertainty_mm"] == pytest.approx(-1)


def test_estimate_has_the_value_of_all_patients_and_an_interval():
    drawn = np.concatenate([[0.5], np.linspace(0, 1, 1001)])
    assert estimate(drawn) == [0.5, pytest.approx(0.025), pytest.approx(0.975)]
    assert estimate(np.array([0.5])) == [0.5, None, None]
    assert estimate(np.array([math.nan])) == [None, None, None]
