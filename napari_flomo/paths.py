"""The folders of this program on a user's computer."""

from __future__ import annotations

import os
import sys
from pathlib import Path

HOME_VARIABLE = "FLOMO_HOME"
"""Environment variable for a folder that replaces all of them."""

NOWHERE = Path("/proc/no home folder")
"""Placeholder for a missing home folder; it does not exist and cannot be created."""

_NAME = "napari-flomo"
_ON_MACOS = {"cache": "~/Library/Caches", "data": "~/Library/Application Support"}


def cache_folder() -> Path:
    """Return the folder for files that can be downloaded again: FLOMO_HOME, or the system's cache.

    For a user without a home folder, as in some containers, it lies below `NOWHERE`.
    """
    return _chosen() or _of_system("cache")


def data_folder() -> Path:
    """Return the folder for files that must not be lost: FLOMO_HOME, or the system's user data.

    For a user without a home folder, as in some containers, it lies below `NOWHERE`.
    """
    return _chosen() or _of_system("data")


def _chosen() -> Path | None:
    chosen = os.environ.get(HOME_VARIABLE)
    if not chosen:
        return None
    try:
        return Path(chosen).expanduser().absolute()
    except RuntimeError:  # the home folder of an unknown user
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
    # Without a home folder some versions return "~".
    return found if found.is_absolute() else NOWHERE / _NAME
