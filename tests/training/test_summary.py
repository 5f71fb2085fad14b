"""Summaries of small tables checked by hand."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from flomo_training.metrics_table import StructureMetrics, read_metrics, write_metrics
from flomo_training.summary import as_text, figures, mean_dice, summarise
from napari_flomo.errors import FlomoError

NAN = float("nan")


def row(patient, phase, structure, value, **more):
    return StructureMetrics(
        f"{patient}_{phase}", patient, phase, structure, value, 1.0, 1.0, **more
    )


def test_absent_structures_are_left_out_of_the_mean():
    rows = [row("p0", "ED", "wall", 0.8), row("p1", "ED", "wall", NAN),
            row("p0", "ED", "cavity", 0.6), row("p1", "ED", "cavity", 1.0)]  # fmt: skip
    assert mean_dice(rows) == pytest.approx((0.8 + 0.8) / 2)


def test_interval_contains_the_mean_and_resamples_patients():
    rng = np.random.default_rng(0)
    values = rng.uniform(0.5, 1, 12)
    rows = [row(f"p{i}", phase, "wall", v) for i, v in enumerate(values) for phase in ("ED", "ES")]
    found = figures(rows)
    low, high = found["interval_95"]
    assert low < found["mean_dice"] < high
    # Twice the same volume is no more evidence than once.
    assert found["interval_95"] == figures([r for r in rows if r.phase == "ED"])["interval_95"]


def test_summary_by_structure_and_phase(recipe):
    table = [("ED", "wall", 0.9), ("ES", "wall", 0.7), ("ED", "cavity", 0.5)]
    rows = [row(p, phase, s, v) for p in ("p0", "p1") for phase, s, v in table]
    summary = summarise(rows, recipe.model) | {"split": "validation", "fold": 0}
    assert summary["dice"]["wall"] == {"ED": 0.9, "ES": 0.7, "all": 0.8}
    assert list(summary["dice"]) == ["wall", "cavity"]
    assert summary["patients"] == 2
    assert summary["volumes"] == 4
    assert summary["network"] == recipe.model.network
    assert "mean Dice 0.6500" in as_text(summary)
    json.dumps(summary, allow_nan=False)


def test_slices_have_equal_weights():
    rows = [row("p0", "ED", "wall", 0.9, slice_dice=0.9, slices=9),
            row("p1", "ED", "wall", 0.5, slice_dice=0.5, slices=1)]  # fmt: skip
    assert figures(rows)["slice_mean_dice"]["value"] == pytest.approx(0.86)
    assert "slice" in figures(rows)["slice_mean_dice"]["protocol"]


def test_incomplete_metrics_are_not_averaged():
    rows = [row("p0", "ED", "wall", 0.9, hd95_mm=3.0), row("p1", "ED", "wall", 0.9)]
    assert figures(rows)["mean_hd95_mm"] is None
    assert figures(rows[:1])["mean_hd95_mm"] == 3.0
    rows[1] = row("p1", "ED", "wall", NAN)  # absent from both: nothing to measure
    assert figures(rows)["mean_hd95_mm"] == 3.0


def test_misses_and_false_alarms_are_counted():
    rows = [
        row("p0", "ED", "wall", 0.0, reference_voxels=9, result_voxels=0),
        row("p1", "ED", "wall", 0.0, reference_voxels=0, result_voxels=4),
        row("p2", "ED", "wall", NAN, reference_voxels=0, result_voxels=0),
        row("p3", "ED", "wall", 1.0, reference_voxels=5, result_voxels=5),
    ]
    found = figures(rows)
    assert (found["missed"], found["false_alarms"], found["absent"]) == (1, 1, 1)
    assert found["mean_dice"] == pytest.approx(1 / 3, abs=1e-4)


def photo(name, dice, reference, result):
    iou = dice / (2 - dice) if not math.isnan(dice) else NAN
    return StructureMetrics(
        name, name, "", "lesion", dice, iou=iou, reference_voxels=reference, result_voxels=result
    )


def test_photos_have_no_distances():
    rows = [photo("a", 0.8, 50, 40), photo("b", 0.4, 50, 40), photo("normal", NAN, 0, 0),
            photo("alarm", 0.0, 0, 3)]  # fmt: skip
    found = figures(rows)
    assert found["images"] == 4
    assert "volumes" not in found
    assert found["mean_dice"] == pytest.approx(0.4)
    assert found["mean_iou"] == pytest.approx((0.8 / 1.2 + 0.4 / 1.6) / 3, abs=1e-4)
    assert not any("mm" in key or key == "ventricles" for key in found)
    assert found["dice"]["lesion"] == {"all": 0.4}
    assert "normal image" in found["protocol"]


def test_a_report_warns_of_its_own_impossible_pair():
    """Our metrics cannot give such a table, but it may be edited by hand."""
    rows = [row("p0", "ED", "wall", 0.95, iou=0.85), row("p1", "ED", "wall", 0.93, iou=0.84)]
    summary = figures(rows) | {"model": "x", "split": "all", "fold": 0}
    assert len(summary["impossible_pairs"]) == 3  # overall, in the phase, in both phases
    assert "Warning: " in as_text(summary)


def test_table_is_read_back(tmp_path):
    rows = [row("p0", "ED", "wall", 0.1 + 0.2, hd95_mm=3.25, slices=4, reference_voxels=12),
            row("p1", "ES", "wall", NAN)]  # fmt: skip
    path = tmp_path / "rows.csv"
    write_metrics(rows, path)
    assert "nan" not in path.read_text()
    back = read_metrics(path)
    assert back[0].dice == rows[0].dice
    assert (back[0].hd95_mm, back[0].slices, back[0].reference_voxels) == (3.25, 4, 12)
    assert math.isnan(back[1].dice)
    assert [(r.case, r.patient, r.phase) for r in back] == [
        (r.case, r.patient, r.phase) for r in rows
    ]


def test_old_tables_are_read(repository):
    rows = read_metrics(repository / "docs" / "benchmarks" / "flomo-b0-acdc-stage1-fold0.csv")
    found = figures(rows)
    assert found["mean_dice"] == 0.8768
    assert found["interval_95"] == [0.854, 0.8973]
    assert found["mean_hd95_mm"] is None
    assert found["patients"] == 16
    assert all(r.in_reference for r in rows)


@pytest.mark.parametrize(
    "content", ["a,b\n1,2\n", "case,patient,phase,structure,dice\na,b,c,d,x\n"]
)
def test_other_tables_are_refused(tmp_path, content):
    path = tmp_path / "rows.csv"
    path.write_text(content)
    with pytest.raises(FlomoError, match="is not a table of flomo evaluate"):
        read_metrics(path)


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(FlomoError, match=r"gone\.csv cannot be read"):
        read_metrics(tmp_path / "gone.csv")
