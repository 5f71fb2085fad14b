"""What was painted is there again: after closing, crashes, full disks and kill -9."""

from __future__ import annotations

import errno
import json
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_flomo.corrections import (
    Journal,
    Stroke,
    discard,
    identity,
    journal_files,
    journals_folder,
    replay,
    unfinished,
)
from napari_flomo.corrections import journal as journal_module
from napari_flomo.errors import FlomoError
from napari_flomo.volumes import Geometry, Volume, read, write

Paint = Callable[..., Stroke]
DOT = Stroke.of("stroke", indices=[0], old=0, new=1, time=0)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_replay_restores_all_strokes(
    journal: Journal, image: Volume, labels: Volume, paint: Paint
) -> None:
    painted, generator = labels.data.copy(), np.random.default_rng(0)
    for _ in range(40):
        assert journal.record(paint(painted, generator)) is None
    journal.record(Stroke("accept", time=3.0, note={"frame": 1, "slice": 2}))
    journal.record(Stroke("lock", time=4.0, note={"code": 3, "locked": True}))
    journal.record(Stroke("accept", time=5.0, note={"frame": 0, "slice": 0}))
    back_in_time = Stroke("accept", time=1.0, note={"frame": 0, "slice": 0, "accepted": False})
    journal.record(back_in_time)
    journal.close()

    back = replay(journal.folder)
    assert np.array_equal(back.labels.data, painted)
    assert np.array_equal(back.proposed.data, labels.data)
    assert np.array_equal(back.image.data, image.data)
    assert back.labels.geometry.same_space(image.geometry)
    assert back.labels.axes == labels.axes
    assert (back.strokes, back.accepted, back.locked) == (40, {(1, 2)}, {3})
    assert back.image_hash == identity(image)
    assert back.lost is None


def test_locked_and_accepted_before_the_first_stroke(
    tmp_path: Path, image: Volume, labels: Volume
) -> None:
    options = {"locked": [3], "accepted": [(0, 1), (1, 2)]}
    journal = Journal.create(image, labels, parent=tmp_path, **options)
    journal.record(Stroke("accept", time=1.0, note={"frame": 0, "slice": 1, "accepted": False}))
    journal.close()
    back = replay(journal.folder)
    assert (back.locked, back.accepted, back.strokes) == ({3}, {(1, 2)}, 0)


def test_undo_is_one_more_record(journal: Journal, labels: Volume, paint: Paint) -> None:
    painted = labels.data.copy()
    stroke = paint(painted, np.random.default_rng(1))
    journal.record(stroke)
    undo = Stroke.of("undo", indices=stroke.indices, old=stroke.new, new=stroke.old, time=1.0)
    journal.record(undo)
    journal.close()
    assert np.array_equal(replay(journal.folder).labels.data, labels.data)
    assert replay(journal.folder).strokes == 2


def test_no_name_and_no_path_is_kept(tmp_path: Path, image: Volume, labels: Volume) -> None:
    named = replace(image, source="Doe^Jane")
    with Journal.create(named, replace(labels, source="Doe^Jane"), parent=tmp_path) as journal:
        for path in journal.folder.iterdir():
            assert b"Doe" not in path.read_bytes()
            assert bytes(tmp_path) not in path.read_bytes()
        if os.name != "nt":
            assert journal.folder.stat().st_mode & 0o077 == 0


def test_photos(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (1, 20, 30, 3), dtype=np.uint8)
    axes = ("slices", "rows", "columns", "channels")
    photo = Volume(pixels, Geometry.unknown(), axes, modality="photo")
    labels = photo.with_data(np.zeros((1, 20, 30), np.uint8))
    journal = Journal.create(photo, labels, parent=tmp_path)
    journal.record(Stroke.of("stroke", indices=[31], old=0, new=1, time=0))
    journal.close()
    back = replay(journal.folder)
    assert np.array_equal(back.image.data, pixels)
    assert back.labels.data[0, 1, 1] == 1


def test_codes_too_large_for_the_labels(journal: Journal) -> None:
    journal.record(Stroke.of("stroke", indices=[0], old=0, new=70_000, time=0))
    journal.close()
    assert replay(journal.folder).labels.data.ravel()[0] == 70_000


def test_continuing_after_a_truncated_end(journal: Journal, labels: Volume, paint: Paint) -> None:
    painted, generator = labels.data.copy(), np.random.default_rng(2)
    journal.record(paint(painted, generator))
    before = painted.copy()
    journal.record(paint(painted, generator))
    journal.close()
    strokes = journal.folder / "strokes-0.bin"
    strokes.write_bytes(strokes.read_bytes()[:-3])
    assert np.array_equal(replay(journal.folder).labels.data, before)
    assert "last stroke was damaged" in replay(journal.folder).lost

    with Journal.open(journal.folder) as again:
        assert "last stroke was damaged" in again.lost
        assert (journal.folder / "strokes-0.cut").stat().st_size > 0
        painted = before.copy()
        again.record(paint(painted, generator))
    back = replay(journal.folder)
    assert np.array_equal(back.labels.data, painted)
    assert (back.strokes, back.lost) == (2, None)


