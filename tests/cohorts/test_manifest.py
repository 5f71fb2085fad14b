"""The manifest survives kills and damage; one program uses a results folder at a time."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_flomo.cohorts import CohortConfig, Study, StudyResult
from napari_flomo.cohorts.inputs import Input, read_input
from napari_flomo.cohorts.manifest import (
    MANIFEST,
    CohortManifest,
    at_current_run,
    begin_run,
    folder_lock,
)
from napari_flomo.cohorts.study_result import most_uncertain, plain_scores
from napari_flomo.errors import FlomoError

MODEL = {"name": "m", "card_sha256": "c", "weights_sha256": "w"}


@pytest.fixture
def config(tmp_path: Path) -> CohortConfig:
    """Two folders, the first with an image, the second with its labels."""
    root, out = tmp_path / "images", tmp_path / "out"
    (out / "studies" / "a.nii").mkdir(parents=True)
    (out / "studies" / "a.nii" / "labels.nii.gz").touch()
    root.mkdir()
    (root / "a.nii").write_bytes(b"voxels")
    return CohortConfig(root, out)


def done(config: CohortConfig, study: str = "a.nii", **changes: Any) -> StudyResult:
    source = read_input(Study(study), config.root) if (config.root / study).exists() else None
    return StudyResult(study, config.run, "done", source, config.outputs(study), **changes)


def test_round_trip() -> None:
    result = StudyResult(
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
    line = result.to_line()
    assert line.isascii()
    assert line.count(b"\n") == 1
    assert StudyResult.from_line(line) == result
    assert result.slice_scores == [[1.2346, None]]
    assert result.most_uncertain == {"frame": 0, "slice": 1, "score": 3.0}
    assert most_uncertain(np.full((1, 2), np.nan, np.float32)) is None


def test_states(config: CohortConfig) -> None:
    study, other = Study("a.nii"), Study("b.nii")
    manifest = CohortManifest(config.out)
    assert manifest.state(study, config) == "new"
    manifest.add([done(config), StudyResult("b.nii", 1, "failed", error="why")])
    for known in (manifest, CohortManifest(config.out)):
        assert known.state(study, config) == "done"
        assert known.state(other, config) == "failed"
        assert known.state(study, replace(config, run=2)) == "new"
        assert known.state(study, replace(config, uncertainty=True)) == "new"
    (config.root / "a.nii").write_bytes(b"other voxels")
    assert manifest.state(study, config) == "changed"
    assert StudyResult.from_line(manifest.line("a.nii")) == StudyResult.from_line(
        (config.out / MANIFEST).read_bytes().splitlines()[0]
    )
    (config.out / "studies" / "a.nii" / "labels.nii.gz").unlink()
    assert manifest.state(study, config) == "new"


def test_last_line_of_a_study_counts(config: CohortConfig) -> None:
    manifest = CohortManifest(config.out)
    manifest.add([StudyResult(name, 1, "failed", error="why") for name in ("a.nii", "0.nii")])
    manifest.add([done(config, attempts=2)])
    results = list(CohortManifest(config.out).results(1))
    known = [(result.study, result.state, result.attempts) for result in results]
    assert known == [("0.nii", "failed", 1), ("a.nii", "done", 2)]
    assert list(CohortManifest(config.out).results(2)) == []


@pytest.mark.parametrize("cut", range(1, 40, 7))
def test_incomplete_line_is_truncated(config: CohortConfig, cut: int) -> None:
    manifest = CohortManifest(config.out)
    manifest.add([done(config)])
    whole = (config.out / MANIFEST).read_bytes()
    manifest.add([StudyResult("b.nii", 1, "failed")])
    path = config.out / MANIFEST
    path.write_bytes(path.read_bytes()[:-cut])
    assert CohortManifest(config.out).state(Study("b.nii"), config) == "new"
    assert path.stat().st_size > len(whole)  # looking changes nothing
    manifest = CohortManifest.open_for_append(config.out)
    assert path.read_bytes() == whole
    manifest.add([StudyResult("c.nii", 1, "failed")])
    assert [result.study for result in CohortManifest(config.out).results(1)] == ["a.nii", "c.nii"]
    assert [result.study for result in manifest.results(1)] == ["a.nii", "c.nii"]


@pytest.mark.parametrize("damage", [b"\0" * 40 + b"\n", b"[1]\n", b"{}\n", b'{"study":1}\n'])
def test_damaged_line(config: CohortConfig, damage: bytes) -> None:
    manifest = CohortManifest(config.out)
    manifest.add([done(config)])
    with (config.out / MANIFEST).open("ab") as stream:
        stream.write(damage)
    manifest = CohortManifest.open_for_append(config.out)
    manifest.add([StudyResult("b.nii", 1, "failed")])
    assert [result.study for result in CohortManifest(config.out).results(1)] == ["a.nii", "b.nii"]
    assert manifest.state(Study("a.nii"), config) == "done"


def test_settings(config: CohortConfig) -> None:
    assert begin_run(config, MODEL, again=False).run == 1
    assert begin_run(config, MODEL, again=False).run == 1
    wider = replace(config, uncertainty=True)
    for other, model, sentence in [
        (config, {**MODEL, "name": "n"}, "begun with the model m, not n"),
        (config, {**MODEL, "card_sha256": "d"}, "another version of the model m"),
        (wider, MODEL, "labels, not labels and uncertainty"),
        (replace(config, suffix=".nrrd"), MODEL, r"in \.nii\.gz, not \.nrrd"),
        (replace(config, mirrored=True), MODEL, "begun with plain views; ask for the same"),
    ]:
        with pytest.raises(FlomoError, match=sentence):
            begin_run(other, model, again=False)
    assert begin_run(wider, {**MODEL, "name": "n"}, again=True).run == 2
    assert begin_run(wider, {**MODEL, "name": "n"}, again=False).run == 2
    assert at_current_run(config).run == 2


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        *((text, "damaged; choose another folder") for text in ("", "[]", "{}", '{"schema": 1}')),
        ('{"schema": 2}', "newer napari-flomo"),
    ],
)
def test_invalid_settings_file(config: CohortConfig, content: str, sentence: str) -> None:
    (config.out / "flomo-cohort.json").write_text(content)
    with pytest.raises(FlomoError, match=sentence):
        begin_run(config, MODEL, again=False)


def test_one_program_at_a_time(config: CohortConfig) -> None:
    busy = pytest.raises(FlomoError, match="Another program")
    with folder_lock(config.out), busy, folder_lock(config.out):
        pass
    with folder_lock(config.out):
        pass


def test_reads_a_line_of_an_older_version() -> None:
    most = {"frame": 0, "slice": 1, "score": 2.0}
    line = json.dumps({"study": "a", "run": 1, "state": "done", "most_doubtful": most})
    found = StudyResult.from_line(line.encode())
    assert found is not None
    assert found.most_uncertain == most
