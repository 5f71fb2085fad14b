"""The table of a cohort."""

from __future__ import annotations

import csv
from pathlib import Path

from napari_flomo.cohorts import StudyResult
from napari_flomo.cohorts.inputs import Input
from napari_flomo.cohorts.table import write_table


def test_table(tmp_path: Path) -> None:
    sizes = [
        {"frame": frame, "code": code, "name": name, "voxels": 1, "ml": ml}
        for frame, code, name, ml in [(0, 1, "RV", 150.5), (0, 2, "LV", 0.0), (1, 1, "RV", 60.25)]
    ]
    manifest = {
        "model": {"name": "m", "card_sha256": "c"},
        "device": "cpu",
        "engine": {"asked": "auto", "name": "fast"},
        "input": {"notes": ["The pixdim was used."]},
        "warnings": ["The heart is too small."],
    }
    results = [
        StudyResult(
            "p, 1/a.nii",
            1,
            "done",
            Input("s", 1, 2, "t"),
            {"labels": "l"},
            sizes,
            [[0.5, None], [2.0, 0.1]],
            {"frame": 1, "slice": 0, "score": 2.0},
            {"total": 1.5},
            manifest,
        ),
        StudyResult("\udcff.nii", 1, "failed", error='It is "broken".'),
    ]
    path = write_table(tmp_path, lambda: results, ["RV", "LV", "myocardium"])
    with path.open(newline="", encoding="utf-8") as stream:
        first, second = csv.DictReader(stream)
    assert first["study"] == "p, 1/a.nii"
    assert (first["RV_ml_max"], first["RV_ml_min"]) == ("150.5", "60.25")
    assert (first["LV_ml_max"], first["myocardium_ml_max"]) == ("0.0", "")
    assert (first["frames"], first["slices"]) == ("2", "2")
    assert (first["most_uncertain_frame"], first["most_uncertain_slice"]) == ("1", "0")
    assert (first["most_uncertain_score"], first["seconds"]) == ("2.0", "1.5")
    assert (first["model"], first["engine"], first["input_sha256"]) == ("m", "fast", "s")
    assert first["remarks"] == "The pixdim was used. The heart is too small."
    assert (second["state"], second["error"]) == ("failed", 'It is "broken".')
    assert second["RV_ml_max"] == second["model"] == second["remarks"] == ""