@pytest.mark.parametrize("content", [b"", b"FLO", b"another thing altogether"])
def test_invalid_stroke_files(journal: Journal, labels: Volume, content: bytes) -> None:
    journal.record(DOT)
    journal.close()
    (journal.folder / "strokes-0.bin").write_bytes(content)
    assert np.array_equal(replay(journal.folder).labels.data, labels.data)
    with Journal.open(journal.folder) as again:
        again.record(Stroke.of("stroke", indices=[0], old=0, new=2, time=0))
    assert replay(journal.folder).labels.data.ravel()[0] == 2


def test_a_stroke_beyond_the_image_ends_the_replay(journal: Journal, labels: Volume) -> None:
    journal.record(Stroke.of("stroke", indices=[1], old=0, new=2, time=0))
    journal.record(Stroke.of("stroke", indices=[labels.data.size], old=0, new=2, time=0))
    journal.close()
    back = replay(journal.folder)
    assert back.labels.data.ravel()[1] == 2
    assert "does not fit the image" in back.lost


def test_compaction(
    tmp_path: Path, image: Volume, labels: Volume, paint: Paint, monkeypatch: pytest.MonkeyPatch
) -> None:
    painted, generator = labels.data.copy(), np.random.default_rng(3)
    journal = Journal.create(image, labels, parent=tmp_path, compact_bytes=2000)
    journal.record(Stroke("lock", time=1.0, note={"code": 2}))
    journal.record(Stroke("accept", time=1.0, note={"frame": 0, "slice": 1}))
    for _ in range(100):
        journal.record(paint(painted, generator))
    journal.close()
    assert "labels-0.nrrd" in names(journal.folder)  # labels of the network
    assert len(names(journal.folder)) == 6
    assert "strokes-0.bin" not in names(journal.folder)
    back = replay(journal.folder)
    assert np.array_equal(back.labels.data, painted)
    assert np.array_equal(back.proposed.data, labels.data)
    assert (back.strokes, back.accepted, back.locked) == (100, {(0, 1)}, {2})

    again = Journal.open(journal.folder)
    monkeypatch.setattr(journal_module, "atomic_write_all", full_disk)
    before = names(journal.folder)
    with pytest.raises(FlomoError, match="full"):
        again.compact()
    assert names(journal.folder) == before
    again.record(paint(painted, generator))
    again.close()
    assert np.array_equal(replay(journal.folder).labels.data, painted)


@contextmanager
def full_disk(*_: object) -> Iterator[None]:
    raise FlomoError("The disk is full.")
    yield


@pytest.mark.parametrize(
    ("number", "sentence"), [(errno.ENOSPC, "The disk is full"), (errno.EIO, "cannot be written")]
)
def test_painting_continues_while_the_disk_fails(
    journal: Journal, labels: Volume, paint: Paint, monkeypatch: Any, *, number: int, sentence: str
) -> None:
    painted, generator = labels.data.copy(), np.random.default_rng(4)
    journal.record(paint(painted, generator))
    on_disk = painted.copy()

    def fail(_: int) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(journal_module.os, "fsync", fail)
        for _ in range(3):
            assert sentence in journal.record(paint(painted, generator))
        assert journal.problem is not None
        assert np.array_equal(replay(journal.folder).labels.data, on_disk)
        assert replay(journal.folder).lost is None  # nothing half-written is left
    assert journal.record(paint(painted, generator)) is None
    journal.close()
    assert np.array_equal(replay(journal.folder).labels.data, painted)
    assert replay(journal.folder).strokes == 5


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_device(journal: Journal) -> None:
    journal._close_strokes()
    journal._file = open("/dev/full", "r+b", buffering=0)  # noqa: SIM115, PTH123
    problem = journal.record(DOT)
    assert problem.startswith("The disk is full")
    journal.close()


def test_a_journal_that_was_deleted_while_open(journal: Journal) -> None:
    (journal.folder / "strokes-0.bin").unlink()
    if os.name != "nt":
        assert "deleted" in journal.record(DOT)


def test_nowhere_to_write(
    tmp_path: Path, image: Volume, labels: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FlomoError, match="No journal can be kept"):
        Journal.create(image, labels, parent=tmp_path / "file")

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(FlomoError, match="full"):
        Journal.create(image, labels, parent=tmp_path / "journals")
    assert names(tmp_path / "journals") == []


