"""Whatever goes wrong in a store is found, and the rest of it goes on working."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_flomo.corrections import Correction, CorrectionStore, Record
from napari_flomo.corrections.store.history import HistoryEntry
from napari_flomo.errors import FlomoError
from napari_flomo.volumes import read, write

Make = Callable[..., Correction]


@pytest.fixture
def two(store: CorrectionStore, make_correction: Make) -> tuple[Record, Record]:
    """Two corrections of different images."""
    first, second = (store.add(make_correction(seed=seed)) for seed in (0, 1))
    return store.record(first), store.record(second)


def kinds(store: CorrectionStore) -> list[str]:
    return [finding.kind for finding in store.verify()]


def flip(path: Path) -> None:
    """Change one bit in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


@pytest.mark.parametrize("which", ["image", "proposed", "corrected"])
@pytest.mark.parametrize("harm", ["flip", "delete"])
def test_harmed_voxels(
    store: CorrectionStore, two: tuple[Record, Record], which: str, harm: str
) -> None:
    file = two[0].image.copy if which == "image" else getattr(two[0], which)
    path = store.folder / file.file
    flip(path) if harm == "flip" else path.unlink()
    (finding,) = store.verify()
    assert finding.kind == ("changed file" if harm == "flip" else "missing file")
    assert (finding.file, finding.id) == (file.file, two[0].id)
    with pytest.raises(FlomoError, match="backup"):
        store.read(two[0].id)
    assert store.read(two[1].id).state == "accepted"


@pytest.mark.parametrize("harm", ["flip", "truncate", "rewrite", "path"])
def test_damaged_record_is_skipped_with_a_report(
    store: CorrectionStore, two: tuple[Record, Record], make_correction: Make, harm: str
) -> None:
    path = store.folder / "corrections" / two[0].id / "revision-0001.json"
    text = path.read_text()
    if harm == "flip":
        flip(path)
    elif harm == "truncate":
        path.write_text(text[:100])
    elif harm == "rewrite":  # valid, but not what was written
        path.write_text(text.replace('"accepted"', '"rejected"'))
    else:
        path.write_text(text.replace("corrections/", "../../corrections/"))
    (finding,) = store.verify()
    assert (finding.kind, finding.id) == ("damaged record", two[0].id)
    told: list[str] = []
    listed = [record.id for record in store.records(told.append)]
    assert two[1].id in listed
    if harm in {"truncate", "path"}:
        assert listed == [two[1].id]
        assert two[0].id in told[0]
        with pytest.warns(UserWarning, match="was skipped"):
            store.records()
    # The next revision heals what people see; the harmed one is still reported.
    assert store.add(replace(make_correction(), state="draft")) == two[0].id
    assert store.read(two[0].id).state == "draft"
    assert kinds(store) == ["damaged record"]


def test_lost_record(store: CorrectionStore, two: tuple[Record, Record]) -> None:
    shutil.rmtree(store.folder / "corrections" / two[0].id)
    assert kinds(store) == ["missing file"]
    assert len(store.records()) == 1


def test_record_without_history(store: CorrectionStore, two: tuple[Record, Record]) -> None:
    folder = store.folder / "corrections"
    copy = folder / ("f" * 16)
    shutil.copytree(folder / two[0].id, copy)
    assert kinds(store) == ["stranger", "damaged record"]


def forge(store: CorrectionStore, record: Record, labels: np.ndarray, shift: float = 0.0) -> None:
    """Put other labels into a store, with all hashes and the history as if they were right."""
    path = store.folder / record.corrected.file
    volume = read(path)
    x, y, z = volume.geometry.origin
    geometry = replace(volume.geometry, origin=(x + shift, y, z))
    write(replace(volume, data=labels, geometry=geometry, extra={}), path)
    file = replace(record.corrected, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    record_path = store.folder / "corrections" / record.id / f"revision-{record.revision:04}.json"
    record_path.write_text(replace(record, corrected=file).to_text())
    lines = []
    for entry in store.history():
        about = dict(entry.about)
        if entry.event == "added" and about["id"] == record.id:
            about["record_sha256"] = hashlib.sha256(record_path.read_bytes()).hexdigest()
        lines.append(HistoryEntry(entry.sequence, entry.event, about).to_line())
    (store.folder / "history.jsonl").write_bytes(b"".join(lines))


def test_foreign_labels(store: CorrectionStore, two: tuple[Record, Record]) -> None:
    good = read(store.folder / two[0].corrected.file).data
    forge(store, two[0], good)
    assert store.verify() == [], "the forgery itself is not what is found"
    forge(store, two[0], np.where(good == 3, 7, good))
    (finding,) = store.verify()
    assert finding.kind == "foreign labels"
    assert "code 7" in finding.sentence
    forge(store, store.record(two[0].id), good, shift=3.0)
    (finding,) = store.verify()
    assert "shifted by" in finding.sentence
    forge(store, store.record(two[0].id), good[:2])
    (finding,) = store.verify()
    assert "do not fit" in finding.sentence


def test_harmed_history(store: CorrectionStore, make_correction: Make) -> None:
    ids = [store.add(make_correction(seed=seed)) for seed in range(3)]
    path = store.folder / "history.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    for number, line in enumerate(lines):
        json.loads(line)
        assert b'"crc32"' in line
        path.write_bytes(
            b"".join([*lines[:number], line.replace(b'"', b"'", 1), *lines[number + 1 :]])
        )
        assert "damaged history" in kinds(store)
    path.write_bytes(b"".join([*lines[:3], lines[4], lines[3], *lines[5:]]))
    assert "damaged history" in kinds(store)
    path.unlink()
    assert set(kinds(store)) == {"damaged history", "stranger"}
    assert [record.id for record in store.records()] == ids
    new = store.add(make_correction(seed=9))
    assert [record.id for record in store.records()] == [*ids, new], "numbers go on"


def test_damaged_image_is_replaced_by_the_next_revision(
    store: CorrectionStore, two: tuple[Record, Record], make_correction: Make
) -> None:
    assert two[0].image.copy is not None
    flip(store.folder / two[0].image.copy.file)
    assert kinds(store) == ["changed file"]
    store.add(make_correction(state="draft"))
    assert store.verify() == []
