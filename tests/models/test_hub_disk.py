"""Downloads to a full or read-only disk."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from flomo_tests_hub_helpers import CONTENT, PINS, REPO, WEIGHTS, assert_complete, download, refused

from napari_flomo.models.hub import HubSource


@pytest.fixture
def unwritable(tmp_path: Path) -> Iterator[Path]:
    """A folder that this process can read but not write, even as root."""
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
        with refused("No permission to write", "FLOMO_HOME"):
            download(HubSource(REPO), folder, PINS)
    assert not hub.bodies()


def test_a_read_only_folder_with_the_model_works(hub: Any, commit: str, unwritable: Path) -> None:
    """A shared folder that an administrator filled."""
    me = os.geteuid()
    if os.getuid() == 0:
        os.seteuid(0)
    unwritable.chmod(0o755)
    for name, content in CONTENT.items():
        (unwritable / name).write_bytes(content)
    unwritable.chmod(0o555)
    os.seteuid(me)
    assert download(HubSource(REPO, commit), unwritable, PINS) == commit
    assert download(HubSource(REPO), unwritable, PINS) == commit


def test_a_file_instead_of_the_folder(hub: Any, commit: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with refused("file"):
        download(HubSource(REPO), tmp_path / "file", PINS)


def test_not_enough_disk_space(
    hub: Any, commit: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def usage(_: object) -> Any:
        return SimpleNamespace(total=10**9, used=10**9, free=100_000)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    with refused("free", "MB", "FLOMO_HOME"):
        download(HubSource(REPO), folder, PINS)
    assert not hub.bodies(), "the room was not checked first"


def test_disk_full_during_the_download(
    hub: Any, commit: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(_url: str, file: Any, **_: object) -> None:
        file.write(b"x" * 100_000)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("huggingface_hub.file_download.http_get", fill)
        with refused("The disk is full", WEIGHTS):
            download(HubSource(REPO), folder, PINS)
    assert not list(folder.iterdir())
    download(HubSource(REPO), folder, PINS)
    assert_complete(folder)
