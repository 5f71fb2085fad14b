"""Downloads over a bad connection, by several processes, and by one that is killed half-way."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flomo_tests_hub_helpers import (
    PINS,
    REPO,
    WEIGHTS,
    assert_complete,
    download,
    leftovers,
    sentence,
    wait_until,
)

from napari_flomo.errors import FlomoError
from napari_flomo.models.hub import HubSource


@pytest.fixture
def impatient(hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Time limits of half a second."""
    for name in ("DOWNLOAD", "ETAG"):
        monkeypatch.setattr(f"huggingface_hub.constants.HF_HUB_{name}_TIMEOUT", 0.5)
    monkeypatch.setattr("huggingface_hub.file_download._ETAG_RETRY_TIMEOUT", 0.5)


@pytest.mark.parametrize("no_ranges", [False, True])
def test_an_interrupted_connection_is_retried(
    hub: Any, commit: str, folder: Path, no_ranges: bool
) -> None:
    hub.faults.cut_after, hub.faults.cut_times, hub.faults.no_ranges = 100_000, 2, no_ranges
    download(HubSource(REPO), folder, PINS)
    assert_complete(folder)
    assert not leftovers(folder)


def test_a_connection_that_is_always_interrupted(hub: Any, commit: str, folder: Path) -> None:
    hub.faults.cut_after = 0
    with pytest.raises(FlomoError) as caught:
        download(HubSource(REPO), folder, PINS)
    sentence(caught, "interrupted", WEIGHTS, "try again")
    assert not leftovers(folder)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("route", ["/api/models", "/resolve/", "/storage/", "body"])
def test_a_server_that_stops_responding(hub: Any, commit: str, folder: Path, route: str) -> None:
    if route == "body":
        hub.faults.stall_after = 50_000
    else:
        hub.faults.stall_path = route
    with pytest.raises(FlomoError) as caught:
        download(HubSource(REPO), folder, PINS)
    sentence(caught, "stopped responding", "try again")
    assert not (folder / WEIGHTS).exists()


def test_no_server(hub: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(FlomoError) as caught:
        download(HubSource(REPO), folder, PINS)
    sentence(caught, "127.0.0.1:9 cannot be reached", "HF_ENDPOINT")


@pytest.mark.parametrize("address", ["hub.hospital.org", "ftp://hub", "http://[broken"])
def test_an_invalid_address(
    hub: Any, folder: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", address)
    with pytest.raises(FlomoError) as caught:
        download(HubSource(REPO), folder, PINS)
    sentence(caught, "HF_ENDPOINT")


def test_a_login_page(hub: Any, commit: str, folder: Path) -> None:
    hub.faults.no_hub = True
    for revision in (None, commit):
        with pytest.raises(FlomoError) as caught:
            download(HubSource(REPO, revision), folder, PINS)
        sentence(caught, "did not answer like a Hugging Face Hub")


# Processes

DOWNLOAD = """
import sys
from pathlib import Path
from napari_flomo.models.checksums import FilePin
from napari_flomo.models.hub import HubSource, download, look_up
pins = {{name: FilePin(*pin) for name, pin in {pins!r}.items()}}
snapshot = look_up(HubSource({repo!r}))
print("ready", flush=True)
sys.stdin.readline()
download(snapshot, Path({folder!r}), pins)
"""


@pytest.fixture
def start(folder: Path, hub: Any) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Start processes that download when a line is sent to them."""
    pins = {name: (value.size, value.sha256) for name, value in PINS.items()}
    script = DOWNLOAD.format(pins=pins, repo=REPO, folder=str(folder))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    running: list[subprocess.Popen[str]] = []

    def begin() -> subprocess.Popen[str]:
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

    yield begin
    for process in running:
        process.kill()
        process.communicate()


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def test_after_a_killed_process(
    hub: Any, commit: str, folder: Path, start: Callable[[], subprocess.Popen[str]]
) -> None:
    hub.faults.stall_after = 200_000
    process = start()
    go(process)
    wait_until(hub.body_started.is_set)
    process.kill()
    process.wait()
    assert not (folder / WEIGHTS).exists()
    assert leftovers(folder), "the process was killed too late"
    hub.faults.stall_after = -1
    download(HubSource(REPO), folder, PINS)
    assert_complete(folder)
    assert not leftovers(folder)


def test_two_processes_at_once(
    hub: Any, commit: str, folder: Path, start: Callable[[], subprocess.Popen[str]]
) -> None:
    hub.faults.block_seconds = 0.02
    processes = [start(), start()]
    for process in processes:
        go(process)
    for process in processes:
        _, errors = process.communicate(timeout=100)
        assert process.returncode == 0, errors
    assert_complete(folder)
    assert not leftovers(folder)
    assert len(hub.requests("GET", "/storage/")) == 1, "the weights were downloaded twice"
