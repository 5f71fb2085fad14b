"""Figures of a report, from rows small enough to check by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from flomo_training.evaluate import (
    Agreement,
    as_text,
    bootstrap_interval,
    dice,
    mean_dice,
    summarise,
)


def row(patient, phase, structure, value):
    return Agreement(f"{patient}_{phase}", patient, phase, structure, value, 1.0, 1.0)


def test_dice():
    a, b = np.array([1, 1, 0, 0], bool), np.array([1, 0, 1, 0], bool)
    assert dice(a, b) == 0.5
    assert dice(a, a) == 1.0
    assert dice(a, ~a) == 0.0
    assert math.isnan(dice(a & ~a, b & ~b))
    assert dice(a & ~a, b) == 0.0


def test_absent_structures_are_left_out_of_the_mean():
    rows = [row("p0", "ED", "wall", 0.8), row("p1", "ED", "wall", float("nan")),
            row("p0", "ED", "cavity", 0.6), row("p1", "ED", "cavity", 1.0)]  # fmt: skip
    assert mean_dice(rows) == pytest.approx((0.8 + 0.8) / 2)


def test_the_interval_holds_the_mean_and_draws_patients_not_volumes():
    rng = np.random.default_rng(0)
    values = rng.uniform(0.5, 1, 12)
    rows = [row(f"p{i}", phase, "wall", v) for i, v in enumerate(values) for phase in ("ED", "ES")]
    low, high = bootstrap_interval(rows)
    assert low < mean_dice(rows) < high
    # Twice the same volume is no more evidence than once.
    once = bootstrap_interval([r for r in rows if r.phase == "ED"])
    assert (low, high) == pytest.approx(once)


def test_the_summary_tells_structures_and_phases_apart(recipe):
    figures = [("ED", "wall", 0.9), ("ES", "wall", 0.7), ("ED", "cavity", 0.5)]
    rows = [row(p, phase, s, v) for p in ("p0", "p1") for phase, s, v in figures]
    summary = summarise(rows, recipe.model) | {"model": "tiny", "split": "validation", "fold": 0}
    assert summary["dice"]["wall"] == {"ED": 0.9, "ES": 0.7, "all": 0.8}
    assert summary["patients"] == 2
    assert summary["volumes"] == 4
    assert "mean Dice 0.6500" in as_text(summary)
