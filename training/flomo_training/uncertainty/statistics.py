"""Statistics of uncertainty with confidence intervals, in plain JSON types."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flomo_training.bootstrap import interval_of, patient_weights
from flomo_training.uncertainty.error_recall import SHARES, recall_in_queue, recall_in_volumes
from flomo_training.uncertainty.quality import (
    QualityTable,
    cross_mean,
    cross_predict,
    fit_quality,
)
from flomo_training.uncertainty.ranking import Ranking
from flomo_training.uncertainty.records import (
    SliceRecord,
    patients_of,
    ranking_by_patient,
    reliability_by_patient,
)
from flomo_training.uncertainty.reliability import Reliability

BAD_SLICE_DICE = 0.8
"""A slice with a smaller mean Dice is a bad slice."""

ORACLE = "oracle"
QUARTILES = 4

Floats = NDArray[np.float64]
Figure = dict[str, Any]


def calibration_statistics(
    before: Sequence[SliceRecord], after: Sequence[SliceRecord]
) -> dict[str, Figure]:
    """Return ECE, adaptive ECE and Brier score in the image and in the band, before and after."""
    moments = {"before": reliability_statistics(before), "after": reliability_statistics(after)}
    return {
        part: {moment: found[part] for moment, found in moments.items()}
        for part in ("whole image", "foreground band")
    }


def reliability_statistics(records: Sequence[SliceRecord]) -> dict[str, Figure]:
    """Return ECE, adaptive ECE and Brier score in the whole image and in the band."""
    return {
        "whole image": _estimates(reliability_by_patient(records, "everywhere")),
        "foreground band": _estimates(reliability_by_patient(records, "near")),
    }


def map_statistics(records: Sequence[SliceRecord]) -> dict[str, Figure]:
    """Return AUROC, AUPR and AURC of every map for wrong pixels in the band.

    ``auroc_less_entropy`` is the difference to the AUROC of entropy on the same resamples.
    """
    names = list(records[0].maps)
    weights = _weights(records)
    result: dict[str, Figure] = {}
    reference: Floats | None = None
    for name in ["entropy", *(one for one in names if one != "entropy")]:
        drawn = Ranking(np.tensordot(weights, ranking_by_patient(records, name).counts, 1))
        auroc = drawn.auroc()
        reference = auroc if reference is None else reference
        result[name] = {
            "auroc": estimate(auroc),
            "aupr": estimate(drawn.aupr()),
            "aurc": estimate(drawn.aurc()),
            "auroc_less_entropy": estimate(auroc - reference),
        }
    result["entropy"]["best_aurc"] = estimate(drawn.best_aurc())
    result["entropy"]["wrong_share"] = estimate(
        drawn.counts[:, 1].sum(-1) / drawn.counts.sum((-1, -2))
    )
    return {name: result[name] for name in names}


def recall_statistics(records: Sequence[SliceRecord], chosen: str) -> dict[str, Figure]:
    """Return the recall of wrong voxels and of bad slices for each order of review.

    The score ``chosen`` is compared with the other orders, on the same resamples of patients.
    """
    wrong = np.array([one.wrong for one in records], float)
    bad = np.array([float(one.dice < BAD_SLICE_DICE) for one in records])
    volume = np.unique([one.case for one in records], return_inverse=True)[1]
    names, number = patients_of(records)
    weights = _weights(records)[:, number]
    result: dict[str, Figure] = {}
    for what, target in (("wrong voxels", wrong), ("bad slices", bad)):
        for way in ("every volume", "one queue"):
            drawn: dict[str, Floats] = {}
            for name in [*records[0].scores, ORACLE]:
                score = (
                    target if name == ORACLE else np.array([one.scores[name] for one in records])
                )
                drawn[name] = (
                    recall_in_volumes(score, target, volume, weights)
                    if way == "every volume"
                    else recall_in_queue(score, target, weights)
                )
            drawn["random"] = np.broadcast_to(np.array(SHARES), drawn[ORACLE].shape)
            result[f"{what}, {way}"] = {
                "shares": list(SHARES),
                "found": {name: _by_share(one) for name, one in drawn.items()},
                "lead": {
                    name: _by_share(drawn[chosen] - drawn[name])
                    for name in ("random", "anatomical", "largest_first", "boundary")
                    if name in drawn and name != chosen
                },
            }
    result["counts"] = {
        "slices": len(records),
        "patients": len(names),
        "wrong_voxels": int(wrong.sum()),
        "bad_slices": int(bad.sum()),
    }
    return result


def strata_statistics(records: Sequence[SliceRecord]) -> dict[str, list[Figure]]:
    """Return calibration and AUROC of the entropy by quartile of contrast and of size."""
    values: Mapping[str, Callable[[SliceRecord], float]] = {
        "contrast": lambda one: one.contrast,
        "size_mm2": lambda one: one.size_mm2,
    }
    result: dict[str, list[Figure]] = {}
    for name, value in values.items():
        held = [one for one in records if one.size_mm2 > 0 and math.isfinite(one.contrast)]
        edges = np.unique(
            np.quantile([value(one) for one in held], np.linspace(0, 1, QUARTILES + 1))
        )
        rows = []
        for low, high in itertools.pairwise(edges):
            last = high == edges[-1]
            mine = [
                one for one in held if low <= value(one) < high or (last and value(one) == high)
            ]
            if not mine:  # with few slices a quantile may be empty
                continue
            weights = _weights(mine)
            near = _drawn(reliability_by_patient(mine, "near"), weights)
            ranking = Ranking(np.tensordot(weights, ranking_by_patient(mine, "entropy").counts, 1))
            rows.append(
                {
                    "from": float(f"{low:.4g}"),
                    "to": float(f"{high:.4g}"),
                    "slices": len(mine),
                    "mean_dice": round(float(np.nanmean([one.dice for one in mine])), 4),
                    "wrong_share": estimate(
                        ranking.counts[:, 1].sum(-1) / ranking.counts.sum((-1, -2))
                    ),
                    "ece": estimate(near.ece()),
                    "auroc": estimate(ranking.auroc()),
                }
            )
        result[name] = rows
    return result


def quality_statistics(records: Sequence[SliceRecord]) -> Figure:
    """Return the errors of predicted Dice and of the expected error, and the fitted regression."""
    table = QualityTable.of(records)
    guesses = {
        "ridge": cross_predict(table),
        "expected Dice": table.expected,
        "mean of the others": cross_mean(table),
    }
    names = np.unique(table.patients)
    weights = patient_weights(len(names))
    number = np.searchsorted(names, table.patients)
    rows = {}
    for name, guess in guesses.items():
        miss = np.bincount(number, np.abs(guess - table.dice), len(names))
        count = np.bincount(number, minlength=len(names))
        correlation = (
            None
            if name == "mean of the others"
            else round(float(np.corrcoef(guess, table.dice)[0, 1]), 3)
        )
        rows[name] = {
            "mean_absolute_error": estimate((weights @ miss) / (weights @ count)),
            "correlation": correlation,
        }
    cases = sorted({one.case for one in records})
    expected = [sum(r.expected_error_ml for r in records if r.case == case) for case in cases]
    found = [sum(r.wrong * r.voxel_ml for r in records if r.case == case) for case in cases]
    return {
        "structures_in_slices": len(table.dice),
        "predicted_dice": rows,
        "regression": fit_quality(table).to_dict(),
        "wrong_ml_of_a_volume": {
            "mean_expected": round(float(np.mean(expected)), 2),
            "mean_found": round(float(np.mean(found)), 2),
            "mean_absolute_error": round(float(np.mean(np.abs(np.subtract(expected, found)))), 2),
            "correlation": round(float(np.corrcoef(expected, found)[0, 1]), 3),
            "volumes": len(cases),
        },
    }


def estimate(drawn: Floats) -> list[float | None]:
    """Return the value and interval of a statistic, given its values for `patient_weights`."""
    return interval_of(drawn).rounded(4)


def _by_share(drawn: Floats) -> list[list[float | None]]:
    return [estimate(drawn[:, column]) for column in range(drawn.shape[1])]


def _weights(records: Sequence[SliceRecord]) -> Floats:
    """Return the bootstrap weights of the patients."""
    return patient_weights(len(patients_of(records)[0]))


def _drawn(by_patient: Reliability, weights: Floats) -> Reliability:
    return Reliability(np.tensordot(weights, by_patient.counts, 1), weights @ by_patient.brier)


def _estimates(by_patient: Reliability) -> Figure:
    drawn = _drawn(by_patient, patient_weights(len(by_patient.brier)))
    return {
        "ece": estimate(drawn.ece()),
        "adaptive_ece": estimate(drawn.adaptive_ece()),
        "brier": estimate(drawn.mean_brier()),
    }
