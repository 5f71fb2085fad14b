"""Where this program keeps files of its own on a user's computer."""

from __future__ import annotations

import os
import sys
from pathlib import Path

HOME_VARIABLE = "FLOMO_HOME"
"""Environment variable: one folder for everything."""

_NAME = "napari-flomo"


def cache_folder() -> Path:
    """Return the folder for what can be fetched again: FLOMO_HOME, or the system's for caches."""
    if sys.platform == "darwin":
        return _chosen() or Path.home() / "Library" / "Caches" / _NAME
    return _chosen() or _local("XDG_CACHE_HOME", ".cache")


def data_folder() -> Path:
    """Return the folder for what must not get lost: FLOMO_HOME, or the system's for user data."""
    if sys.platform == "darwin":
        return _chosen() or Path.home() / "Library" / "Application Support" / _NAME
    return _chosen() or _local("XDG_DATA_HOME", ".local/share")


def _chosen() -> Path | None:
    chosen = os.environ.get(HOME_VARIABLE)
    return Path(chosen).expanduser().absolute() if chosen else None


def _local(variable: str, below_home: str) -> Path:
    """Return our folder where Windows or the XDG base directories have it."""
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return (Path(local) if local else Path.home() / "AppData" / "Local") / _NAME
    base = os.environ.get(variable)
    return (Path(base) if base else Path.home() / below_home) / _NAME
