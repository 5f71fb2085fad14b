"""Cross-validation evaluates every patient once."""

from __future__ import annotations

import csv
import json

import pytest

from napari_flomo.cli import main


@pytest.fixture(scope="module")
def finished(dataset, new_content, tmp_path_factory):
    folder = tmp_path_factory.mktemp("crossval")
    recipe = folder / "recipe.yaml"
    recipe.write_text(json.dumps(new_content() | {"epochs": 1}))
    out = folder / "runs"
    arguments = ["crossval", str(recipe), "--data", str(dataset), "--out", str(out)]
    assert main([*arguments, "--folds", "0", "1"]) == 0
    return out


@pytest.mark.slow
def test_each_fold_is_measured_on_what_it_held_out(finished):
    with (finished / "cases.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["patient"] for row in rows} == {"p0", "p1", "p2", "p3"}
    assert len(rows) == 4 * 2, "one row for each structure of each case"
    for fold, patients in enumerate([{"p0", "p1"}, {"p2", "p3"}]):
        with (finished / f"fold{fold}" / "cases.csv").open(newline="") as file:
            assert {row["patient"] for row in csv.DictReader(file)} == patients
    result = json.loads((finished / "crossval.json").read_text())
    assert set(result["folds"]) == {"0", "1"}
    assert result["patients"] == 4


@pytest.mark.slow
def test_the_same_command_resumes(finished, dataset, capsys):
    weights = finished / "fold0" / "model" / "model.safetensors"
    before = weights.stat().st_mtime_ns
    (finished / "fold1" / "cases.csv").unlink()  # as if interrupted before the evaluation
    recipe = finished / "recipe.yaml"
    arguments = ["crossval", str(recipe), "--data", str(dataset), "--out", str(finished)]
    assert main([*arguments, "--folds", "0", "1", "--json"]) == 0
    assert weights.stat().st_mtime_ns == before
    assert (finished / "fold1" / "cases.csv").is_file()
    assert json.loads(capsys.readouterr().out)["patients"] == 4


def test_missing_fold_is_rejected(dataset, new_content, tmp_path, capsys):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(json.dumps(new_content()))
    out = tmp_path / "runs"
    arguments = ["crossval", str(recipe), "--data", str(dataset), "--out", str(out)]
    assert main([*arguments, "--folds", "7"]) == 2
    assert "There is no fold 7; choose 0 to 2." in capsys.readouterr().err
    assert not out.exists()
