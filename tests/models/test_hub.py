"""Downloads with huggingface_hub from a local server that can send wrong data and errors.

Each test ends with the right content or with an error of one sentence, never with a wrong file.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from flomo_tests_hub_helpers import (
    CONTENT,
    PINS,
    REPO,
    UNPINNED,
    WEIGHTS,
    assert_complete,
    download,
    leftovers,
    refused,
)

from napari_flomo.models.hub import HubSource, parse_source
from napari_flomo.progress import Progress

# What works


def test_download(hub: Any, commit: str, folder: Path) -> None:
    told: list[Progress] = []
    found = download(HubSource(REPO), folder, PINS, told.append)
    assert found == commit
    assert_complete(folder)
    assert not leftovers(folder)
    total = sum(map(len, CONTENT.values()))
    assert (told[-1].done, told[-1].seconds_left) == (total, 0.0)
    assert {progress.total for progress in told} == {total}
    assert all(a.done <= b.done for a, b in itertools.pairwise(told))
    assert any(seen.agent.startswith("napari-flomo/") for seen in hub.seen)
    storage = hub.requests("GET", "/storage/")
    assert len(storage) == 1
    assert storage[0].authorization is None, "the token went to the storage's host"

    assert download(HubSource(REPO, "main"), folder, UNPINNED) == commit
    assert_complete(folder)


def test_existing_files_are_not_downloaded_again(hub: Any, commit: str, folder: Path) -> None:
    download(HubSource(REPO, commit), folder, PINS)
    hub.seen.clear()
    download(HubSource(REPO), folder, PINS)
    assert not hub.bodies()


def test_a_changed_file_is_renamed(hub: Any, commit: str, folder: Path) -> None:
    download(HubSource(REPO, commit), folder, PINS)
    damaged = b"x" + CONTENT[WEIGHTS][1:]
    (folder / WEIGHTS).write_bytes(damaged)
    download(HubSource(REPO, commit), folder, PINS)
    assert_complete(folder)
    assert (folder / f"{WEIGHTS}.bad").read_bytes() == damaged


def test_proxy(hub: Any, commit: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub.utils import close_session

    monkeypatch.setenv("HF_ENDPOINT", "http://hub.invalid")
    monkeypatch.setenv("HTTP_PROXY", hub.url)  # a proxy gets the same requests
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    close_session()
    assert download(HubSource(REPO), folder, PINS) == commit
    assert_complete(folder)


def test_private_repository(hub: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add(REPO, CONTENT, private=True)
    download(HubSource(REPO), folder, PINS)
    assert_complete(folder)
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with refused(REPO, "private", "HF_TOKEN"):
        download(HubSource(REPO), folder, PINS)


# Wrong content


@pytest.mark.parametrize("files", [PINS, UNPINNED], ids=["pinned", "unpinned"])
@pytest.mark.parametrize("name", list(CONTENT))
def test_wrong_bytes(hub: Any, commit: str, folder: Path, files: Any, name: str) -> None:
    hub.faults.wrong_bytes = True
    files = {name: files[name]}
    with refused("wrong bytes", name, ".bad", "again"):
        download(HubSource(REPO), folder, files)
    assert not (folder / name).exists()
    assert (folder / f"{name}.bad").stat().st_size == len(CONTENT[name])
    hub.faults.wrong_bytes = False
    download(HubSource(REPO), folder, files)
    assert (folder / name).read_bytes() == CONTENT[name]


def test_content_differs_from_the_pin(hub: Any, commit: str, folder: Path) -> None:
    """Same length, and the Hub is consistent with itself: only the pin shows the difference."""
    other = hub.add(REPO, {WEIGHTS: CONTENT[WEIGHTS][::-1]})
    with refused("wrong bytes"):
        download(HubSource(REPO, other), folder, PINS)
    assert not (folder / WEIGHTS).exists()


@pytest.mark.parametrize(
    "fault", [{"metadata_size": 7}, {"metadata_size": -7}, {"announce": -7}, {"longer": 5000}]
)
def test_wrong_length(hub: Any, commit: str, folder: Path, fault: dict[str, int]) -> None:
    for name, value in fault.items():
        setattr(hub.faults, name, value)
    with refused(WEIGHTS):
        download(HubSource(REPO), folder, PINS)
    assert not (folder / WEIGHTS).exists()
    hub.faults = type(hub.faults)()
    download(HubSource(REPO), folder, PINS)
    assert_complete(folder)


def test_wrong_size_is_not_downloaded(hub: Any, commit: str, folder: Path) -> None:
    hub.add(REPO, {WEIGHTS: CONTENT[WEIGHTS] + b"x"})
    with refused("instead of the", str(len(CONTENT[WEIGHTS])), WEIGHTS):
        download(HubSource(REPO), folder, PINS)
    assert not hub.bodies()


def test_a_mirror_without_hashes(hub: Any, commit: str, folder: Path) -> None:
    hub.faults.no_hashes = True
    download(HubSource(REPO), folder, PINS)
    assert_complete(folder)
    with refused("cannot be verified"):
        download(HubSource(REPO), folder / "other", UNPINNED)


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
def test_error_status(
    hub: Any, commit: str, folder: Path, *, status: int, headers: Any, words: list[str], route: str
) -> None:
    hub.faults.status, hub.faults.headers, hub.faults.path = status, headers, route
    with refused(*words):
        download(HubSource(REPO), folder, PINS)
    assert not (folder / WEIGHTS).exists()


@pytest.mark.parametrize(("route", "status"), [("/resolve/", 500), ("/storage/", 429)])
def test_errors_are_retried(hub: Any, commit: str, folder: Path, route: str, status: int) -> None:
    hub.faults.status, hub.faults.path, hub.faults.times = status, route, 1
    download(HubSource(REPO), folder, PINS)
    assert_complete(folder)


@pytest.mark.parametrize(
    ("source", "files", "said"),
    [
        (HubSource(REPO, "v9"), PINS, "no revision 'v9'"),
        (HubSource(REPO, "0" * 40), PINS, f"no revision '{'0' * 40}'"),
        (HubSource("heart-lab/none"), PINS, "no repository heart-lab/none"),
        (HubSource(REPO), {"other.json": None}, "no file other.json"),
    ],
)
@pytest.mark.usefixtures("commit")
def test_what_does_not_exist(source: HubSource, files: Any, said: str, folder: Path) -> None:
    with refused(said, source.repo):
        download(source, folder, files)


# Names


def test_parse_source() -> None:
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
def test_invalid_source(text: str) -> None:
    with refused():
        parse_source(text)
