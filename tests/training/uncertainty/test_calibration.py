"""Temperature scaling recovers known temperatures and stores them."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from flomo_training.cases import Case, list_cases
from flomo_training.leaks import fingerprint
from flomo_training.uncertainty.calibration import (
    Pixels,
    collect_patient_pixels,
    cross_fit_temperatures,
    fit_temperature,
    fit_vector_scaling,
    halves,
    mean_nll,
)
from flomo_training.uncertainty.cross_fitting import measure_fold
from flomo_training.uncertainty.degradations import DEGRADATIONS, GRADES, degrade, describe
from flomo_training.uncertainty.report import compose
from napari_flomo.cli import main
from napari_flomo.errors import FlomoError
from napari_flomo.models import load_card
from napari_flomo.segmentation import Segmenter
from napari_flomo.volumes import read


@pytest.fixture
def segmenter(recipe, thresholds):
    return Segmenter(thresholds(smooth=True), recipe.model, "cpu")


def drawn(temperature: float, channels: int = 3, *, sigmoid: bool = False) -> Pixels:
    """Logits scaled by a temperature, and classes sampled from the unscaled probabilities."""
    rng = np.random.default_rng(7)
    honest = torch.from_numpy(rng.normal(0, 2, (30_000, channels)).astype(np.float32))
    if sigmoid:
        honest[:, 1:] = -20
        truth = (rng.random(len(honest)) < honest[:, 0].sigmoid().numpy()).astype(np.uint8)
    else:
        edges = honest.softmax(1).cumsum(1).numpy()
        truth = (rng.random((len(honest), 1)) > edges).sum(1).clip(0, channels - 1).astype(np.uint8)
    return Pixels((honest * temperature).numpy(), truth)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.2])
def test_known_temperature_is_recovered(recipe, temperature):
    fit = fit_temperature(drawn(temperature), recipe.model)
    assert fit.temperature == pytest.approx(temperature, rel=0.05)
    assert fit.nll_after <= fit.nll_before
    assert fit.pixels == 30_000


def test_the_temperature_of_a_sigmoid(recipe):
    card = replace(recipe.model, activation="sigmoid")
    pixels = drawn(2.0, 2, sigmoid=True)
    assert fit_temperature(pixels, card).temperature == pytest.approx(2.0, rel=0.05)


def test_too_few_pixels(recipe):
    few = Pixels(np.zeros((10, 3), np.float32), np.zeros(10, np.uint8))
    with pytest.raises(FlomoError, match="10 pixels along contours are too few"):
        fit_temperature(few, recipe.model)


def test_vector_scaling_finds_a_bias(recipe):
    pixels = drawn(1.0)
    biased = Pixels(pixels.logits + np.float32([1.0, 0, 0]), pixels.classes)
    factor, offset = fit_vector_scaling(biased, recipe.model)
    assert offset[0] - offset[1:].mean() == pytest.approx(-1.0, abs=0.1)
    better = mean_nll(biased, recipe.model, biased.logits * factor + offset)
    assert better < mean_nll(biased, recipe.model) - 0.02


def test_halves_share_the_groups_and_no_patient():
    cases = [
        Case(f"p{n}_{phase}", f"p{n}", phase, None, None, "ill" if n < 4 else "well")
        for n in range(8)
        for phase in ("ED", "ES")
    ]
    one, other = halves(cases)
    assert not one & other
    assert one | other == {f"p{n}" for n in range(8)}
    assert len(one & {"p0", "p1", "p2", "p3"}) == 2
    assert halves(cases[::-1]) == (one, other)


def test_the_temperature_of_a_patient_comes_from_others(recipe):
    cases = [Case(name, name, "", None, None) for name in ("a", "b")]
    pixels = {"a": drawn(1.0), "b": drawn(3.0)}
    fits = cross_fit_temperatures(pixels, cases, recipe.model)
    assert fits["a"].temperature == pytest.approx(3.0, rel=0.05)
    assert fits["b"].temperature == pytest.approx(1.0, rel=0.05)
    with pytest.raises(FlomoError, match="at least two patients"):
        cross_fit_temperatures({"a": pixels["a"]}, cases[:1], recipe.model)


def test_a_whole_fold(dataset, segmenter):
    cases = list_cases(dataset, 0, "all")
    pixels = collect_patient_pixels(segmenter, cases)
    assert set(pixels) == {f"p{n}" for n in range(6)}
    assert all(len(one.classes) > 500 for one in pixels.values())
    measured = measure_fold(segmenter, cases, ["entropy", "variance"])  # eight passes
    report = compose(measured, segmenter, {"data": "toy", "fold": 0, "split": "all"})
    json.dumps(report)
    assert len(measured.after) == 6 * 3
    band = report["calibration"]["foreground band"]
    assert report["calibration"]["temperature"] > 1.2
    assert band["after"]["brier"][0] < band["before"]["brier"][0]
    assert set(report["maps"]) == {"entropy", "variance"}
    assert report["maps"]["entropy"]["auroc"][0] > 0.52
    found = report["finding"]["wrong voxels, every volume"]["found"]
    assert found["oracle"][1][0] >= found["entropy_area"][1][0]
    wrong = sum(one.wrong for one in measured.after)
    assert report["finding"]["counts"]["wrong_voxels"] == wrong > 0
    labels = [
        segmenter.segment(read(case.image)).labels.data != read(case.labels).data for case in cases
    ]
    assert sum(int(one.sum()) for one in labels) == wrong
    assert sum(row["slices"] for row in report["strata"]["size_mm2"]) == 6 * 3


@pytest.mark.parametrize("kind", sorted(DEGRADATIONS))
def test_degradations_are_repeatable_and_grow(dataset, segmenter, kind):
    volume = read(dataset / "images" / "p0_a.nii.gz")
    before = volume.data.copy()
    changes = []
    for grade in GRADES:
        changed = degrade(volume, kind, grade, segmenter.card)
        assert changed.geometry == volume.geometry
        assert changed.data.shape == volume.data.shape
        assert np.isfinite(changed.data).all()
        again = degrade(volume, kind, grade, segmenter.card)
        assert np.array_equal(changed.data, again.data)
        changes.append(float(np.abs(changed.data - before).mean()))
    assert min(changes) > 0
    assert changes[0] < changes[1] or kind == "contrast"  # that is once brighter, once darker
    assert np.array_equal(volume.data, before)
    assert "{" not in describe(kind)


class TestCommands:
    @pytest.fixture
    def model(self, make_model):
        return make_model(protocol="Trained well.")

    def test_calibrate_writes_the_card_and_nothing_else(self, dataset, model, capsys):
        weights = (model / "model.safetensors").read_bytes()
        before = load_card(model)
        arguments = ["calibrate", "--model", str(model), "--data", str(dataset), "--fold", "0"]
        assert main([*arguments, "--dry-run", "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert found["stored"] is False
        assert found["patients"] == 2
        assert load_card(model) == before
        for _ in range(2):  # the second time replaces the first
            assert main(arguments) == 0
            card = load_card(model)
            assert card.temperature == found["temperature"]
            assert card.protocol == (
                "Trained well. Temperature fitted by likelihood within 5 mm of the contours on "
                f"2 patients of {card.protocol.partition('patients of ')[2]}"
            )
            assert card.protocol.endswith(", fold 0, validation.")
        assert (model / "model.safetensors").read_bytes() == weights
        assert replace(card, temperature=1.0, protocol="Trained well.") == before

    def test_cases_of_the_training_are_refused(self, dataset, make_model, capsys):
        seen = [fingerprint(dataset / "images" / f"p{n}_a.nii.gz") for n in (0, 5)]
        model = make_model(trained_on=tuple(seen))
        before = (model / "card.json").read_bytes()
        arguments = ["--model", str(model), "--data", str(dataset), "--fold", "0"]
        assert main(["calibrate", *arguments]) == 2
        assert "was trained on p0_a, so it cannot be calibrated" in capsys.readouterr().err
        assert (model / "card.json").read_bytes() == before

    def test_evaluate_writes_the_report(self, dataset, model, tmp_path, capsys):
        out = tmp_path / "uncertainty"
        arguments = ["--model", str(model), "--data", str(dataset), "--fold", "1"]
        assert main(["evaluate", *arguments, "--uncertainty", str(out)]) == 0
        assert "the first 20 % of the slices" in capsys.readouterr().out
        assert sorted(path.name for path in out.iterdir()) == [
            "finding.png",
            "reliability.png",
            "report.json",
            "risk_coverage.png",
            "slices.csv",
        ]
        report = json.loads((out / "report.json").read_text())
        assert list(report["maps"]) == [
            "entropy", "tta_entropy", "mutual_information", "variance",
        ]  # fmt: skip
        assert str(tmp_path) not in (out / "report.json").read_text()
        assert (out / "slices.csv").read_text().count("\n") == 1 + 6
        assert main(["evaluate", *arguments, "--mirrored", "--uncertainty", str(out)]) == 0
        mirrored = json.loads((out / "report.json").read_text())
        assert (report["views"], mirrored["views"]) == ("plain", "mirrored")
        temperature = report["calibration"].pop("temperature")
        assert mirrored["calibration"].pop("temperature") == temperature, "the network's own"
        assert mirrored["calibration"] != report["calibration"]
