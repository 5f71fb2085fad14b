"""Results and tables of the accuracy page."""

from __future__ import annotations

import json
from dataclasses import replace
from math import nan
from types import SimpleNamespace

import pytest

from flomo_training.metrics_table import StructureMetrics, read_metrics, write_metrics
from flomo_training.results import compare_with_baselines, evaluate_mirrored, read_results, save_run
from napari_flomo.errors import FlomoError

FACTS = {
    "data": "acdc", "model": "ours", "network": "flomo-b0", "flavour": "best", "fold": 0,
    "split": "validation", "seed": 1, "sha256": "a" * 64, "epochs": 5, "training_hours": 1.5,
    "hardware": "CPU, 2 threads",
}  # fmt: skip


def measured(fold, gain=0.0):
    return [
        StructureMetrics(
            f"p{fold}{patient}_{phase}", f"p{fold}{patient}", phase, structure,
            dice, 100.0 + patient, 102.0 + patient, iou=dice / (2 - dice), hd95_mm=4.0, nsd=0.9,
            slice_dice=0.7, slices=8, listed_ml=100.0 + patient, reference_voxels=1,
            result_voxels=1,
        )
        for patient in range(4)
        for phase in ("ED", "ES")
        for structure in ("right ventricle", "left ventricle")
        for dice in [0.8 + 0.02 * patient + gain]
    ]  # fmt: skip


@pytest.fixture
def make_run(tmp_path):
    def make(rows, **facts):
        run = tmp_path / f"run{len(list(tmp_path.glob('run*')))}"
        run.mkdir()
        write_metrics(rows, run / "cases.csv")
        (run / "report.json").write_text(json.dumps(FACTS | {"mean_dice": 9} | facts))
        return run

    return make


@pytest.fixture
def docs(tmp_path):
    folder = tmp_path / "docs"
    folder.mkdir()
    return folder


@pytest.fixture
def script(load_benchmark):
    return load_benchmark("accuracy")


def test_the_official_test_set_is_shown_as_it_was_measured(script, repository):
    folder = repository / "docs" / "benchmarks"
    page = "\n".join(script.test_set_section(folder))
    for views in ("plain", "mirrored"):
        path = folder / "official_test" / f"flomo-b0-acdc-{views}.json"
        summary = json.loads(path.read_text(encoding="utf-8"))
        assert f"{summary['mean_dice']:.4f} (" in page
        lower, upper = summary["ventricles"]["left ventricle"]["EF"]["limits"]
        assert f"{lower:+.1f} to {upper:+.1f}" in page
    assert script.test_set_section(folder / "pictures_uncertainty") == []


def test_runs_are_saved_and_shown(script, make_run, docs, capsys):
    runs = [make_run(measured(fold), fold=fold) for fold in (0, 1)]
    runs += [make_run(measured(0, -0.05), model="unet", network="dynunet", sha256="b" * 64)]
    assert script.main([*map(str, runs), "--folder", str(docs)]) == 0
    page = (docs / "accuracy.md").read_text()
    assert page in capsys.readouterr().out
    kept = json.loads((docs / "ours-fold1.json").read_text())
    assert "mean_dice" not in kept  # figures come from the table
    lines = [line for line in page.splitlines() if line.startswith("| `ours` | flomo-b0")]
    assert len(lines) == 3
    assert "0.8300 (0.8" in lines[0]
    assert "| all 2 | 16 (8) |" in lines[2]
    assert "3 h" in lines[2]  # of both folds
    (difference,) = [line for line in page.splitlines() if line.startswith("| `ours` | `unet`")]
    assert "| 0 | 4 | +0.0500 (+0.0500 to +0.0500) |" in difference
    assert "labels and listed" in page
    assert "+2.0 ml" in page
    assert page.index("`ours`") < page.index("`unet`")


def test_a_difference_is_taken_on_the_same_cases_only(make_run, docs):
    save_run(make_run(measured(0)), docs)
    save_run(make_run(measured(1), fold=1), docs)
    other = {"model": "unet", "network": "dynunet"}
    save_run(make_run(measured(0, 0.01)[:-4], **other), docs)  # a patient is missing
    assert not compare_with_baselines(read_results(docs))
    save_run(make_run(measured(1, 0.01), fold=1, **other), docs)
    (found,) = compare_with_baselines(read_results(docs))
    assert list(found.folds) == [1]
    assert found.figures["dice"].value == pytest.approx(-0.01)
    assert found.figures["hd95_mm"].value == 0


def test_data_sets_are_never_compared(make_run, docs):
    save_run(make_run(measured(0)), docs)
    save_run(make_run(measured(0), model="unet", network="dynunet", data="busi"), docs)
    assert not compare_with_baselines(read_results(docs))


