"""Hardware and software versions of a run."""

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
    """Return the hardware, precision and versions of a run."""
    return {
        "hardware": describe_device(trainer),
        "precision": str(trainer.precision),
        "versions": versions(),
    }


def versions() -> dict[str, str | None]:
    """Return the package versions that a run depends on."""
    names = ("torch", "lightning", "monai", "numpy")
    return {
        "napari_flomo": __version__,
        **{name: metadata.version(name) for name in names},
        "python": platform.python_version(),
        "commit": git_commit(),
    }


def describe_device(trainer: lightning.Trainer) -> str:
    """Return the name of the GPU, or the number of CPU threads."""
    if trainer.strategy.root_device.type == "cuda":
        return torch.cuda.get_device_name()
    return f"CPU, {torch.get_num_threads()} threads"


def git_commit() -> str | None:
    """Return the git commit of the code, marked if it was modified, or None if unknown."""
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
