"""Folders of the program on a user's computer."""

from __future__ import annotations

from pathlib import Path

import pytest
from platformdirs.macos import MacOS
from platformdirs.unix import Unix
from platformdirs.windows import Windows

from napari_flomo.paths import cache_folder


def test_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FLOMO_HOME", "~/models")
    assert cache_folder() == Path.home() / "models"
    monkeypatch.delenv("FLOMO_HOME")
    monkeypatch.setattr("platformdirs.PlatformDirs", Unix)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "napari-flomo"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "napari-flomo"
    # platformdirs chooses the class for the system once, at its import.
    monkeypatch.setattr("platformdirs.PlatformDirs", MacOS)
    assert cache_folder() == Path.home() / "Library" / "Caches" / "napari-flomo"
    monkeypatch.setattr("platformdirs.PlatformDirs", Windows)
    monkeypatch.setattr("platformdirs.windows.get_win_folder", lambda _name: str(tmp_path))
    assert cache_folder() == tmp_path / "napari-flomo"
