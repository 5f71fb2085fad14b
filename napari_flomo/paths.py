"""Where this program keeps files of its own on a user's computer."""

from __future__ import annotations

import os
import sys
from pathlib import Path

HOME_VARIABLE = "FLOMO_HOME"
"""Environment variable: one folder for everything."""

NOWHERE = Path("/proc/no home folder")
"""Stands for the home folder of a user that has none: it is not there, and nobody can make it."""

_NAME = "napari-flomo"
_ON_MACOS = {"cache": "~/Library/Caches", "data": "~/Library/Application Support"}


def cache_folder() -> Path:
    """Return the folder for what can be fetched again: FLOMO_HOME, or the system's for caches.

    For a user without a home folder, as in some containers, it lies below `NOWHERE`.
    """
    return _chosen() or _of_system("cache")


def data_folder() -> Path:
    """Return the folder for what must not get lost: FLOMO_HOME, or the system's for user data.

    For a user without a home folder, as in some containers, it lies below `NOWHERE`.
    """
    return _chosen() or _of_system("data")


def _chosen() -> Path | None:
    chosen = os.environ.get(HOME_VARIABLE)
    if not chosen:
        return None
    try:
        return Path(chosen).expanduser().absolute()
    except RuntimeError:  # it names the home folder of nobody
        return NOWHERE / _NAME


def _of_system(kind: str) -> Path:
    import platformdirs

    try:
        if sys.platform == "darwin":  # newer versions of platformdirs heed XDG variables there
            known = Path(_ON_MACOS[kind]).expanduser() / _NAME
            if known.is_dir():
                return known
        if kind == "cache":
            found = platformdirs.user_cache_path(_NAME, appauthor=False, opinion=False)
        else:
            found = platformdirs.user_data_path(_NAME, appauthor=False)
    except (RuntimeError, KeyError, OSError):
        return NOWHERE / _NAME
    # Without a home folder some versions answer with "~".
    return found if found.is_absolute() else NOWHERE / _NAME