def test_unfinished_journals_are_listed_and_open_ones_are_not(
    tmp_path: Path, journal: Journal, image: Volume, labels: Volume
) -> None:
    journal.record(Stroke.of("stroke", indices=[0, 1], old=0, new=1, time=time.time() + 100))
    assert unfinished(tmp_path) == []  # open
    with pytest.raises(FlomoError, match="open in another window"):
        Journal.open(journal.folder)
    with pytest.raises(FlomoError, match="open in another window"):
        discard(journal.folder)
    journal.close()

    untouched = Journal.create(image, labels, parent=tmp_path)
    untouched._lock.release()  # as a crash would
    locked_only = Journal.create(image, labels, parent=tmp_path)
    locked_only.record(Stroke("lock", time=1.0, note={"code": 1}))
    locked_only.close()
    found = unfinished(tmp_path)
    assert [leftover.folder for leftover in found] == [journal.folder, locked_only.folder]
    assert (found[0].strokes, found[0].model) == (1, "toy")
    assert found[0].image_hash == identity(image)
    assert not untouched.folder.exists()  # without changes

    Journal.open(journal.folder).finish()
    discard(locked_only.folder)
    assert unfinished(tmp_path) == []
    assert names(tmp_path) == []


def test_opened_while_another_program_searches(tmp_path: Path, journal: Journal) -> None:
    journal.record(DOT)
    journal.close()
    looking = journal_files.lock_journal(journal.folder)  # as `unfinished` does, for a moment
    threading.Timer(0.2, looking.release).start()
    with Journal.open(journal.folder) as again:
        assert again.strokes == 1


def test_closing_without_changes_removes_the_journal(tmp_path: Path, journal: Journal) -> None:
    journal.close()
    journal.close()
    assert names(tmp_path) == []


def test_damaged_and_incomplete_folders(tmp_path: Path, journal: Journal) -> None:
    journal.record(DOT)
    journal.close()
    half = tmp_path / "half"
    half.mkdir()
    (half / "lock").touch()
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("mine")
    assert len(unfinished(tmp_path)) == 1
    assert half.exists()  # it may be in progress
    for folder in (half, foreign):
        os.utime(folder, (0, 0))
    assert len(unfinished(tmp_path)) == 1
    assert not half.exists()
    assert (foreign / "thesis.txt").exists()

    about = journal.folder / "journal.json"
    content = json.loads(about.read_text())
    about.write_text(json.dumps(content | {"schema": 2}))
    with pytest.raises(FlomoError, match="newer napari-flomo"):
        replay(journal.folder)
    about.write_text("{")
    with pytest.raises(FlomoError, match="damaged"):
        replay(journal.folder)
    assert unfinished(tmp_path) == []
    with pytest.raises(FlomoError, match="holds no journal"):
        replay(foreign)


PAINTER = """
import sys
from pathlib import Path
import numpy as np
from napari_flomo.corrections import Journal, Stroke
journal = Journal.open(Path(sys.argv[1]), compact_bytes=3000)
number = journal.strokes
while True:
    number += 1  # every stroke paints its number over all voxels of one row
    journal.record(Stroke.of("stroke", indices=range(24), old=0, new=number % 250, time=number))
    sys.stdout.write(f"{number}\\n")
    sys.stdout.flush()
"""


@pytest.mark.skipif(os.name == "nt", reason="POSIX kill")
def test_kill_9_at_random_moments_costs_one_stroke_at_most(
    journal: Journal, start_python: Callable[..., Any]
) -> None:
    """The same journal goes through many crashes, some of them during compaction."""
    journal.record(DOT)
    journal.close()
    moment = random.Random(0)
    for _ in range(12):
        painter = start_python("-c", PAINTER, journal.folder)
        first = int(painter.stdout.readline())
        time.sleep(moment.uniform(0, 0.08))
        painter.kill()
        told = [first, *map(int, painter.communicate()[0].split("\n")[:-1])]
        back = replay(journal.folder)
        assert told[-1] <= back.strokes <= told[-1] + 1
        assert (back.labels.data.ravel()[:24] == back.strokes % 250).all()
        (leftover,) = unfinished(journal.folder.parent)  # its lock went with it
        assert leftover.strokes == back.strokes
    assert any(name != "strokes-0.bin" for name in names(journal.folder) if "strokes" in name)


def test_journals_are_in_the_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLOMO_HOME", raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert journals_folder() == tmp_path / "napari-flomo" / "journals"
    monkeypatch.setenv("FLOMO_HOME", str(tmp_path / "here"))
    assert journals_folder() == tmp_path / "here" / "journals"


def test_identity(tmp_path: Path, image: Volume) -> None:
    same = identity(image)
    assert identity(replace(image, source="other", modality=None)) == same
    assert identity(image.with_data(image.data.astype(">i2"))) == same
    for name in ("a.nii.gz", "b.nrrd"):
        write(image, tmp_path / name)
        assert identity(read(tmp_path / name)) == same
    changed = image.data.copy()
    changed[1, 2, 3, 4] += 1
    moved = Geometry(image.geometry.spacing, (0.0, 0.0, 0.0), image.geometry.direction)
    others = {identity(image.with_data(changed)), identity(replace(image, geometry=moved))}
    assert len({same, *others}) == 3
