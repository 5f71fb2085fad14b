"""Killed at any moment, on a full disk, on a share that cannot be written: nothing is lost.

One child process is started; it makes a child of its own for each crash, which is quick, and the
test kills that one.
"""

from __future__ import annotations

import contextlib
import errno
import os
import random
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from napari_flomo import files
from napari_flomo.corrections import Correction, CorrectionStore
from napari_flomo.errors import FlomoError

Make = Callable[..., Correction]

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

# Commands: "write FIRST COUNT" adds corrections and says the number of each when it is safe;
# "die AT" adds one and ends at the AT-th step on the disk, "remove AT" does so while deleting.
CHILD = """
import os, signal, sys
import numpy as np
from napari_flomo.corrections import Correction, CorrectionStore
from napari_flomo.volumes import Geometry, Volume

def correction(number):
    image = Volume(np.full((2, 8, 9), number, np.int16), Geometry((1, 1, 8)))
    labels = np.zeros((2, 8, 9), np.uint8)
    proposed = image.with_data(labels.copy())
    labels[1, 2:5, 3:6] = 1
    return Correction(image, image.with_data(labels), {1: "LV"}, proposed, seen=[(0, 1)])

steps = 0
def counted(function, die_at):
    def call(*arguments, **options):
        global steps
        steps += 1
        if steps == die_at:
            os._exit(9)
        return function(*arguments, **options)
    return call

def run(command, *numbers):
    store = CorrectionStore.open(sys.argv[1], create=True)
    numbers = [int(number) for number in numbers]
    if command == "write":
        for number in range(numbers[0], numbers[0] + numbers[1]):
            store.add(correction(number))
            os.write(1, b"safe %d\\n" % number)
        return
    for name in ("fsync", "replace", "unlink", "mkdir", "open", "rmdir", "ftruncate"):
        setattr(os, name, counted(getattr(os, name), numbers[1]))
    if command == "die":
        store.add(correction(numbers[0]))
    else:
        store.remove(store.records()[numbers[0]].id)
    os.write(1, b"safe %d\\n" % numbers[0])

CorrectionStore.open(sys.argv[1], create=True).add(correction(0))
print("ready", flush=True)
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        try:
            run(*line.split())
        finally:
            os._exit(1)
    os.write(1, b"pid %d\\n" % child)
    _, status = os.waitpid(child, 0)
    os.write(1, b"end %d\\n" % status)
"""


class Writer:
    """The child process, and what it said."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.rest = b""
        self.until("ready")

    def order(self, command: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{command}\n".encode())
        self.process.stdin.flush()

    def line(self, seconds: float) -> str | None:
        assert self.process.stdout is not None
        deadline = time.monotonic() + seconds
        while b"\n" not in self.rest:
            left = max(deadline - time.monotonic(), 0)
            if not select.select([self.process.stdout], [], [], left)[0]:
                return None
            chunk = os.read(self.process.stdout.fileno(), 4096)
            assert chunk, "the child died"
            self.rest += chunk
        line, _, self.rest = self.rest.partition(b"\n")
        return line.decode()

    def until(self, word: str) -> list[str]:
        """Return the lines up to one that begins with a word."""
        lines = []
        while not lines or not lines[-1].startswith(word):
            line = self.line(60)
            assert line is not None, lines
            lines.append(line)
        return lines


@pytest.fixture
def quick(tmp_path: Path) -> Iterator[Path]:
    """A place for a store, in memory where there is some: a kill does not care."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else tmp_path) as folder:
        yield Path(folder) / "store"


@pytest.fixture
def writer(quick: Path, start_python: Callable[..., Any]) -> Writer:
    options = {"text": False, "stdin": subprocess.PIPE, "stderr": None}
    return Writer(start_python("-c", CHILD, quick, **options))


def numbers_in(store: CorrectionStore) -> list[int]:
    """Read every correction of the child and return the numbers in the images."""
    corrections = [store.read(record.id) for record in store.records()]
    assert all(correction.image is not None for correction in corrections)
    return [int(correction.image.data.flat[0]) for correction in corrections]  # type: ignore[union-attr]


@pytest.mark.slow
def test_killed_at_random_moments(quick: Path, writer: Writer) -> None:
    """200 writes; what was reported as safe is there, and at most the one in flight besides."""
    generator = random.Random(7)
    store = CorrectionStore.open(quick)
    written, kills, in_flight = 1, 0, 0
    while written < 200:
        writer.order(f"write {written} {200 - written}")
        pid = int(writer.until("pid")[-1].split()[1])
        safe, start = written - 1, time.monotonic()
        for _ in range(generator.randrange(1, 18)):
            line = writer.until("")[-1]
            if line.startswith("end"):
                break
            safe = int(line.split()[1])
        else:
            # Somewhere within the next write, as long as the last ones took.
            time.sleep(generator.random() * (time.monotonic() - start) / (safe - written + 1))
            with contextlib.suppress(ProcessLookupError):  # the last write of all may be over
                os.kill(pid, signal.SIGKILL)
                kills += 1
            rest = [line for line in writer.until("end") if line.startswith("safe")]
            safe = max([safe, *(int(line.split()[1]) for line in rest)])
        assert store.verify() == []
        found = len(store.records())
        assert safe + 1 <= found <= safe + 2
        in_flight += found == safe + 2 or store.history()[-1].event == "begin"
        written = found
    assert numbers_in(store) == list(range(200))
    assert kills >= 10
    assert in_flight >= 3, "the kills did not fall into writes"


