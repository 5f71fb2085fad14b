"""Evaluation of files: metrics, pictures, the command."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from flomo_training.cases import Case, list_cases, read_case
from flomo_training.evaluate import evaluate, read_listed_volumes
from flomo_training.gallery import WorstCases
from flomo_training.metrics_table import read_metrics
from flomo_training.preparation import data_name
from flomo_training.reports import write_reports
from flomo_training.summary import figures
from napari_flomo import DEFAULT_MODEL
from napari_flomo.cli import main
from napari_flomo.errors import FlomoError
from napari_flomo.models import IntensityRule, Label, Preprocessing, info, load_card
from napari_flomo.segmentation import Segmenter
from napari_flomo.volumes import Geometry, read, write


@pytest.fixture
def segmenter(recipe, thresholds):
    return Segmenter(thresholds(), recipe.model, "cpu")


def test_every_structure_of_every_case_gets_a_row(dataset, segmenter):
    cases = list_cases(dataset, 0, "all")
    steps = []
    rows = evaluate(
        cases, segmenter, lambda progress: steps.append((progress.done, progress.total))
    )
    assert [(r.case, r.structure) for r in rows] == [
        (case.name, name) for case in cases for name in ("wall", "cavity")
    ]
    assert steps == [(done, 6) for done in range(1, 7)]
    for found in rows:
        assert 0.6 < found.dice < 1
        assert found.iou == pytest.approx(found.dice / (2 - found.dice), abs=1e-5)
        assert 0 < found.nsd <= 1
        assert found.reference_ml == pytest.approx(found.reference_voxels * 1.5 * 1.5 * 8 / 1000)
        assert found.slices == 3
    assert {r.hd95_mm for r in rows} != {0}


def test_listed_volumes_are_in_the_table(dataset, segmenter, tmp_path, read_cases, write_cases):
    rows = read_cases(dataset).values()
    write_cases(tmp_path, [row | {"lv_ml": 12.5, "rv_ml": ""} for row in rows])
    listed = read_listed_volumes(tmp_path)
    assert listed["p0_a", "left ventricle"] == 12.5
    assert not any(structure == "right ventricle" for _, structure in listed)
    labels = tuple(
        replace(label, name="left ventricle") if label.name == "cavity" else label
        for label in segmenter.card.labels
    )
    segmenter.card = replace(segmenter.card, labels=labels)
    rows = evaluate(list_cases(dataset, 0, "validation"), segmenter, listed=listed)
    assert {r.structure: r.listed_ml for r in rows}["left ventricle"] == 12.5
    (tmp_path / "cases.csv").write_text("case,lv_ml\nx,much\n")
    with pytest.raises(FlomoError, match="has 'much' as lv_ml of x"):
        read_listed_volumes(tmp_path)


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("ACDC", "acdc"),
        ("CVC-ClinicDB", "cvc_clinicdb"),
        ("Montgomery County X-ray Set", "montgomery"),
        (None, "my_own_hearts"),
    ],
)
def test_data_name_does_not_depend_on_the_folder(tmp_path, title, name):
    folder = tmp_path / "My own-hearts"
    folder.mkdir()
    if title:
        (folder / "manifest.json").write_text(json.dumps({"data": title}))
    assert data_name(folder) == name
    (folder / "manifest.json").write_text("[]")
    with pytest.raises(FlomoError, match="is damaged"):
        data_name(folder)


def test_gallery_shows_the_worst_slices_of_the_worst_cases(dataset, segmenter, tmp_path):
    with pytest.raises(FlomoError, match="nothing to draw"):
        WorstCases().draw((), tmp_path / "worst.png")
    gallery = WorstCases(3)
    rows = evaluate(list_cases(dataset, 0, "all"), segmenter, gallery=gallery)
    means = {}
    for found in rows:
        means.setdefault(found.case, []).append(found.dice)
    worst = sorted(means, key=lambda name: np.mean(means[name]))[:3]
    assert [exhibit.rows[0].case for exhibit in gallery.cases] == worst
    picture = tmp_path / "worst.png"
    gallery.draw(segmenter.card.labels[1:], picture)
    with Image.open(picture) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    assert image.width > 800
    red, green, blue = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    assert ((green > 180) & (red < 90) & (blue < 90)).sum() > 500  # outlines of the wall
    assert ((red > 180) & (green < 90) & (blue < 90)).sum() > 300  # and of the cavity


class Bright(torch.nn.Module):
    """Segments bright pixels by the mean of the channels."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(50.0))

    def forward(self, images):
        return SimpleNamespace(logits=self.scale * (images.mean(1, keepdim=True) - 0.5))


@pytest.fixture
def photos(tmp_path):
    """Photos with a partly detected lesion, without a lesion, and with a false alarm."""
    cases = []
    for name, lesion, bright in (
        ("lesion", (slice(10, 30), slice(12, 32)), (slice(10, 30), slice(22, 42))),
        ("normal", None, None),
        ("alarm", None, (slice(5, 12), slice(5, 12))),
    ):
        image = np.full((48, 60, 3), 20, np.uint8)
        mask = np.zeros((48, 60), np.uint8)
        if bright:
            image[bright] = 250
        if lesion:
            mask[lesion] = 1
        Image.fromarray(image).save(tmp_path / f"{name}.png")
        Image.fromarray(mask).save(tmp_path / f"{name}_mask.png")
        cases.append(Case(name, name, "", tmp_path / f"{name}.png", tmp_path / f"{name}_mask.png"))
    return cases


