"""Nothing heavy is loaded before it is needed."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

import pytest

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


@pytest.mark.parametrize(
    "statement",
    [
        "import napari_flomo",
        "from napari_flomo.cli import build_parser; build_parser()",
        "import flomo_training.cli",
    ],
)
def test_light(run_python: Run, statement: str) -> None:
    assert loaded_by(run_python, statement) == set()


@pytest.mark.parametrize("package", ["volumes", "models", "measures", "segmentation"])
def test_packages_open_without_what_they_need_later(run_python: Run, package: str) -> None:
    later = {"torch", "scipy", "filelock", "napari_flomo.volumes.dicom"}
    assert not later & loaded_by(run_python, f"import napari_flomo.{package}")
