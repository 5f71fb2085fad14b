"""What a run computed on and with, to be told beside its figures."""

from __future__ import annotations

import platform
import shutil
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import lightning
import torch

from napari_flomo import __version__


def provenance(trainer: lightning.Trainer) -> dict[str, Any]:
    """Return hardware, precision and versions of a run."""
    return {
        "hardware": describe_device(trainer),
        "precision": str(trainer.precision),
        "versions": versions(),
    }


def versions() -> dict[str, str | None]:
    """Return the versions that a run depends on."""
    names = ("torch", "lightning", "monai", "numpy")
    return {
        "napari_flomo": __version__,
        **{name: metadata.version(name) for name in names},
        "python": platform.python_version(),
        "commit": git_commit(),
    }


def describe_device(trainer: lightning.Trainer) -> str:
    """Return what the run computed on."""
    if trainer.strategy.root_device.type == "cuda":
        return torch.cuda.get_device_name()
    return f"CPU, {torch.get_num_threads()} threads"


def git_commit() -> str | None:
    """Return the commit of the code that runs, marked where it was changed, or None without one."""
    git = shutil.which("git")
    if git is None:
        return None
    done = subprocess.run(
        [git, "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--exclude=*"],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or None
