"""A store in the layout of long ago is read as it lies there, and written on."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from napari_flomo.corrections import CorrectionStore
from napari_flomo.errors import FlomoError

FROZEN = Path(__file__).with_name("frozen_v1")


@pytest.fixture
def old(tmp_path: Path) -> Path:
    shutil.copytree(FROZEN, tmp_path / "old")
    return tmp_path / "old"


def contents(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".lock"
    }


def test_reading_changes_nothing(old: Path) -> None:
    before = contents(old)
    assert json.loads((old / "store.json").read_text())["schema"] == 1
    store = CorrectionStore.open(old)
    (record,) = store.records()
    assert (record.seen, record.changed) == (((0, 0), (0, 1)), ((0, 1),))
    assert record.schema == 2
    assert store.copies_images
    correction = store.read(record.id)
    assert correction.state == "accepted"
    assert correction.changed == record.changed
    assert store.read(record.id, 1).state == "draft"
    assert store.verify() == []
    assert contents(old) == before


def test_writing_upgrades_the_store_and_keeps_old_records(old: Path) -> None:
    before = contents(old)
    store = CorrectionStore.open(old)
    (record,) = store.records()
    correction = store.read(record.id)
    assert store.add(replace(correction, state="rejected")) == record.id
    assert store.revisions(record.id) == [1, 2, 3]
    after = contents(old)
    assert [name for name in before if before[name] != after[name]] == [
        name for name in before if name in {"store.json", "history.jsonl", "README.txt"}
    ]
    assert json.loads((old / "store.json").read_text())["schema"] == 2
    assert [entry.event for entry in store.history()][-3:] == ["migrated", "begin", "added"]
    assert CorrectionStore.open(old).record(record.id).state == "rejected"
    assert store.verify() == []


def test_newer_record_is_not_misread(old: Path) -> None:
    store = CorrectionStore.open(old)
    (record,) = store.records()
    path = old / "corrections" / record.id / "revision-0002.json"
    path.write_text(path.read_text().replace('"schema": 1', '"schema": 3'))
    told: list[str] = []
    assert store.records(told.append) == []
    assert "newer layout 3" in told[0]
    with pytest.raises(FlomoError, match="update napari-flomo"):
        store.read(record.id)
