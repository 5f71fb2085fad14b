"""The studies of a folder: states, other windows, changed and removed files, read-only folders."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_flomo.errors import FlomoError
from napari_flomo.paths import data_folder
from napari_flomo.session.worklist import StudyState, WorkList, label_files
from napari_flomo.session.worklist.records import Position, StudyRecord
from napari_flomo.volumes import Volume, write


@pytest.fixture
def folder(tmp_path: Path, make_heart: Callable[..., Volume]) -> Path:
    """Three studies."""
    root = tmp_path / "Doe_Jane"
    root.mkdir()
    for name in ("a.nii.gz", "b.nii.gz", "c.nrrd"):
        write(make_heart(slices=2), root / name)
    return root


def states(worklist: WorkList) -> dict[str, str]:
    return {one.study.id: str(one.state) for one in worklist.refresh()}


def accepted(**changes: Any) -> StudyRecord:
    return StudyRecord(state="accepted", accepted=2, slices=2, **changes)


def test_states_are_those_of_records_and_label_files(folder: Path) -> None:
    worklist = WorkList(folder)
    (folder / "a_seg.nii.gz").write_bytes(b"labels")
    worklist.records.write("c.nrrd", accepted())
    assert states(worklist) == {"a.nii.gz": "segmented", "b.nii.gz": "new", "c.nrrd": "accepted"}
    assert worklist.progress == (1, 3)
    assert worklist.beside("a.nii.gz", 1, only_open=True) == "b.nii.gz"
    assert worklist.beside("b.nii.gz", 1, only_open=True) is None
    assert worklist.beside("b.nii.gz", 1, only_open=False) == "c.nrrd"
    assert worklist.beside("b.nii.gz", -1, only_open=True) == "a.nii.gz"
    worklist.records.position = Position(study=worklist.records.key("b.nii.gz"))
    assert WorkList(folder).records.position.study
    assert worklist.remembered() == "b.nii.gz"


def test_two_windows_lose_no_state(folder: Path) -> None:
    mine, other = WorkList(folder).records, WorkList(folder).records
    before = mine.write("a.nii.gz", StudyRecord(state="segmented", slices=2))
    other.write("b.nii.gz", accepted())
    done = other.write("a.nii.gz", accepted(revision=before.revision))
    late = mine.write("a.nii.gz", StudyRecord(revision=before.revision, state="segmented"))
    assert (late.state, late.accepted) == ("accepted", 2)
    again = mine.write("a.nii.gz", StudyRecord(revision=late.revision, state="in review"))
    assert (done.revision, again.state) == (2, "in review")  # reopened here, knowing of the other
    assert states(WorkList(folder))["b.nii.gz"] == "accepted"


def test_changed_and_removed_files(folder: Path, make_heart: Callable[..., Volume]) -> None:
    worklist = WorkList(folder)
    first = worklist.refresh()[0]
    stamp = label_files.file_sha256(folder / "a.nii.gz")[:16]
    worklist.records.write("a.nii.gz", accepted(stamp=stamp))  # no longer that of the files
    worklist.records.write("b.nii.gz", accepted())
    (folder / "b.nii.gz").unlink()
    one, two, _three = worklist.refresh()
    assert first.study == one.study
    assert (one.changed, one.missing) == (True, False)
    assert (two.study.id, two.missing, two.state) == ("b.nii.gz", True, StudyState.NEW)
    later = WorkList(folder)
    assert len(later.refresh()) == 2
    assert later.gone == 1


def test_what_is_stored_names_nobody(folder: Path) -> None:
    worklist = WorkList(folder)
    worklist.records.write("a.nii.gz", accepted(image="0" * 64))
    worklist.records.position = Position(study=worklist.records.key("a.nii.gz"))
    files = [path for path in (data_folder() / "worklists").rglob("*") if path.is_file()]
    assert len(files) == 3
    for path in files:
        for text in (str(path.relative_to(data_folder())), path.read_text()):
            assert not any(word in text for word in ("Doe", "Jane", "a.nii"))


@pytest.mark.parametrize("damage", ["{", '{"schema": 1, "state": "odd"}', "[]"])
def test_a_damaged_record_is_a_new_study(folder: Path, damage: str) -> None:
    worklist = WorkList(folder)
    worklist.records.write("a.nii.gz", accepted())
    next(worklist.records.folder.glob("*.json")).write_text(damage)
    assert states(worklist)["a.nii.gz"] == "new"


def test_where_labels_are_saved(folder: Path) -> None:
    worklist = WorkList(folder)
    study = worklist.refresh()[0].study
    own = label_files.where_to_save(folder, study, worklist.records, "")
    assert own == folder / "a_labels.nii.gz"
    own.write_bytes(b"of somebody else")
    second = label_files.where_to_save(folder, study, worklist.records, "")
    assert second == folder / "a_2_labels.nii.gz"
    sha256 = label_files.file_sha256(own)
    assert label_files.where_to_save(folder, study, worklist.records, sha256) == own
    assert label_files.saved(folder, study, worklist.records, sha256) == own
    assert [one.study.id for one in worklist.refresh()] == ["a.nii.gz", "b.nii.gz", "c.nrrd"]


def test_a_folder_that_cannot_be_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    worklist = WorkList(folder)
    study = worklist.refresh()[0].study
    check = label_files.check_writable

    def refuse(path: Path) -> None:  # this user may write everywhere
        if folder in path.parents:
            raise FlomoError("read-only")
        check(path)

    monkeypatch.setattr(label_files, "check_writable", refuse)
    path = label_files.where_to_save(folder, study, worklist.records, "")
    assert path.parent == worklist.records.folder
    path.write_bytes(b"labels")
    sha256 = label_files.file_sha256(path)
    assert label_files.saved(folder, study, worklist.records, sha256) == path


def test_files_of_one_name_have_labels_of_their_own(folder: Path, make_heart: Any) -> None:
    write(make_heart(slices=2), folder / "a.nrrd")
    worklist = WorkList(folder)
    names = {
        label_files.where_to_save(folder, one.study, worklist.records, "").name
        for one in worklist.refresh()
    }
    assert len(names) == 4
    assert np.all([name.endswith("_labels.nii.gz") for name in names])


def test_the_command(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from napari_flomo.cli import main

    WorkList(folder).records.write("b.nii.gz", accepted())
    assert main(["worklist", str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["accepted", "2", "of", "2", "b.nii.gz"]
    assert lines[-1] == "1 of 3 accepted"
    assert main(["worklist", str(folder), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["state"] for one in found["studies"]] == ["new", "accepted", "new"]
    assert main(["worklist", str(folder / "nowhere")]) == 2
