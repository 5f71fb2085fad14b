"""Downloads over a bad connection, and by a process that is killed half-way."""

from __future__ import annotations

from collections.abc import Callable
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
    refused,
)

from napari_flomo.models.hub import HubSource


@pytest.fixture
def impatient(hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Time limits of half a second."""
    for name in ("DOWNLOAD", "ETAG"):
        monkeypatch.setattr(f"huggingface_hub.constants.HF_HUB_{name}_TIMEOUT", 0.5)
    monkeypatch.setattr("huggingface_hub.file_download._ETAG_RETRY_TIMEOUT", 0.5)


@pytest.mark.parametrize("no_ranges", [False, True])
def test_interruptions_are_retried(hub: Any, commit: str, folder: Path, no_ranges: bool) -> None:
    hub.faults.cut_after, hub.faults.cut_times, hub.faults.no_ranges = 100_000, 2, no_ranges
    download(HubSource(REPO), folder, PINS)
    assert_complete(folder)
    assert not leftovers(folder)


def test_a_connection_that_is_always_interrupted(hub: Any, commit: str, folder: Path) -> None:
    hub.faults.cut_after = 0
    with refused("interrupted", WEIGHTS, "try again"):
        download(HubSource(REPO), folder, PINS)
    assert not leftovers(folder)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("route", ["/api/models", "/resolve/", "/storage/", "body"])
def test_a_server_that_stops_responding(hub: Any, commit: str, folder: Path, route: str) -> None:
    if route == "body":
        hub.faults.stall_after = 50_000
    else:
        hub.faults.stall_path = route
    with refused("stopped responding", "try again"):
        download(HubSource(REPO), folder, PINS)
    assert not (folder / WEIGHTS).exists()


def test_no_server(hub: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with refused("127.0.0.1:9 cannot be reached", "HF_ENDPOINT"):
        download(HubSource(REPO), folder, PINS)


@pytest.mark.parametrize("address", ["hub.hospital.org", "ftp://hub", "http://[broken"])
def test_an_invalid_address(
    hub: Any, folder: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", address)
    with refused("HF_ENDPOINT"):
        download(HubSource(REPO), folder, PINS)


def test_a_login_page(hub: Any, commit: str, folder: Path) -> None:
    hub.faults.no_hub = True
    for revision in (None, commit):
        with refused("did not answer like a Hugging Face Hub"):
            download(HubSource(REPO, revision), folder, PINS)


DOWNLOAD = """
from pathlib import Path
from napari_flomo.models.hub import HubSource, download, look_up
download(look_up(HubSource({repo!r})), Path({folder!r}), dict.fromkeys({files!r}))
"""


def test_after_a_killed_process(
    hub: Any, commit: str, folder: Path, start_python: Callable[..., Any]
) -> None:
    hub.faults.stall_after = 200_000
    script = DOWNLOAD.format(repo=REPO, folder=str(folder), files=list(PINS))
    process = start_python("-c", script)
    assert hub.body_started.wait(60)
    process.kill()
    process.wait()
    assert not (folder / WEIGHTS).exists()
    assert leftovers(folder), "the process was killed too late"
    hub.faults.stall_after = -1
    download(HubSource(REPO), folder, PINS)
    assert_complete(folder)
    assert not leftovers(folder)
