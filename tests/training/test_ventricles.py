"""Bias and limits of agreement computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from flomo_training.metrics_table import StructureMetrics
from flomo_training.ventricles import limits_of_agreement


def cavity(patient, phase, reference, result, *, name="left ventricle", listed=float("nan")):
    return StructureMetrics(
        f"{patient}_{phase}", patient, phase, name, 0.9, reference, result, listed_ml=listed
    )


@pytest.fixture
def rows():
    return [
        cavity("a", "ED", 100, 110), cavity("a", "ES", 40, 44),
        cavity("b", "ED", 200, 190), cavity("b", "ES", 120, 114),
        cavity("c", "ED", 150, 150), cavity("c", "ES", 60, 75),
    ]  # fmt: skip


def test_bland_and_altman(rows):
    edv, esv, ef = limits_of_agreement(rows)
    assert [(x.quantity, x.unit) for x in (edv, esv, ef)] == [
        ("EDV", "ml"), ("ESV", "ml"), ("EF", "%"),
    ]  # fmt: skip
    for limits, differences in (
        (edv, [10, -10, 0]),
        (esv, [4, -6, 15]),
        (ef, [60 - 60, 40 - 40, 50 - 60]),
    ):
        assert limits.patients == 3
        assert limits.bias.value == pytest.approx(np.mean(differences))
        spread = np.std(differences, ddof=1)
        assert limits.lower == pytest.approx(np.mean(differences) - 1.96 * spread)
        assert limits.upper == pytest.approx(np.mean(differences) + 1.96 * spread)


def test_a_patient_without_both_phases_is_left_out(rows):
    rows = [row for row in rows if row.case != "c_ES"]
    assert {limits.patients for limits in limits_of_agreement(rows)} == {2}


def test_an_empty_cavity_has_no_ejection_fraction(rows):
    rows[0] = cavity("a", "ED", 100, 0)
    found = {limits.quantity: limits.patients for limits in limits_of_agreement(rows)}
    assert found == {"EDV": 3, "ESV": 3, "EF": 2}


def test_ventricles_are_the_cavities(rows):
    rows.append(cavity("a", "ED", 50, 60, name="left ventricular myocardium"))
    rows += [cavity("a", phase, 80, 90, name="right ventricle") for phase in ("ED", "ES")]
    assert [x.ventricle for x in limits_of_agreement(rows)] == (
        ["left ventricle"] * 3 + ["right ventricle"] * 3
    )


def test_listed_volumes_as_reference():
    rows = [cavity(p, phase, 100, 90, listed=80) for p in "ab" for phase in ("ED", "ES")]
    assert limits_of_agreement(rows)[0].bias.value == -10
    assert limits_of_agreement(rows, "listed_ml")[0].bias.value == 10
    assert not limits_of_agreement([cavity("a", "ED", 1, 1), cavity("a", "ES", 1, 1)], "listed_ml")