@pytest.mark.parametrize("command", ["die", "remove"])
def test_killed_at_every_step(quick: Path, writer: Writer, command: str) -> None:
    """The process ends before each call that changes something on the disk, one after the other."""
    store = CorrectionStore.open(quick)
    outcomes = []
    before, fresh = numbers_in(store), 1
    for at in range(1, 200):
        if command == "remove" and len(before) < 2:
            writer.order(f"write {fresh} 2")
            writer.until("end")
            before, fresh = numbers_in(store), fresh + 2
        changed = [*before, max(before) + 1] if command == "die" else before[1:]
        writer.order(f"{command} {max(before) + 1 if command == 'die' else 0} {at}")
        finished = any(line.startswith("safe") for line in writer.until("end"))
        after = numbers_in(store)
        assert after == changed or (after == before and not finished)
        assert store.verify() == []
        outcomes.append((finished, after == changed))
        before = after
        if finished:
            break
    assert outcomes[-1] == (True, True)
    assert (False, False) in outcomes, "no crash before the change"
    assert (False, True) in outcomes, "no crash between the change and its end"
    # The next writer tidies up: only what the records name is left.
    writer.order("write 900 1")
    writer.until("end")
    files_named = {store.folder / file.file for record in store.records() for file in record.files}
    assert set(store.folder.rglob("*.nii.gz")) == files_named
    assert not list(store.folder.rglob(".flomo-*"))
    assert store.verify() == []


def fail_with(number: int) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


def test_full_disk_at_every_flush(
    store: CorrectionStore, make_correction: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever write fails, the sentence says so and the store is as it was."""
    store.add(make_correction())
    real, failing = os.fsync, 0
    for failing in range(1, 60):
        calls = 0

        def fsync(descriptor: int, failing: int = failing) -> None:
            nonlocal calls
            calls += 1
            if calls >= failing:  # it stays full
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            real(descriptor)

        with monkeypatch.context() as patch:
            patch.setattr(files.os, "fsync", fsync)
            try:
                store.add(make_correction(seed=1))
                break
            except FlomoError as error:
                assert "disk is full" in str(error)  # noqa: PT017
        assert len(store.records()) == 1
        assert store.verify() == []
    assert failing > 8
    assert len(store.records()) == 2
    assert store.verify() == []
    assert not list(store.folder.rglob(".flomo-*"))


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Mount something on a folder, as the options of each call of ``mount`` say, or skip."""
    folder = tmp_path / "mounted"
    folder.mkdir()

    def run(*calls: str) -> Path:
        if os.geteuid() != 0:
            pytest.skip("only root may mount")
        for options in calls:
            command = ["mount", *options.split(), str(folder)]
            if subprocess.run(command, capture_output=True, check=False).returncode:
                pytest.skip("nothing can be mounted here")
        return folder

    yield run
    subprocess.run(["umount", str(folder)], capture_output=True, check=False)


def test_really_full_disk(mount: Callable[..., Path], make_correction: Make) -> None:
    disk = mount("-t tmpfs -o size=300k tmpfs")
    store = CorrectionStore.open(disk / "store", create=True)
    ids: list[str] = []

    def fill() -> None:
        for number in range(200):
            ids.append(store.add(make_correction(seed=number)))  # noqa: PERF401

    with pytest.raises(FlomoError, match="disk is full"):
        fill()
    assert len(ids) > 3
    assert [record.id for record in store.records()] == ids
    assert store.verify() == []
    store.remove(ids[0])  # which makes space, even here
    store.add(make_correction(seed=500))
    assert len(store.records()) == len(ids)
    assert store.verify() == []


def test_share_that_cannot_be_written(
    store: CorrectionStore, make_correction: Make, mount: Callable[..., Path]
) -> None:
    id = store.add(make_correction())
    share = mount(f"--bind {store.folder}", "-o remount,ro,bind")
    shared = CorrectionStore.open(share)
    assert [record.id for record in shared.records()] == [id]
    assert shared.read(id).state == "accepted"
    assert shared.verify() == []
    with pytest.raises(FlomoError, match="can be read but not written"):
        shared.add(make_correction(seed=1))
    with pytest.raises(FlomoError, match="can be read but not written"):
        shared.remove(id)
    with pytest.raises(FlomoError, match=r"No permission|Read-only"):
        CorrectionStore.open(share / "new", create=True)


def test_refused_lock(
    store: CorrectionStore, make_correction: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the share above, for accounts that may not mount."""
    monkeypatch.setattr("filelock.FileLock.acquire", fail_with(errno.EROFS))
    with pytest.raises(FlomoError, match=r"can be read but not written \(Read-only"):
        store.add(make_correction())
    assert store.records() == []


def test_truncated_line_of_the_history(store: CorrectionStore, make_correction: Make) -> None:
    first = store.add(make_correction())
    path = store.folder / "history.jsonl"
    with path.open("ab") as stream:
        stream.write(b'{"crc32":"00000000","sequence":4,"eve')
    assert store.verify() == []
    second = store.add(make_correction(seed=1))
    assert [record.id for record in store.records()] == [first, second]
    assert [entry.sequence for entry in store.history()] == [1, 2, 3, 4, 5]
    assert store.verify() == []


def test_interrupted_by_the_user(
    store: CorrectionStore, make_correction: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_flomo.corrections.store import transactions

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(transactions.Transaction, "_write_proposed", interrupt)
        with pytest.raises(KeyboardInterrupt):
            store.add(make_correction())
    assert store.history()[-1].event == "abandoned"
    assert not list(store.folder.rglob("*.nii.gz"))
    store.add(make_correction())
    assert store.verify() == []
