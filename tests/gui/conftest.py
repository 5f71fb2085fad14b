"""Windows for the tests: real ones, under an X server.

Without napari or a screen these tests skip with the reason; on a machine without a screen run
``xvfb-run -a -s "-screen 0 1600x1200x24" pytest tests/gui``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

if find_spec("napari") is None or find_spec("pytestqt") is None:
    collect_ignore_glob = ["test_*.py"]  # the modules import Qt

MANIFEST = "napari_flomo/napari.yaml"


@pytest.fixture(autouse=True)
def _screen() -> None:
    if sys.platform == "linux" and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        pytest.skip("no screen: run these tests under xvfb-run")


@pytest.fixture(autouse=True)
def data_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep journals and preferences of the tests away from those of the user."""
    home = tmp_path / "home"
    monkeypatch.setenv("XDG_DATA_HOME", str(home))
    monkeypatch.setenv("FLOMO_HOME", str(home))
    return home


@pytest.fixture(scope="session")
def plugin(repository: Path) -> Any:
    """The manifest, known to napari whether or not the package is installed with it."""
    from npe2 import PluginManager, PluginManifest

    manager = PluginManager.instance()
    manager.discover()
    if "napari-flomo" not in manager:
        manager.register(PluginManifest.from_file(repository / MANIFEST))
    return manager


@pytest.fixture
def open_viewer(plugin: Any, make_napari_viewer: Callable[..., Any]) -> Callable[..., Any]:
    """Open a napari window that is really drawn."""

    def make(**options: Any) -> Any:
        viewer = make_napari_viewer(show=True, **options)
        viewer.window.resize(1400, 1000)
        return viewer

    return make
