"""Prediction of the Dice of a structure from its uncertainty.

A ridge regression from a few uncertainty scores of a structure in a slice to its Dice, always
tested on patients it was not fitted on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flomo_training.uncertainty.records import SliceRecord, StructureRecord

PENALTY = 1.0
"""Ridge penalty for standardised features."""

FEATURES = ("expected_dice", "uncertainty_mm", "log_area", "log_expected_area", "slice_boundary",
            "slice_expected_error")  # fmt: skip

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class QualityModel:
    """A linear model of Dice on standardised `FEATURES`.

    ``mean`` and ``scale`` are those of each feature in the training data.
    """

    features: tuple[str, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    weights: tuple[float, ...]
    intercept: float

    def predict(self, values: Floats) -> Floats:
        """Return the Dice, 0 to 1, of rows of features."""
        standard = (values - np.array(self.mean)) / np.array(self.scale)
        return np.clip(standard @ np.array(self.weights) + self.intercept, 0, 1)

    def to_dict(self) -> dict[str, Any]:
        """Return the model in plain JSON types."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class QualityTable:
    """Features ``(rows, features)``, Dice and expected Dice of structures in slices, by patient."""

    values: Floats
    dice: Floats
    expected: Floats
    patients: NDArray[np.str_]

    @classmethod
    def of(cls, records: Sequence[SliceRecord]) -> QualityTable:
        """Collect the rows; structures that are neither found nor expected have none."""
        rows = [
            (_features(record, one), one.dice, one.expected_dice, record.patient)
            for record in records
            for one in record.structures
            if math.isfinite(one.dice) and math.isfinite(one.expected_dice)
        ]
        return cls(
            np.array([row[0] for row in rows]),
            np.array([row[1] for row in rows]),
            np.array([row[2] for row in rows]),
            np.array([row[3] for row in rows]),
        )


def fit_quality(table: QualityTable, rows: NDArray[np.bool_] | None = None) -> QualityModel:
    """Fit the ridge regression to some rows, all by default."""
    chosen = np.ones(len(table.dice), bool) if rows is None else rows
    values, dice = table.values[chosen], table.dice[chosen]
    mean, scale = values.mean(0), np.maximum(values.std(0), 1e-6)
    standard = (values - mean) / scale
    target = dice - dice.mean()
    gram = standard.T @ standard + PENALTY * np.eye(standard.shape[1])
    weights = np.linalg.solve(gram, standard.T @ target)
    return QualityModel(FEATURES, tuple(mean), tuple(scale), tuple(weights), float(dice.mean()))


def cross_predict(table: QualityTable) -> Floats:
    """Return the Dice of every row predicted by a model fitted without its patient."""
    predicted = np.empty(len(table.dice))
    for patient in np.unique(table.patients):
        mine = table.patients == patient
        predicted[mine] = fit_quality(table, ~mine).predict(table.values[mine])
    return predicted


def cross_mean(table: QualityTable) -> Floats:
    """Return the mean Dice of the other patients for every row, as a baseline."""
    predicted = np.empty(len(table.dice))
    for patient in np.unique(table.patients):
        mine = table.patients == patient
        predicted[mine] = table.dice[~mine].mean()
    return predicted


def _features(record: SliceRecord, one: StructureRecord) -> list[float]:
    return [
        one.expected_dice,
        one.uncertainty_mm,
        math.log1p(one.found),
        math.log1p(one.whole),
        record.scores["boundary"],
        record.scores["expected_error"],
    ]