def test_evaluation_of_photos(photos, recipe, tmp_path):
    card = replace(
        recipe.model,
        in_channels=3,
        input_kind="photo",
        activation="sigmoid",
        labels=(recipe.model.labels[0], Label(1, "lesion", "#e11d48")),
        preprocessing=Preprocessing(None, None, IntensityRule("percentile", 0, 100)),
    )
    gallery = WorstCases()
    rows = evaluate(photos, Segmenter(Bright(), card, "cpu"), gallery=gallery)
    lesion, normal, alarm = rows
    assert lesion.dice == pytest.approx(0.5, abs=0.01)
    assert lesion.iou == pytest.approx(1 / 3, abs=0.01)
    assert np.isnan(normal.dice)
    assert alarm.dice == 0
    assert all(np.isnan(r.reference_ml) and np.isnan(r.hd95_mm) for r in rows)
    found = figures(rows)
    assert found["mean_dice"] == pytest.approx(0.25, abs=0.01)
    assert (found["images"], found["absent"], found["false_alarms"]) == (3, 1, 1)
    assert [exhibit.rows[0].case for exhibit in gallery.cases] == ["alarm", "lesion"]
    picture = tmp_path / "worst.png"
    gallery.draw(card.labels[1:], picture)
    with Image.open(picture) as image:
        image.load()


@pytest.fixture
def model(make_model):
    return make_model()


def test_command_writes_the_requested_files(dataset, model, tmp_path, capsys):
    table, report, picture = (tmp_path / name for name in ("rows.csv", "report.json", "worst.png"))
    arguments = ["evaluate", "--model", str(model), "--data", str(dataset), "--fold", "1",
                 "--out", str(table), "--json", str(report), "--gallery", str(picture)]  # fmt: skip
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    summary = json.loads(report.read_text())
    assert f"mean Dice {summary['mean_dice']:.4f}" in printed
    assert summary["fold"] == 1
    assert summary["data"] == dataset.name
    assert {row.patient for row in read_metrics(table)} == {"p2", "p3"}
    assert picture.stat().st_size > 10_000
    assert main([*arguments[:7], "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == summary


def test_mirrored_views_are_evaluated(dataset, model, capsys):
    arguments = ["evaluate", "--model", str(model), "--data", str(dataset), "--json"]
    found = []
    for more in ([], ["--mirrored"]):
        assert main([*arguments, *more]) == 0
        found.append(json.loads(capsys.readouterr().out))
    plain, mirrored = found
    assert (plain["views"], mirrored["views"]) == ("plain", "mirrored")
    assert plain["mean_dice"] != mirrored["mean_dice"]
    assert main([*arguments, "--mirrored", "--record"]) == 2
    assert "omit --mirrored" in capsys.readouterr().err


def test_nothing_is_computed_for_a_report_that_cannot_be_written(
    dataset, model, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(Segmenter, "segment", lambda *_: pytest.fail("it was computed"))
    arguments = ["evaluate", "--model", str(model), "--data", str(dataset)]
    assert main([*arguments, "--json", str(tmp_path / "no" / "report.json")]) == 2
    assert "does not exist" in capsys.readouterr().err


def test_a_finished_run_gets_all_its_reports(dataset, model, recipe, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(model, run / "model")
    (run / "curves").mkdir()
    (run / "curves" / "metrics.csv").write_text(
        "epoch,train/loss,learning_rate,slices,seconds\n0,2.5,0.001,48,2\n1,1.5,0.002,48,2\n"
    )
    (run / "run.json").write_text(
        json.dumps(
            {"epochs": 2, "training_hours": 0.5, "hardware": "CPU", "slices": 12}
            | {"parent": f"first-stage {'0' * 64}"}
        )
    )
    report = write_reports(run, recipe, dataset)
    assert report == json.loads((run / "report.json").read_text())
    assert (report["flavour"], report["seed"], report["fold"]) == ("best", 3, 0)
    assert (report["epochs"], report["training_hours"], report["slices"]) == (2, 0.5, 12)
    assert report["start_from"] == "first-stage"
    assert {row.patient for row in read_metrics(run / "cases.csv")} == {"p0", "p1"}  # held out
    for name in ("curves.png", "worst_cases.png"):
        with Image.open(run / name) as image:
            image.load()
    card = load_card(run / "model")
    assert card.metrics["mean_dice"] == report["mean_dice"]
    assert card.metrics["split"] == "validation"


def test_labels_on_another_grid_are_rejected(dataset, segmenter, tmp_path):
    folder = shutil.copytree(dataset, tmp_path / "data")
    path = next((folder / "labels").iterdir())
    write(replace(read(path), geometry=Geometry((1.5, 1.5, 8.0), (0, 0, 3.0))), path)
    with pytest.raises(FlomoError, match=r"image and the labels of p.* differ: .* voxels"):
        evaluate(list_cases(folder, 0, "all"), segmenter)


def test_the_field_case_of_flipped_labels():
    field = Path(__file__).parents[1] / "fieldtests/evaluate_ignores_label_geometry/data"
    card = info(DEFAULT_MODEL)[1]
    (case,) = list_cases(field, 0, "validation")
    image, labels = read_case(case)
    assert labels.geometry == image.geometry
    found = [int((labels.data == code.code).sum()) for code in card.labels[1:]]
    assert found[2] > 1000
    # The cavity is bright blood; without alignment half of it would not be.
    assert image.data[labels.data == 3].mean() > 1.5 * image.data[labels.data == 2].mean()
