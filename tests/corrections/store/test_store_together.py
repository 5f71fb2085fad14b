"""Two programs write one store at the same time."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from napari_flomo.corrections import Correction, CorrectionStore
from napari_flomo.corrections.store import transactions
from napari_flomo.errors import FlomoError

Make = Callable[..., Correction]
EACH = 12

PROGRAM = '''
import sys
import numpy as np
from napari_flomo.corrections import Correction, CorrectionStore
from napari_flomo.volumes import Geometry, Volume

folder, reader, each = sys.argv[1], sys.argv[2], int(sys.argv[3])


def meet():
    """Go on when the other program is here, too."""
    print("here", flush=True)
    sys.stdin.readline()


meet()
store = CorrectionStore.open(folder, create=True)  # both make it
for number in range(each):
    if number == each // 2:
        meet()
    image = Volume(np.full((2, 8, 9), number, np.int16), Geometry((1, 1, 8)))
    labels = np.full((2, 8, 9), number % 2, np.uint8)
    for state in ("draft", "accepted"):
        name = reader if number % 3 else "shared"
        store.add(Correction(image, image.with_data(labels), {1: "LV"}, state=state, reader=name))
    store.records()
'''


def test_two_programs(tmp_path: Path, start_python: Callable[..., Any]) -> None:
    folder = tmp_path / "store"
    programs = [
        start_python("-c", PROGRAM, folder, reader, EACH, stdin=subprocess.PIPE)
        for reader in ("napari", "slicer")
    ]
    for _ in range(2):  # at the start, and half way, lest one ends before the other begins
        for program in programs:
            assert program.stdout.readline() == "here\n"
        for program in programs:  # now both go on, within a millisecond
            program.stdin.write("go\n")
            program.stdin.flush()
    for program in programs:
        _, errors = program.communicate(timeout=200)
        assert program.returncode == 0, errors
    store = CorrectionStore.open(folder)
    assert store.verify() == []
    entries = store.history()
    assert [entry.sequence for entry in entries] == list(range(1, len(entries) + 1))
    own = EACH - len(range(0, EACH, 3))
    records = store.records()
    assert sum(record.reader == "napari" for record in records) == own
    assert sum(record.reader == "slicer" for record in records) == own
    assert sum(record.reader == "shared" for record in records) == EACH - own
    assert all(record.state == "accepted" for record in records)
    writers = [e.about["id"] for e in entries if e.event == "added"]
    by_reader = {record.id: record.reader for record in records}
    turns = [by_reader[id] for id in writers if by_reader[id] != "shared"]
    assert turns != sorted(turns), "they did not write at the same time"


def test_waiting_too_long_for_the_lock_is_an_error(
    store: CorrectionStore, make_correction: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transactions.store_lock.__wrapped__, "__defaults__", (0.05,))
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with transactions.store_lock(store._layout):
            held.set()
            release.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert held.wait(60)
        with pytest.raises(FlomoError, match="Another program is writing"):
            store.add(make_correction())
        assert store.records() == [], "reading does not wait"
    finally:
        release.set()
        thread.join()
    store.add(make_correction())
    assert store.verify() == []
