"""Downloads to a disk that is full, read-only or in the way."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from flomo_tests_hub_toy import (
    CONTENT,
    PINS,
    QUICK,
    REPO,
    WEIGHTS,
    assert_complete,
    sentence,
)

from napari_flomo.errors import FlomoError
from napari_flomo.models.hub import (
    HubSource,
    download,
)


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
