"""Downloads and uploads with the real client against a small Hub that can do everything wrong.

Each test ends in the right bytes or in one clear sentence, and never in a wrong file.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from napari_flomo.errors import Cancelled, FlomoError
from napari_flomo.models.hub import (
    FilePin,
    HubSource,
    Patience,
    download,
    online_allowed,
    parse_source,
    upload,
)

REPO = "heart-lab/model"
WEIGHTS, CARD = "model.safetensors", "card.json"
CONTENT = {WEIGHTS: bytes(range(256)) * 1200, CARD: b'{"name": "toy"}\n'}  # 300 KiB and a line
QUICK = Patience(stall=10, attempts=3, pause=0.02)
IMPATIENT = Patience(stall=1, attempts=2, pause=0.02)


def pin(content: bytes) -> FilePin:
    return FilePin(len(content), hashlib.sha256(content).hexdigest())


PINS = {name: pin(content) for name, content in CONTENT.items()}
UNPINNED: dict[str, FilePin | None] = dict.fromkeys(CONTENT)


@pytest.fixture
def commit(hub: Any) -> str:
    """A repository with a model, and its commit."""
    return hub.add(REPO, CONTENT)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "shelf" / "toy"


def leftovers(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - set(CONTENT)


def assert_complete(folder: Path) -> None:
    assert {name: (folder / name).read_bytes() for name in CONTENT} == CONTENT


def sentence(caught: pytest.ExceptionInfo[FlomoError], *words: str) -> str:
    """Check that a message is one sentence with these words, without a secret or an address."""
    text = str(caught.value)
    assert text.endswith(".")
    assert "\n" not in text
    assert ". " not in text
    assert "hf_" not in text
    assert "/resolve/" not in text
    for word in words:
        assert word in text, text
    return text


# What works


def test_download(hub: Any, commit: str, folder: Path) -> None:
    told: list[tuple[int, int, float | None]] = []
    found = download(HubSource(REPO), folder, PINS, lambda *now: told.append(now), patience=QUICK)
    assert found == commit
    assert_complete(folder)
    assert not leftovers(folder)
    total = sum(map(len, CONTENT.values()))
    assert told[-1] == (total, total, 0.0)
    assert {now[1] for now in told} == {total}
    assert all(a[0] <= b[0] for a, b in itertools.pairwise(told))
    assert any(seen.agent.startswith("napari-flomo/") for seen in hub.seen)
    storage = hub.requests("GET", "/storage/")
    assert len(storage) == 1
    assert storage[0].authorization is None, "the token went to the storage's host"

    assert download(HubSource(REPO, "main"), folder, UNPINNED, patience=QUICK) == commit
    assert_complete(folder)


def test_what_is_there_is_not_fetched_again(hub: Any, commit: str, folder: Path) -> None:
    download(HubSource(REPO, commit), folder, PINS, patience=QUICK)
    hub.seen.clear()
    assert download(HubSource(REPO, commit), folder, PINS, patience=QUICK) == commit
    assert not hub.seen, "a pinned model that is there asks nothing of the network"
    download(HubSource(REPO), folder, PINS, patience=QUICK)
    assert not hub.bodies()


def test_an_older_commit(hub: Any, commit: str, folder: Path) -> None:
    newer = hub.add(REPO, {CARD: b"{}"})
    assert download(HubSource(REPO, commit), folder, PINS, patience=QUICK) == commit != newer
    assert_complete(folder)


def test_a_changed_file_is_set_aside(hub: Any, commit: str, folder: Path) -> None:
    download(HubSource(REPO, commit), folder, PINS, patience=QUICK)
    damaged = b"x" + CONTENT[WEIGHTS][1:]
    (folder / WEIGHTS).write_bytes(damaged)
    download(HubSource(REPO, commit), folder, PINS, patience=QUICK)
    assert_complete(folder)
    assert (folder / f"{WEIGHTS}.bad").read_bytes() == damaged


def test_time_left(hub: Any, commit: str, folder: Path) -> None:
    hub.faults.block_seconds = 0.01
    told: list[tuple[int, int, float | None]] = []
    download(HubSource(REPO), folder, PINS, lambda *now: told.append(now), patience=QUICK)
    guesses = [left for done, total, left in told if left is not None and 0 < done < total]
    assert guesses
    assert all(0 < left < 60 for left in guesses)


def test_through_a_proxy(
    hub: Any, commit: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub.utils import close_session

    monkeypatch.setenv("HF_ENDPOINT", "http://hub.invalid")
    monkeypatch.setenv("HTTP_PROXY", hub.url)  # a proxy gets the same requests
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    close_session()
    assert download(HubSource(REPO), folder, PINS, patience=QUICK) == commit
    assert_complete(folder)


def test_private_repository(hub: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add(REPO, CONTENT, private=True)
    download(HubSource(REPO), folder, PINS, patience=QUICK)
    assert_complete(folder)
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(FlomoError) as caught:
        download(HubSource(REPO), folder, PINS, patience=QUICK)
    sentence(caught, REPO, "private", "HF_TOKEN")


# A bad line


def test_a_cut_connection_heals(hub: Any, commit: str, folder: Path) -> None:
    hub.faults.cut_after, hub.faults.cut_times = 100_000, 2
    download(HubSource(REPO), folder, PINS, patience=QUICK)
    assert_complete(folder)
    starts = [seen.range for seen in hub.requests("GET", "/storage/")]
    assert starts == [None, "bytes=100000-", "bytes=200000-"]


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


# Wrong content


@pytest.mark.parametrize("files", [PINS, UNPINNED], ids=["pinned", "unpinned"])
@pytest.mark.parametrize("name", list(CONTENT))
def test_wrong_bytes(hub: Any, commit: str, folder: Path, files: Any, name: str) -> None:
    hub.faults.wrong_bytes = True
    files = {name: files[name]}
    with pytest.raises(FlomoError) as caught:
        download(HubSource(REPO), folder, files, patience=QUICK)
    sentence(caught, "wrong bytes", name, ".bad", "again")
    assert not (folder / name).exists()
    assert (folder / f"{name}.bad").stat().st_size == len(CONTENT[name])
    hub.faults.wrong_bytes = False
    download(HubSource(REPO), folder, files, patience=QUICK)
    assert (folder / name).read_bytes() == CONTENT[name]


def test_the_hub_has_other_content_than_the_pin(hub: Any, commit: str, folder: Path) -> None:
    """Same length, and the Hub is consistent with itself: only the pin knows better."""
    other = hub.add(REPO, {WEIGHTS: CONTENT[WEIGHTS][::-1]})
    with pytest.raises(FlomoError) as caught:
        download(HubSource(REPO, other), folder, PINS, patience=QUICK)
    sentence(caught, "wrong bytes")
    assert not (folder / WEIGHTS).exists()


@pytest.mark.parametrize(
    "fault", [{"metadata_size": 7}, {"metadata_size": -7}, {"announce": -7}, {"announce": 7}]
)
def test_wrong_length(hub: Any, commit: str, folder: Path, fault: dict[str, int]) -> None:
    for name, value in fault.items():
        setattr(hub.faults, name, value)
    with pytest.raises(FlomoError) as caught:
        download(HubSource(REPO), folder, PINS, patience=QUICK)
    sentence(caught, str(len(CONTENT[WEIGHTS])), WEIGHTS)
    assert not (folder / WEIGHTS).exists()


def test_more_bytes_than_expected(hub: Any, commit: str, folder: Path) -> None:
    hub.faults.longer = 5000
    with pytest.raises(FlomoError) as caught:
        download(HubSource(REPO), folder, PINS, patience=QUICK)
    sentence(caught, "more than the", WEIGHTS)
    hub.faults.longer = 0
    download(HubSource(REPO), folder, PINS, patience=QUICK)
    assert_complete(folder)


def test_a_mirror_without_hashes(hub: Any, commit: str, folder: Path) -> None:
    hub.faults.odd_etags = True
    download(HubSource(REPO), folder, PINS, patience=QUICK)
    assert_complete(folder)
    with pytest.raises(FlomoError) as caught:
        download(HubSource(REPO), folder / "other", UNPINNED, patience=QUICK)
    sentence(caught, "cannot be verified")


# Refusals


@pytest.mark.parametrize(
    ("status", "headers", "words"),
    [
        (401, {}, ["HF_TOKEN"]),
        (403, {}, ["403", "access"]),
        (403, {"X-Error-Code": "GatedRepo"}, ["terms"]),
        (404, {}, ["no repository", REPO]),
        (418, {}, ["418"]),
        (429, {}, ["429", "later"]),
        (429, {"Retry-After": "600"}, ["429", "600 seconds"]),
        (500, {}, ["500", "later"]),
        (503, {}, ["503", "later"]),
    ],
)
@pytest.mark.parametrize("route", ["/api/models", "/resolve/", "/storage/"])
def test_refusals(
    hub: Any, commit: str, folder: Path, *, status: int, headers: Any, words: list[str], route: str
) -> None:
    hub.faults.status, hub.faults.headers, hub.faults.path = status, headers, route
    with pytest.raises(FlomoError) as caught:
        download(HubSource(REPO), folder, PINS, patience=QUICK)
    sentence(caught, *words)
    assert not (folder / WEIGHTS).exists()


@pytest.mark.parametrize("route", ["/api/models", "/resolve/", "/storage/"])
@pytest.mark.parametrize(("status", "headers"), [(500, {}), (429, {"Retry-After": "1"})])
def test_a_passing_fault(
    hub: Any, commit: str, folder: Path, *, route: str, status: int, headers: Any
) -> None:
    hub.faults.status, hub.faults.headers, hub.faults.path = status, headers, route
    hub.faults.times = 1
    download(HubSource(REPO), folder, PINS, patience=QUICK)
    assert_complete(folder)


@pytest.mark.parametrize("revision", ["v9", "0" * 40])
def test_missing_revision(hub: Any, commit: str, folder: Path, revision: str) -> None:
    with pytest.raises(FlomoError) as caught:
        download(HubSource(REPO, revision), folder, PINS, patience=QUICK)
    sentence(caught, f"no revision {revision!r}", REPO)


def test_missing_repository_and_file(hub: Any, commit: str, folder: Path) -> None:
    with pytest.raises(FlomoError) as caught:
        download(HubSource("heart-lab/none"), folder, PINS, patience=QUICK)
    sentence(caught, "no repository heart-lab/none")
    with pytest.raises(FlomoError) as caught:
        download(HubSource(REPO), folder, {"other.json": None}, patience=QUICK)
    sentence(caught, "no file other.json")


# Offline


@pytest.mark.parametrize("switch", ["FLOMO_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline(
    hub: Any, commit: str, folder: Path, monkeypatch: pytest.MonkeyPatch, switch: str
) -> None:
    download(HubSource(REPO, commit), folder, PINS, patience=QUICK)
    assert online_allowed()
    hub.seen.clear()
    monkeypatch.setenv(switch, "1")
    assert not online_allowed()
    assert download(HubSource(REPO, commit), folder, PINS, patience=QUICK) == commit
    with pytest.raises(FlomoError) as caught:
        download(HubSource(REPO, commit), folder / "new", PINS, patience=QUICK)
    sentence(caught, switch, REPO, "unset")
    with pytest.raises(FlomoError) as caught:
        upload(folder, REPO, patience=QUICK)
    sentence(caught, switch)
    assert not hub.seen
    assert not (folder / "new").exists()


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


def wait_until(condition: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


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


# The disk


@pytest.fixture
def unwritable(tmp_path: Path) -> Iterator[Path]:
    """A folder that this process may read and not write, also when it is an administrator's."""
    if os.name == "nt":
        pytest.skip("Windows has no such permission bits")
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        path.chmod(0o555)
        administrator = os.geteuid() == 0
        if administrator:
            os.seteuid(65534)
        try:
            yield path
        finally:
            if administrator:
                os.seteuid(0)
            path.chmod(0o755)


