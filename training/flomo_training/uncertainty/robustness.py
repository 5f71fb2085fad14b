"""Uncertainty and errors on degraded images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from flomo_training.bootstrap import patient_weights
from flomo_training.cases import Case, read_case
from flomo_training.uncertainty.degradations import DEGRADATIONS, GRADES, degrade, describe
from flomo_training.uncertainty.measurement import measure_volume
from flomo_training.uncertainty.records import SliceRecord
from flomo_training.uncertainty.statistics import estimate
from napari_flomo.segmentation import Segmenter

UNDEGRADED = "as it is"
EVERY = 2
"""Measure every second slice of a stack, since adjacent slices are similar."""


@dataclass(frozen=True)
class DegradationResult:
    """Means over the slices of one case in one state; Dice also over the structures of a slice.

    ``kind`` and ``grade`` are of `DEGRADATIONS` and `GRADES`, or `UNDEGRADED` and empty.
    """

    case: str
    patient: str
    phase: str
    kind: str
    grade: str
    dice: float
    expected_dice: float
    uncertainty_mm: float
    expected_error_ml: float


def measure_degradations(case: Case, segmenter: Segmenter) -> list[DegradationResult]:
    """Measure a case undegraded and with each grade of each degradation."""
    volume, reference = read_case(case)
    slices = list(range(0, volume.n_slices, EVERY))
    rows = []
    states = [(UNDEGRADED, "")] + [(kind, grade) for kind in DEGRADATIONS for grade in GRADES]
    for kind, grade in states:
        image = degrade(volume, kind, grade, segmenter.card) if grade else volume
        records = measure_volume(case, image, reference, segmenter, slices=slices)
        rows.append(mean_over_slices(records, kind, grade))
    return rows


def mean_over_slices(records: Sequence[SliceRecord], kind: str, grade: str) -> DegradationResult:
    """Return the means over slices of one case."""
    pairs = [(one.dice, one.expected_dice) for record in records for one in record.structures]
    dice, expected = (np.array(values, float) for values in zip(*pairs, strict=True))
    return DegradationResult(
        records[0].case,
        records[0].patient,
        records[0].phase,
        kind,
        grade,
        _mean(dice),
        _mean(expected),
        float(np.mean([one.scores["boundary"] for one in records])),
        float(np.mean([one.expected_error_ml for one in records])),
    )


def robustness_statistics(rows: Sequence[DegradationResult]) -> dict[str, Any]:
    """Return the results of each degradation, and how uncertainty follows the decrease of Dice.

    ``volumes``, ``patients``, ``phases`` and ``every`` describe the data. ``correlation``:
    Spearman's, over all degraded cases, between the decrease of Dice compared with the undegraded
    case and the increase of each score.
    """
    plain = {row.case: row for row in rows if row.kind == UNDEGRADED}
    patients = sorted({row.patient for row in rows})
    weights = patient_weights(len(patients))
    states = list(dict.fromkeys((row.kind, row.grade) for row in rows))
    table = []
    names = ("dice", "expected_dice", "uncertainty_mm", "expected_error_ml")
    for kind, grade in states:
        mine = [row for row in rows if (row.kind, row.grade) == (kind, grade)]
        place = [patients.index(row.patient) for row in mine]
        line: dict[str, Any] = {
            "kind": kind,
            "grade": grade,
            "what": describe(kind) if grade else "",
            "cases": len(mine),
        }
        for name in names:
            values = np.array([getattr(row, name) for row in mine])
            before = np.array([getattr(plain[row.case], name) for row in mine])
            there = weights[:, place]
            line[name] = round(float(values.mean()), 4)
            line[f"{name}_change"] = estimate((there @ (values - before)) / there.sum(1))
        table.append(line)
    changed = [row for row in rows if row.grade]

    def differences(name: str) -> list[float]:
        return [getattr(row, name) - getattr(plain[row.case], name) for row in changed]

    decrease = np.negative(differences("dice"))
    increases = {
        "uncertainty_mm": differences("uncertainty_mm"),
        "expected_error_ml": differences("expected_error_ml"),
        "expected_dice": np.negative(differences("expected_dice")),
    }
    return {
        "volumes": len(plain),
        "patients": len(patients),
        "phases": sorted({row.phase for row in rows}),
        "every": EVERY,
        "states": table,
        "correlation": {
            name: round(float(spearmanr(decrease, increase).statistic), 3)
            for name, increase in increases.items()
        },
        "rows": [asdict(row) for row in rows],
    }


def _mean(values: np.ndarray) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else math.nan
