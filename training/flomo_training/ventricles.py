"""Agreement of ventricular volumes and ejection fraction: bias and limits of agreement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from flomo_training.bland_altman import bland_altman
from flomo_training.bootstrap import Estimate
from flomo_training.metrics_table import StructureMetrics
from napari_flomo.measures import Ventricle

VENTRICLES = ("left ventricle", "right ventricle")
"""Names of the ventricular cavities in model cards."""

QUANTITIES = {"EDV": "ml", "ESV": "ml", "EF": "%"}
"""Measured quantities and their units; differences of EF are in percentage points."""

Reference = Literal["reference_ml", "listed_ml"]


@dataclass(frozen=True)
class LimitsOfAgreement:
    """Agreement of one quantity of one ventricle over patients.

    Attributes
    ----------
    ventricle, quantity, unit
        For example ``"left ventricle"``, ``"EF"`` and ``"%"``.
    patients
        Number of patients with both phases in both measurements.
    bias
        Mean of (result - reference), with its bootstrap interval.
    lower, upper
        Limits of agreement; NaN for fewer than two patients.
    """

    ventricle: str
    quantity: str
    unit: str
    patients: int
    bias: Estimate
    lower: float
    upper: float


def limits_of_agreement(
    rows: Sequence[StructureMetrics], against: Reference = "reference_ml"
) -> list[LimitsOfAgreement]:
    """Compare the ventricles of all patients with end-diastole and end-systole.

    The rows have the phases ``"ED"`` and ``"ES"``. Volumes are compared with those of the reference
    labels, or those listed in the data set. Ventricles that no patient has in both phases are left
    out.
    """
    limits = []
    for name in VENTRICLES:
        results, references = (_by_patient(rows, name, field) for field in ("result_ml", against))
        for quantity, unit in QUANTITIES.items():
            differences = {}
            for patient in results.keys() & references.keys():
                found, expected = (_measure(v[patient], quantity) for v in (results, references))
                if found is not None and expected is not None:
                    differences[patient] = found - expected
            if differences:
                limits.append(_limits(name, quantity, unit, differences))
    return limits


def _by_patient(rows: Sequence[StructureMetrics], name: str, field: str) -> dict[str, Ventricle]:
    """Return the ventricle of every patient with both phases."""
    cavity: dict[str, dict[str, float]] = {}
    for row in rows:
        if row.structure == name and not np.isnan(getattr(row, field)):
            cavity.setdefault(row.patient, {})[row.phase] = getattr(row, field)
    return {
        patient: Ventricle(phases["ED"], phases["ES"])
        for patient, phases in cavity.items()
        if {"ED", "ES"} <= phases.keys()
    }


def _measure(ventricle: Ventricle, quantity: str) -> float | None:
    if quantity == "EF":
        return ventricle.ef_percent
    return ventricle.edv_ml if quantity == "EDV" else ventricle.esv_ml


def _limits(
    name: str, quantity: str, unit: str, differences: dict[str, float]
) -> LimitsOfAgreement:
    patients = sorted(differences)
    found = bland_altman([differences[patient] for patient in patients], patients)
    return LimitsOfAgreement(
        name, quantity, unit, found.count, found.bias, found.lower, found.upper
    )
