"""Results on degraded images: files, resuming, statistics."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace

import pytest

from flomo_training.cases import list_cases
from flomo_training.uncertainty import robustness_files
from flomo_training.uncertainty.degradations import DEGRADATIONS, GRADES
from flomo_training.uncertainty.robustness import (
    UNDEGRADED,
    DegradationResult,
    measure_degradations,
    robustness_statistics,
)
from flomo_training.uncertainty.robustness_files import (
    TEMPERATURES,
    fitted_temperatures,
    measure_missing,
    read_results_of,
)
from napari_flomo.segmentation import Segmenter


@pytest.fixture
def segmenter(recipe, thresholds):
    return Segmenter(thresholds(smooth=True), recipe.model, "cpu")


@pytest.fixture
def cases(dataset):
    return list_cases(dataset, 0, "all")


@pytest.fixture
def quick(monkeypatch):
    """Record the volumes instead of measuring them."""
    measured = []
    rows = {}

    def pretend(case, segmenter):
        measured.append((case.name, segmenter.card.temperature))
        return rows.setdefault(case.name, [row_of(case)])

    monkeypatch.setattr(robustness_files, "measure_degradations", pretend)
    return measured


def row_of(case):
    nan = float("nan")  # no structure in any slice
    return DegradationResult(
        case.name, case.patient, case.phase, UNDEGRADED, "", 0.9, nan, 1.0, 2.0
    )


def test_results_are_read_back_from_files(cases, segmenter, tmp_path):
    case = cases[0]
    measure_missing(tmp_path, [case], segmenter, {case.patient: 2.0})
    rows = read_results_of(tmp_path, case, segmenter.card, 2.0)
    assert len(rows) == 1 + len(DEGRADATIONS) * len(GRADES)
    assert {row.kind for row in rows} == {UNDEGRADED, *DEGRADATIONS}
    calibrated = Segmenter(segmenter.network, replace(segmenter.card, temperature=2.0), "cpu")
    assert [asdict(row) for row in rows] == [
        asdict(row) for row in measure_degradations(case, calibrated)
    ]
    figures = robustness_statistics(rows)
    assert (figures["volumes"], figures["patients"]) == (1, 1)
    assert figures["phases"] == [case.phase]
    assert list(tmp_path.iterdir()) == [tmp_path / f"{case.name}.json"]


def test_existing_results_are_reused(cases, segmenter, tmp_path, quick):
    temperatures = {case.patient: 1.5 for case in cases}
    steps = []
    measure_missing(tmp_path, cases[:1], segmenter, temperatures)
    measure_missing(tmp_path, cases, segmenter, temperatures, progress=steps.append)
    names = [case.name for case in cases]
    assert [name for name, _ in quick] == names
    assert [step.message for step in steps] == names[1:]
    assert {temperature for _, temperature in quick} == {1.5}
    (tmp_path / f"{names[0]}.json").write_text("{torn", encoding="utf-8")
    measure_missing(tmp_path, cases, segmenter, temperatures)
    assert [name for name, _ in quick[len(names) :]] == names[:1]


def test_results_with_other_provenance_are_ignored(cases, segmenter, tmp_path, quick):
    case = cases[0]
    measure_missing(tmp_path, [case], segmenter, {case.patient: 1.5})
    (row,) = read_results_of(tmp_path, case, segmenter.card, 1.5)
    assert math.isnan(row.expected_dice)
    assert "NaN" not in (tmp_path / f"{case.name}.json").read_text()
    assert read_results_of(tmp_path, case, segmenter.card, 1.6) is None
    assert read_results_of(tmp_path, case, replace(segmenter.card, sha256="0" * 64), 1.5) is None
    path = tmp_path / f"{case.name}.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"rows": [{"case": "of an older version"}]}))
    assert read_results_of(tmp_path, case, segmenter.card, 1.5) is None
    path.write_text(json.dumps(content | {"every": 7}))
    measure_missing(tmp_path, [case], segmenter, {case.patient: 1.5})
    assert len(quick) == 2


def test_temperatures_are_fitted_once(cases, segmenter, tmp_path, monkeypatch):
    fitted = fitted_temperatures(tmp_path, segmenter, cases)
    assert set(fitted) == {case.patient for case in cases}
    assert all(value > 1.5 for value in fitted.values()), "it is far too sure of itself"
    monkeypatch.setattr(robustness_files, "collect_patient_pixels", None)
    assert fitted_temperatures(tmp_path, segmenter, cases) == fitted
    content = json.loads((tmp_path / TEMPERATURES).read_text())
    (tmp_path / TEMPERATURES).write_text(json.dumps(content | {"weights": "others"}))
    with pytest.raises(TypeError):  # fitted again
        fitted_temperatures(tmp_path, segmenter, cases)


@pytest.fixture
def script(cases, monkeypatch, load_benchmark):
    """The benchmark script, with all cases of the small data set held out."""
    uncertainty = load_benchmark("uncertainty")
    monkeypatch.setattr(uncertainty, "list_cases", lambda *_: cases)
    return uncertainty


def test_the_script_measures_in_pieces(script, cases, segmenter, tmp_path, quick):
    patients = sorted({case.patient for case in cases})

    def measure(*names):
        return script.measure_degraded(segmenter, tmp_path, tmp_path, names)

    with pytest.raises(script.FlomoError, match="nobody is not a held-out patient"):
        measure("nobody")
    assert measure(patients[0]) is None
    assert {name for name, _ in quick} == {c.name for c in cases if c.patient == patients[0]}
    figures = measure()
    assert (figures["volumes"], figures["patients"]) == (len(cases), len(patients))
    assert len(quick) == len(cases)


@pytest.mark.parametrize("shift", [0, 2])
def test_mirrored_views_are_measured(script, cases, segmenter, monkeypatch, shift):
    """Mirrored views change nothing for a symmetric network, and improve a lopsided one."""
    temperatures = {case.patient: 30.0 for case in cases}
    plain_forward = segmenter.network.forward
    monkeypatch.setattr(
        segmenter.network, "forward", lambda images: plain_forward(images.roll(shift, -1))
    )
    found = script.measure_mirrored(segmenter, cases, temperatures)
    mirrored = found["calibration"]["foreground band"]["brier"][0]
    auroc = found["entropy"]["auroc"][0]
    calibrated = script.at_temperature(segmenter, 30.0)
    records = [record for case in cases for record in script.measure_case(case, calibrated)]
    plain = script.reliability_statistics(records)["foreground band"]["brier"][0]
    plain_auroc = script.map_statistics(records)["entropy"]["auroc"][0]
    if not shift:
        assert (mirrored, auroc) == pytest.approx((plain, plain_auroc), abs=2e-3)
    else:
        assert mirrored < plain - 0.02


def test_page_has_mirrored_views_if_measured(script, repository, tmp_path):
    path = repository / "docs" / "benchmarks" / script.FIGURES
    figures = json.loads(path.read_text(encoding="utf-8"))
    found = figures.pop("mirrored")
    assert "## With mirrored views" not in script.write_page(figures, tmp_path)
    text = script.write_page(figures | {"mirrored": found}, tmp_path)
    ece = found["calibration"]["foreground band"]["ece"][0]
    (row,) = (line for line in text.splitlines() if line.startswith("| mirrored |"))
    assert f"| {ece:.4f} " in row


def test_rows_of_degraded_images_are_complete(script, repository):
    path = repository / "docs" / "benchmarks" / script.FIGURES
    shift = json.loads(path.read_text(encoding="utf-8"))["shift"]
    assert shift["volumes"] == shift["states"][0]["cases"]
    assert len(shift["rows"]) == shift["volumes"] * len(shift["states"])
