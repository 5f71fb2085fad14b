"""The manifest survives kills and damage; the results folder belongs to one run at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_flomo.cohorts import Order, Row, Study
from napari_flomo.cohorts.inputs import Input, read_input
from napari_flomo.cohorts.manifest import MANIFEST, CohortManifest, locked, peek, settle
from napari_flomo.cohorts.row import most_uncertain, plain_scores
from napari_flomo.errors import FlomoError

MODEL = {"name": "m", "card_sha256": "c", "weights_sha256": "w"}


@pytest.fixture
def order(tmp_path: Path) -> Order:
    """Two folders, the first with an image, the second with its labels."""
    root, out = tmp_path / "images", tmp_path / "out"
    (out / "studies" / "a.nii").mkdir(parents=True)
    (out / "studies" / "a.nii" / "labels.nii.gz").touch()
    root.mkdir()
    (root / "a.nii").write_bytes(b"voxels")
    return Order(root, out)


def done(order: Order, study: str = "a.nii", **changes: Any) -> Row:
    source = read_input(Study(study), order.root) if (order.root / study).exists() else None
    return Row(study, order.run, "done", source, order.outputs(study), **changes)


def test_a_row_comes_back_as_it_was() -> None:
    row = Row(
        "p/ä\udcff.nii",
        3,
        "done",
        Input("s", 1, 2, "t"),
        {"labels": "x"},
        [{"frame": 0, "code": 1, "name": "RV", "voxels": 5, "ml": None}],
        plain_scores(np.array([[1.2345678, np.nan]], np.float32)),
        most_uncertain(np.array([[1.0, 3.0], [np.nan, 2.0]], np.float32)),
        expected_voxels=[[17.5, None]],
        expected_dice=[[0.75, None]],
    )
    line = row.to_line()
    assert line.isascii()
    assert line.count(b"\n") == 1
    assert Row.from_line(line) == row
    assert row.slice_scores == [[1.2346, None]]
    assert row.most_uncertain == {"frame": 0, "slice": 1, "score": 3.0}
    assert most_uncertain(np.full((1, 2), np.nan, np.float32)) is None


def test_states(order: Order) -> None:
    study, other = Study("a.nii"), Study("b.nii")
    manifest = CohortManifest(order.out)
    assert manifest.state(study, order) == "new"
    manifest.add([done(order), Row("b.nii", 1, "failed", error="why")])
    for known in (manifest, CohortManifest(order.out)):
        assert known.state(study, order) == "done"
        assert known.state(other, order) == "failed"
        assert known.state(study, Order(order.root, order.out, run=2)) == "new"
        assert known.state(study, Order(order.root, order.out, uncertainty=True)) == "new"
    (order.root / "a.nii").write_bytes(b"other voxels")
    assert manifest.state(study, order) == "changed"
    assert Row.from_line(manifest.line("a.nii")) == Row.from_line(
        (order.out / MANIFEST).read_bytes().splitlines()[0]
    )
    (order.out / "studies" / "a.nii" / "labels.nii.gz").unlink()
    assert manifest.state(study, order) == "new"


def test_the_last_row_of_a_study_counts(order: Order) -> None:
    manifest = CohortManifest(order.out)
    manifest.add([Row("a.nii", 1, "failed", error="why"), Row("0.nii", 1, "failed")])
    manifest.add([done(order, attempts=2)])
    rows = list(CohortManifest(order.out).rows(1))
    assert [(row.study, row.state, row.attempts) for row in rows] == [
        ("0.nii", "failed", 1),
        ("a.nii", "done", 2),
    ]
    assert list(CohortManifest(order.out).rows(2)) == []


@pytest.mark.parametrize("cut", range(1, 40, 7))
def test_what_a_kill_tore_is_cut_off(order: Order, cut: int) -> None:
    manifest = CohortManifest(order.out)
    manifest.add([done(order)])
    whole = (order.out / MANIFEST).read_bytes()
    manifest.add([Row("b.nii", 1, "failed")])
    path = order.out / MANIFEST
    path.write_bytes(path.read_bytes()[:-cut])
    assert (
        CohortManifest(order.out).state(Study("b.nii"), order) == "new"
    )  # looking changes nothing
    assert path.stat().st_size > len(whole)
    manifest = CohortManifest.mended(order.out)
    assert path.read_bytes() == whole
    manifest.add([Row("c.nii", 1, "failed")])
    assert [row.study for row in CohortManifest(order.out).rows(1)] == ["a.nii", "c.nii"]
    assert [row.study for row in manifest.rows(1)] == ["a.nii", "c.nii"]


@pytest.mark.parametrize("damage", [b"\0" * 40 + b"\n", b"[1]\n", b"{}\n", b'{"study":1}\n'])
def test_a_damaged_line_costs_one_study(order: Order, damage: bytes) -> None:
    manifest = CohortManifest(order.out)
    manifest.add([done(order)])
    with (order.out / MANIFEST).open("ab") as stream:
        stream.write(damage)
    manifest = CohortManifest.mended(order.out)
    manifest.add([Row("b.nii", 1, "failed")])
    assert [row.study for row in CohortManifest(order.out).rows(1)] == ["a.nii", "b.nii"]
    assert manifest.state(Study("a.nii"), order) == "done"


def test_settings_hold_for_the_folder(order: Order) -> None:
    assert settle(order, MODEL, again=False).run == 1
    assert settle(order, MODEL, again=False).run == 1
    for other, sentence in [
        ({**MODEL, "name": "n"}, "begun with the model m, not n"),
        ({**MODEL, "card_sha256": "d"}, "another version of the model m"),
    ]:
        with pytest.raises(FlomoError, match=sentence):
            settle(order, other, again=False)
    wider = Order(order.root, order.out, uncertainty=True)
    with pytest.raises(FlomoError, match="labels, not labels and uncertainty"):
        settle(wider, MODEL, again=False)
    with pytest.raises(FlomoError, match=r"in \.nii\.gz, not \.nrrd"):
        settle(Order(order.root, order.out, suffix=".nrrd"), MODEL, again=False)
    with pytest.raises(FlomoError, match="begun with plain views; ask for the same"):
        settle(Order(order.root, order.out, mirrored=True), MODEL, again=False)
    assert settle(wider, {**MODEL, "name": "n"}, again=True).run == 2
    assert settle(wider, {**MODEL, "name": "n"}, again=False).run == 2
    assert peek(order).run == 2


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"schema": 1, "run": "1"}'])
def test_damaged_settings(order: Order, content: str) -> None:
    (order.out / "flomo-cohort.json").write_text(content)
    with pytest.raises(FlomoError, match="damaged; choose another folder"):
        settle(order, MODEL, again=False)


def test_settings_of_a_newer_version(order: Order) -> None:
    (order.out / "flomo-cohort.json").write_text('{"schema": 2}')
    with pytest.raises(FlomoError, match="newer napari-flomo"):
        settle(order, MODEL, again=True)


def test_one_program_at_a_time(order: Order) -> None:
    with locked(order.out), pytest.raises(FlomoError, match="Another program"), locked(order.out):
        pass
    with locked(order.out):
        pass