def test_photos_are_compared_by_dice_and_iou(script, make_run, docs):
    """Dice and IoU; a single group, as a block of a video is, has no interval."""

    def photos(gain, groups):
        return [
            replace(
                row, phase="", reference_ml=nan, result_ml=nan, hd95_mm=nan, nsd=nan,
                listed_ml=nan, patient=f"block{number % groups}", slices=1,
            )
            for number, row in enumerate(measured(0, gain))
        ]  # fmt: skip

    save_run(make_run(photos(0, 2), data="busi", model="ours-busi"), docs)
    page = script.page(read_results(docs), [])
    assert "No baseline" in page
    assert "each image in its original size" in page
    for data, groups in (("busi", 2), ("cvc_clinicdb", 1)):
        facts = {"data": data, "model": f"ours-{data}"}
        save_run(make_run(photos(0, groups), **facts), docs)
        facts = {"data": data, "model": f"unet-{data}", "network": "dynunet"}
        save_run(make_run(photos(0.05, groups), **facts), docs)
    page = script.page(read_results(docs), [])
    assert "| model | baseline | folds | groups | Dice | IoU |" in page
    assert "HD95" not in page
    assert "Ventricles" not in page
    assert "| `ours-busi` | `unet-busi` | 0 | 2 | -0.0500 (-0.0500 to -0.0500) | -0.07" in page
    assert "| `ours-cvc_clinicdb` | `unet-cvc_clinicdb` | 0 | 1 | -0.0500 | -0.07" in page


def test_results_of_other_weights_are_not_overwritten(make_run, docs):
    table = save_run(make_run(measured(0)), docs)
    save_run(make_run(measured(0)), docs)  # the same weights
    other = make_run(measured(0, 0.1), sha256="c" * 64)
    with pytest.raises(FlomoError, match="results of other weights"):
        save_run(other, docs)
    assert read_metrics(table)[0].dice == pytest.approx(0.8)
    assert save_run(other, docs, "better").name == "better-fold0.csv"
    save_run(other, docs, replace=True)
    assert read_metrics(table)[0].dice == pytest.approx(0.9)


def test_mirrored_views_are_listed_next_to_plain_ones(script, make_run, docs, monkeypatch):
    save_run(make_run(measured(0)), docs)
    save_run(make_run(measured(0, -0.1), model="unet", network="dynunet"), docs)
    calls = []

    def evaluate(source, fold, split, segmenter, gallery, *, mirrored):
        calls.append((source, fold, split, mirrored))
        return measured(0, 0.01), {}

    monkeypatch.setattr("flomo_training.results.evaluate_folder", evaluate)
    segmenter = SimpleNamespace(card=SimpleNamespace(name="ours", sha256="a" * 64))
    table = evaluate_mirrored(docs / "ours-fold0.csv", segmenter, "data")
    assert table.name == "ours-mirrored-fold0.csv"
    assert calls == [("data", 0, "validation", True)]
    page = script.page(read_results(docs), [])
    assert "| `ours` | flomo-b0 | best | plain | 0 |" in page
    assert "| `ours-mirrored` | flomo-b0 | best | mirrored | 0 |" in page
    assert "| `ours-mirrored` | `ours` | 0 | 4 | +0.0100 (+0.0100 to +0.0100) |" in page
    # Only results of the same views are compared with a baseline.
    assert [found.model for found in compare_with_baselines(read_results(docs))] == ["ours"]
    segmenter.card.sha256 = "f" * 64
    with pytest.raises(FlomoError, match="other weights"):
        evaluate_mirrored(docs / "ours-fold0.csv", segmenter, "data")
    save_run(make_run(measured(0), sha256="f" * 64), docs, replace=True)
    with pytest.raises(FlomoError, match="add --replace"):
        evaluate_mirrored(docs / "ours-fold0.csv", segmenter, "data")
    assert evaluate_mirrored(docs / "ours-fold0.csv", segmenter, "data", replace=True) == table


def test_a_patient_in_two_folds_is_a_leak(make_run, docs):
    save_run(make_run(measured(0)), docs)
    save_run(make_run(measured(0), fold=1), docs)
    with pytest.raises(FlomoError, match="is in two folds of ours"):
        read_results(docs)


def test_missing_facts_are_reported(make_run, docs, tmp_path):
    with pytest.raises(FlomoError, match="lacks 'seed'"):
        save_run(make_run(measured(0), seed=None), docs)
    with pytest.raises(FlomoError, match=r"report\.json cannot be read"):
        save_run(tmp_path, docs)
    assert not list(docs.iterdir())
    with pytest.raises(FlomoError, match="not a valid file name"):
        save_run(make_run(measured(0)), docs, "../elsewhere")


def test_wrong_fold_is_detected(script, make_run, docs, capsys):
    table = save_run(make_run(measured(0)), docs)
    for path in (table, table.with_suffix(".json")):
        path.rename(path.with_stem("ours-fold3"))
    assert script.main(["--folder", str(docs)]) == 2
    assert "describes fold 0" in capsys.readouterr().err


def test_impossible_published_pairs_are_marked(script):
    row = {"source": "someone", "data": "acdc", "network": "x", "dice": "92.70", "iou": "85.68"}
    text = script.published_figures([row, row | {"data": "busi", "dice": "90.00"}])
    impossible, possible = [line for line in text.splitlines() if line.startswith("|")][2:]
    assert "no: at most 92.29" in impossible
    assert "| yes |" in possible
