"""Downloads over a bad line, by several processes, and by one that is killed half-way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flomo_tests_hub_toy import (
    CONTENT,
    IMPATIENT,
    PINS,
    QUICK,
    REPO,
    WEIGHTS,
    assert_complete,
    leftovers,
    pin,
    sentence,
    wait_until,
)

from napari_flomo.errors import Cancelled, FlomoError
from napari_flomo.models.hub import (
    HubSource,
    Patience,
    download,
)


def test_a_cut_connection_heals(hub: Any, commit: str, folder: Path) -> None:
    hub.faults.cut_after, hub.faults.cut_times = 100_000, 2
    download(HubSource(REPO), folder, PINS, patience=QUICK)
    assert_complete(folder)
    starts = [seen.range for seen in hub.requests("GET", "/storage/")]
    assert starts == [None, "bytes=100000-", "bytes=200000-"]


def test_a_line_that_is_cut_often_but_brings_something(hub: Any, commit: str, folder: Path) -> None:
    hub.faults.cut_after, hub.faults.cut_times = 40_000, 6
    download(HubSource(REPO), folder, PINS, patience=QUICK)
    assert_complete(folder)
    assert len(hub.requests("GET", "/storage/")) == 7 > QUICK.attempts


def test_a_server_without_ranges(hub: Any, commit: str, folder: Path) -> None:
    hub.faults.cut_after, hub.faults.cut_times, hub.faults.no_ranges = 100_000, 1, True
    download(HubSource(REPO), folder, PINS, patience=QUICK)
    assert_complete(folder)


def test_a_line_that_is_always_cut(hub: Any, commit: str, folder: Path) -> None:
    hub.faults.cut_after = 0
    with pytest.raises(FlomoError) as caught:
        download(HubSource(REPO), folder, PINS, patience=QUICK)
    sentence(caught, "cut", WEIGHTS, "try again")
    assert len(hub.requests("GET", "/storage/")) == QUICK.attempts
    assert not (folder / WEIGHTS).exists()
    hub.faults.cut_after = -1
    download(HubSource(REPO), folder, PINS, patience=QUICK)
    assert_complete(folder)


def test_a_stalled_server(hub: Any, commit: str, folder: Path) -> None:
    hub.faults.stall_after = 50_000
    began = time.monotonic()
    with pytest.raises(FlomoError) as caught:
        download(HubSource(REPO), folder, PINS, patience=IMPATIENT)
    assert time.monotonic() - began < 20
    sentence(caught, "sent nothing for 1 seconds", WEIGHTS)
    assert not (folder / WEIGHTS).exists()
    hub.faults.stall_after = -1
    download(HubSource(REPO), folder, PINS, patience=QUICK)
    assert_complete(folder)
    assert hub.bodies()[-2].range not in (None, "bytes=0-"), "the kept part was not used"


@pytest.mark.parametrize("route", ["/api/models", "/resolve/", "/storage/"])
def test_a_server_that_never_answers(hub: Any, commit: str, folder: Path, route: str) -> None:
    hub.faults.stall_path = route
    with pytest.raises(FlomoError) as caught:
        download(HubSource(REPO), folder, PINS, patience=IMPATIENT)
    sentence(caught, "sent nothing")


@pytest.mark.parametrize("route", ["/api/models", "/resolve/", "/storage/", "body", "slow"])
def test_cancel_within_a_second(hub: Any, commit: str, folder: Path, route: str) -> None:
    if route == "body":
        hub.faults.stall_after = 50_000
    elif route == "slow":
        hub.faults.block_seconds = 0.1
    else:
        hub.faults.stall_path = route
    pressed = threading.Event()
    outcome: list[BaseException] = []

    def work() -> None:
        try:
            download(HubSource(REPO), folder, PINS, cancelled=pressed.is_set, patience=QUICK)
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    wait_until(lambda: any(route in seen.path for seen in hub.seen) or hub.body_started.is_set())
    time.sleep(0.3)
    pressed.set()
    began = time.monotonic()
    thread.join(10)
    assert time.monotonic() - began < 1
    assert isinstance(outcome[0], Cancelled)
    assert not (folder / WEIGHTS).exists()
    # Nothing is held by what was left behind: the next attempt begins at once.
    hub.faults.stall_path, hub.faults.stall_after, hub.faults.block_seconds = "", -1, 0.0
    download(HubSource(REPO), folder, PINS, patience=QUICK)
    assert_complete(folder)


def test_cancelled_before_it_begins(hub: Any, commit: str, folder: Path) -> None:
    with pytest.raises(Cancelled):
        download(HubSource(REPO), folder, PINS, cancelled=lambda: True, patience=QUICK)
    assert not hub.seen


def test_nobody_is_there(hub: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(FlomoError) as caught:
        download(HubSource(REPO), folder, PINS, patience=QUICK)
    sentence(caught, "127.0.0.1:9 cannot be reached", "HF_ENDPOINT")


@pytest.mark.parametrize("address", ["hub.hospital.org", "ftp://hub", "http://[broken"])
def test_an_address_that_is_none(
    hub: Any, folder: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", address)
    with pytest.raises(FlomoError) as caught:
        download(HubSource(REPO), folder, PINS, patience=QUICK)
    sentence(caught, "HF_ENDPOINT")


def test_a_page_to_log_in(hub: Any, commit: str, folder: Path) -> None:
    hub.faults.no_hub = True
    for revision in (None, commit):
        with pytest.raises(FlomoError) as caught:
            download(HubSource(REPO, revision), folder, PINS, patience=QUICK)
        sentence(caught, "did not answer like a Hugging Face Hub")


# Processes

FETCH = """
import sys
from pathlib import Path
from napari_flomo.errors import FlomoError
from napari_flomo.models.hub import HubSource, FilePin, download
pins = {{name: FilePin(*pin) for name, pin in {pins!r}.items()}}
print("ready", flush=True)
sys.stdin.readline()
try:
    print(download(HubSource({repo!r}), Path({folder!r}), pins), flush=True)
