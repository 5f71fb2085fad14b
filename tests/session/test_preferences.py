"""Choices are saved, and nothing else."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from napari_flomo.errors import FlomoError
from napari_flomo.session import Preferences


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "preferences.json"  # the folder is not there yet


def test_choices_are_remembered(path: Path) -> None:
    preferences = Preferences(path)
    assert (preferences.model, preferences.device, preferences.warning) == (None, "auto", None)
    assert not path.exists()  # reading writes nothing
    preferences.model = "flomo-b0-acdc"
    preferences.device = "cuda:1"
    assert not preferences.mirrored
    preferences.mirrored = True
    preferences.set_contrast("flomo-b0-acdc", 2, 98.5)
    preferences.set_review("ab" * 32, {"current": [0, 3]})
    again = Preferences(path)
    assert (again.model, again.device, again.mirrored) == ("flomo-b0-acdc", "cuda", True)
    assert again.contrast("flomo-b0-acdc") == (2, 98.5)
    assert again.contrast("another") is None
    assert again.review("ab" * 32) == {"current": [0, 3]}
    assert again.review("cd" * 32) is None


def test_folders_are_not_remembered(path: Path) -> None:
    preferences = Preferences(path)
    preferences.model = "hf:org/name@v1"
    for folder in ("/home/doe/model", "C:\\doe", "~/model", "doe/model"):
        preferences.model = folder
        preferences.set_contrast(folder, 1, 99)
    assert "doe" not in path.read_text()
    assert Preferences(path).model == "hf:org/name@v1"


def test_old_reviews_are_dropped(path: Path) -> None:
    preferences = Preferences(path)
    for number in range(205):
        preferences.set_review(f"{number:064x}", {"number": number})
    preferences.set_review(f"{10:064x}", {"number": "again"})
    again = Preferences(path)
    assert again.review(f"{4:064x}") is None
    assert again.review(f"{5:064x}") == {"number": 5}
    assert again.review(f"{204:064x}") == {"number": 204}
    assert again.review(f"{10:064x}") == {"number": "again"}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b'{"schema": 9}',
        b'{"device": "abacus"}',
        b'{"model": 3}',
        b'{"contrasts": {"a": [99, 1]}}',
        b'{"reviews": {"a": 1}}',
        b'{"unknown": 1}',
    ],
)
def test_a_damaged_file_is_put_aside(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    preferences = Preferences(path)
    assert "damaged, so defaults are used" in preferences.warning
    assert (preferences.model, preferences.device) == (None, "auto")
    assert path.with_name("preferences.json.bad").read_bytes() == content
    preferences.model = "m"
    assert preferences.warning is None
    assert Preferences(path).model == "m"


def test_a_full_disk_is_a_warning(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    preferences = Preferences(path)
    preferences.model = "before"

    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        preferences.model = "after"
    assert "disk is full" in preferences.warning
    assert preferences.model == "after"
    assert Preferences(path).model == "before"
    preferences.model = "after"  # retried
    assert preferences.warning is None
    assert Preferences(path).model == "after"


def test_a_folder_that_cannot_be_created(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    preferences = Preferences(tmp_path / "file" / "preferences.json")
    preferences.model = "m"
    assert "not saved" in preferences.warning


@pytest.mark.parametrize(("low", "high"), [(50, 50), (-1, 99), (1, 101), (True, 99)])
def test_an_invalid_contrast(path: Path, low: float, high: float) -> None:
    with pytest.raises(FlomoError, match="is not a valid contrast"):
        Preferences(path).set_contrast("m", low, high)
