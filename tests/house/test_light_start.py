"""Nothing heavy is loaded before it is needed."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

HEAVY = ("torch", "nibabel", "SimpleITK", "numpy", "scipy", "skimage", "tqdm", "lightning")
HEAVY += ("monai", "yaml", "napari", "qtpy", "magicgui", "huggingface_hub", "safetensors")
HEAVY += ("filelock", "napari_flomo.volumes.dicom")


Run = Callable[..., subprocess.CompletedProcess[str]]


def loaded_by(run_python: Run, statement: str) -> set[str]:
    """Return the heavy packages that a fresh interpreter has loaded after a statement."""
    program = f"{statement}\nimport sys, json\nprint(json.dumps(sorted(sys.modules)))"
    result = run_python("-c", program)
    assert result.returncode == 0, result.stderr
    return set(json.loads(result.stdout.splitlines()[-1])) & set(HEAVY)


def test_light(run_python: Run) -> None:
    """The command, its training part, and the host's side of jobs."""
    modules = "flomo_training.cli, napari_flomo.jobs.worker_main"
    parser = "from napari_flomo.cli import build_parser; build_parser()"
    assert loaded_by(run_python, f"import {modules}; {parser}") == set()


def test_packages_load_later_what_they_need_later(run_python: Run) -> None:
    names = ("volumes", "models", "measures", "segmentation")
    statement = "; ".join(f"import napari_flomo.{name}" for name in names)
    later = {"torch", "scipy", "filelock", "huggingface_hub", "napari_flomo.volumes.dicom"}
    assert not later & loaded_by(run_python, statement)