except FlomoError as error:
    print("FlomoError:", error, flush=True)
"""


@pytest.fixture
def fetcher(folder: Path, hub: Any) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Start processes that download when a line is sent to them."""
    pins = {name: (value.size, value.sha256) for name, value in PINS.items()}
    script = FETCH.format(pins=pins, repo=REPO, folder=str(folder))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    running: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        running.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def part_size(folder: Path) -> int:
    part = folder / f"{WEIGHTS}.part"
    return part.stat().st_size if part.exists() else 0


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
def test_a_killed_process_is_resumed(
    hub: Any, commit: str, folder: Path, fetcher: Callable[[], subprocess.Popen[str]]
) -> None:
    hub.faults.stall_after = 200_000
    process = fetcher()
    go(process)
    wait_until(lambda: part_size(folder) == 200_000)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (folder / WEIGHTS).exists()
    assert leftovers(folder) == {f"{WEIGHTS}{end}" for end in (".part", ".part.json", ".lock")}

    hub.faults.stall_after = -1
    hub.seen.clear()
    told: list[int] = []
    download(HubSource(REPO), folder, PINS, lambda done, *_: told.append(done), patience=QUICK)
    assert_complete(folder)
    assert not leftovers(folder), "the dead process' lock was in the way"
    assert [seen.range for seen in hub.requests("GET", "/storage/")] == ["bytes=200000-"]
    assert told[0] >= 200_000


def test_two_processes_at_once(
    hub: Any, commit: str, folder: Path, fetcher: Callable[[], subprocess.Popen[str]]
) -> None:
    hub.faults.block_seconds = 0.02
    processes = [fetcher(), fetcher()]
    for process in processes:
        go(process)
    for process in processes:
        output, errors = process.communicate(timeout=100)
        assert output == f"{commit}\n", errors
    assert_complete(folder)
    assert not leftovers(folder)
    assert len(hub.requests("GET", "/storage/")) == 1, "the weights were fetched twice"


def test_a_waiting_process_can_be_cancelled_and_sees_progress(
    hub: Any, commit: str, folder: Path, fetcher: Callable[[], subprocess.Popen[str]]
) -> None:
    hub.faults.stall_after = 100_000
    process = fetcher()
    go(process)
    wait_until(lambda: part_size(folder) == 100_000)
    told: list[int] = []
    end = time.monotonic() + 1.5
    with pytest.raises(Cancelled):
        download(
            HubSource(REPO),
            folder,
            PINS,
            lambda done, *_: told.append(done),
            cancelled=lambda: time.monotonic() > end,
            patience=QUICK,
        )
    assert time.monotonic() < end + 1
    assert told[-1] == 100_000
    assert len(hub.requests("GET", "/storage/")) == 1


# Parts


def interrupted(hub: Any, folder: Path) -> None:
    hub.faults.cut_after = 100_000
    with pytest.raises(FlomoError):
        download(HubSource(REPO), folder, PINS, patience=Patience(10, 1, 0.02))
    hub.faults.cut_after = -1
    hub.seen.clear()


def test_a_part_of_other_content_is_not_continued(hub: Any, commit: str, folder: Path) -> None:
    interrupted(hub, folder)
    newer = CONTENT | {WEIGHTS: CONTENT[WEIGHTS][::-1]}
    hub.add(REPO, newer)
    pins = {name: pin(content) for name, content in newer.items()}
    download(HubSource(REPO), folder, pins, patience=QUICK)
    assert (folder / WEIGHTS).read_bytes() == newer[WEIGHTS]
    assert [seen.range for seen in hub.requests("GET", "/storage/")] == [None]


def test_a_torn_part_is_fetched_afresh(hub: Any, commit: str, folder: Path) -> None:
    """After a power cut the length may be on the disk and the bytes not."""
    interrupted(hub, folder)
    part = folder / f"{WEIGHTS}.part"
    size = part.stat().st_size
    assert size > 0
    part.write_bytes(bytes(size))
    download(HubSource(REPO), folder, PINS, patience=QUICK)
    assert_complete(folder)
    assert [seen.range for seen in hub.requests("GET", "/storage/")] == [f"bytes={size}-", None]


@pytest.mark.parametrize("note", [b"", b"\xff\xfe", b"[]", b"{}", b"{"])
def test_a_broken_note_is_no_obstacle(hub: Any, commit: str, folder: Path, note: bytes) -> None:
    interrupted(hub, folder)
    (folder / f"{WEIGHTS}.part.json").write_bytes(note)
    download(HubSource(REPO), folder, PINS, patience=QUICK)
    assert_complete(folder)
    assert not leftovers(folder)