def test_a_read_only_folder(hub: Any, commit: str, unwritable: Path) -> None:
    for folder in (unwritable, unwritable / "new"):
        with pytest.raises(FlomoError) as caught:
            download(HubSource(REPO), folder, PINS, patience=QUICK)
        sentence(caught, "No permission to write", "FLOMO_HOME")
    assert not hub.bodies()


def test_a_read_only_folder_with_the_model_works(hub: Any, commit: str, unwritable: Path) -> None:
    """A shared shelf that an administrator filled."""
    me = os.geteuid()
    if os.getuid() == 0:
        os.seteuid(0)
    unwritable.chmod(0o755)
    for name, content in CONTENT.items():
        (unwritable / name).write_bytes(content)
    unwritable.chmod(0o555)
    os.seteuid(me)
    assert download(HubSource(REPO, commit), unwritable, PINS, patience=QUICK) == commit
    assert download(HubSource(REPO), unwritable, PINS, patience=QUICK) == commit


def test_a_file_is_in_the_way(hub: Any, commit: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FlomoError) as caught:
        download(HubSource(REPO), tmp_path / "file", PINS, patience=QUICK)
    sentence(caught, "file")


def test_a_disk_without_room(
    hub: Any, commit: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def usage(_: object) -> Any:
        return SimpleNamespace(total=10**9, used=10**9, free=100_000)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    with pytest.raises(FlomoError) as caught:
        download(HubSource(REPO), folder, PINS, patience=QUICK)
    sentence(caught, "free", "MB", "FLOMO_HOME")
    assert not hub.bodies(), "the room was not checked first"


def test_a_disk_that_fills_up(
    hub: Any, commit: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = 0
    write = os.write

    def filling(descriptor: int, content: bytes) -> int:
        nonlocal written
        if written > 100_000:
            raise OSError(28, "No space left on device")
        written += len(content)
        return write(descriptor, content)

    monkeypatch.setattr(os, "write", filling)
    with pytest.raises(FlomoError) as caught:
        download(HubSource(REPO), folder, PINS, patience=QUICK)
    sentence(caught, "The disk is full", WEIGHTS)
    assert not (folder / WEIGHTS).exists()
    monkeypatch.undo()
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    download(HubSource(REPO), folder, PINS, patience=QUICK)
    assert_complete(folder)


# Names


def test_sources() -> None:
    assert parse_source("hf:org/name") == HubSource("org/name", None)
    assert parse_source("hf:org/na.me-1@v1.0") == HubSource("org/na.me-1", "v1.0")
    assert parse_source("hf:org/name@refs/pr/1").revision == "refs/pr/1"
    assert str(HubSource("org/name", "v1")) == "hf:org/name@v1"


@pytest.mark.parametrize(
    "text",
    [
        *("org/name", "hf:name", "hf:", "hf:a/b/c", "hf:../x", "hf:a/..", "hf:a/b@", "hf:a/b@../c"),
        *("hf:a/b@ v", "hf:a b/c", "hf:a/b?x=1", "hf:a/b--c", "hf:-a/b", "hf:a/" + "b" * 100),
    ],
)
def test_what_is_no_source(text: str) -> None:
    with pytest.raises(FlomoError) as caught:
        parse_source(text)
    sentence(caught)


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/b", "a\\b", "", ".", "..", ".x", "C:x"])
def test_files_stay_in_their_folder(hub: Any, commit: str, folder: Path, name: str) -> None:
    with pytest.raises(FlomoError, match="plain name"):
        download(HubSource(REPO), folder, {name: None}, patience=QUICK)
    assert not hub.seen


# Publishing


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "mine"
    folder.mkdir()
    for name, content in CONTENT.items():
        (folder / name).write_bytes(content)
    (folder / "secret-notes.txt").write_text("not for publication")
    return folder


def test_upload_then_download(hub: Any, model: Path, folder: Path) -> None:
    published = upload(model, "lab/heart", extra={"README.md": b"---\nlicense: mit\n---\nHi\n"})
    held = hub.repositories["lab/heart"]
    assert published.url == f"{hub.url}/lab/heart/commit/{published.commit}"
    assert set(held.commits[published.commit]) == {*CONTENT, "README.md", ".gitattributes"}
    assert not held.private
    assert len(held.commits) == 2, "the files did not come as one commit"
    assert download(HubSource("lab/heart"), folder, PINS, patience=QUICK) == published.commit
    assert_complete(folder)


def test_upload_again(hub: Any, model: Path) -> None:
    first = upload(model, "lab/heart", private=True)
    assert hub.repositories["lab/heart"].private
    (model / CARD).write_bytes(b"{}")
    second = upload(model, "lab/heart", private=True)
    assert first.commit != second.commit
    assert hub.repositories["lab/heart"].commits[second.commit][CARD] == b"{}"


def test_private_means_private(hub: Any, model: Path, commit: str) -> None:
    with pytest.raises(FlomoError) as caught:
        upload(model, REPO, private=True)
    sentence(caught, REPO, "everybody can read it", "nothing was sent")
    assert hub.repositories[REPO].refs["main"] == commit


def test_upload_without_a_token(hub: Any, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(FlomoError) as caught:
        upload(model, "lab/heart")
    sentence(caught, "HF_TOKEN")
    assert "lab/heart" not in hub.repositories


@pytest.mark.parametrize("status", [403, 500])
def test_upload_refused(hub: Any, model: Path, status: int) -> None:
    hub.faults.status, hub.faults.path = status, "/api/repos/create"
    with pytest.raises(FlomoError) as caught:
        upload(model, "lab/heart")
    sentence(caught, str(status))


def test_upload_to_a_page_to_log_in(hub: Any, model: Path) -> None:
    hub.faults.no_hub = True
    with pytest.raises(FlomoError) as caught:
        upload(model, "lab/heart")
    sentence(caught, "did not answer like a Hugging Face Hub")


def test_upload_of_no_model(hub: Any, tmp_path: Path) -> None:
    with pytest.raises(FlomoError) as caught:
        upload(tmp_path, "lab/heart")
    sentence(caught, "holds no model")
    with pytest.raises(FlomoError) as caught:
        upload(tmp_path, "heart")
    sentence(caught, "organisation/name")
    assert not hub.seen


def test_what_the_hub_holds_is_compared(
    hub: Any, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("lab/other", CONTENT)
    repository = type(hub.repositories["lab/other"])
    keep = repository.commit

    def lose(self: Any, files: dict[str, bytes], branch: str = "main") -> str:
        return keep(self, {name: content[:-1] for name, content in files.items()}, branch)

    monkeypatch.setattr(repository, "commit", lose)
    with pytest.raises(FlomoError) as caught:
        upload(model, "lab/heart")
    sentence(caught, "something else", "do not use")


@pytest.mark.parametrize("route", ["/api/repos/create", "/batch", "/storage/", "/commit/"])
def test_upload_cancelled_while_the_server_stalls(hub: Any, model: Path, route: str) -> None:
    hub.faults.stall_path = route
    pressed: list[float] = []

    def cancelled() -> bool:
        if any(route in seen.path for seen in hub.seen) and not pressed:
            pressed.append(time.monotonic())
        return bool(pressed)

    with pytest.raises(Cancelled):
        upload(model, "lab/heart", cancelled=cancelled)
    assert time.monotonic() - pressed[0] < 1
    held = hub.repositories.get("lab/heart")
    assert held is None or len(held.commits) == 1, "a commit was made"


def test_the_room_stays_light(run_python: Callable[..., Any]) -> None:
    """The client takes half a second to import and waits until it is needed."""
    code = "import sys, napari_flomo.models.hub; print('huggingface_hub' in sys.modules)"
    assert run_python("-c", code).stdout == "False\n"
