"""Everything but training and PyTorch's own engines works where PyTorch is not installed."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from napari_flomo import DEFAULT_MODEL
from napari_flomo.models import GRAPH_FILE, locate

Run = Callable[..., subprocess.CompletedProcess[str]]

BLOCKED = "import sys; sys.modules['torch'] = None; from napari_flomo import cli\n"

COMMANDS = f"""{BLOCKED}
def flomo(*arguments):
    assert cli.main([*arguments]) == 0, arguments

sample, series = sys.argv[1:]
flomo("doctor")
flomo("segment", sample, "-o", "heart.nii.gz", "--mirrored", "--slices", "4-6", "--json",
      "--probabilities", "classes.nii.gz", "--uncertainty", "entropy.nii.gz",
      "--map", "variance=variance.nii.gz")
flomo("segment", series, "-o", "cine.nrrd", "--frames", "0", "--dicom-seg", "cine.dcm")
flomo("measure", "heart.nii.gz", "--height", "178", "--weight", "74")
flomo("report", "heart.nii.gz", "--image", sample, "-o", "report.csv")
flomo("segment-many", "studies", "--out", "results", "--workers", "1", "--json")
"""

SESSION = f"""{BLOCKED}
from dataclasses import replace
import numpy as np
from napari_flomo.corrections import CorrectionStore, default_store, journals_folder
from napari_flomo.jobs import Worker, python_spawner
from napari_flomo.session import CorrectionWriter, Session
from napari_flomo.volumes import read

child = {BLOCKED + "cli.main(['worker'])"!r}
volume = read(sys.argv[1])
volume = replace(volume, data=volume.data[4:6])
session = Session(Worker(python_spawner(arguments=["-c", child])), None, CorrectionWriter())
session.warm_up("{DEFAULT_MODEL}")
key = session.add(volume, "heart")
session.segment(key, "{DEFAULT_MODEL}", "cpu").result(100)
labels = session.image(key).labels.data
place = np.argwhere(labels == 3)[:1]
session.next_slice(key)
session.edit(key, place, np.array([3]), np.array([2]))
session.accept(key)
assert [*journals_folder().iterdir()]
assert session.measures(key).mass_g > 0
session.close()
assert len(CorrectionStore.open(default_store()).records()) == 1
"""

IMPORTS = f"""{BLOCKED}
import importlib, pkgutil
import napari_flomo
for name in ("cohorts", "commands", "corrections", "jobs", "label_tools", "measures", "models",
             "reports", "segmentation", "session", "volumes"):
    package = importlib.import_module("napari_flomo." + name)
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        importlib.import_module(module.name)
"""


@pytest.fixture
def inputs(repository: Path, cases: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The sample, a DICOM cine, and a folder of studies in the folder of the programs."""
    for name in ("FLOMO_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.delenv("FLOMO_ENGINE")
    sample = repository / "docs" / "samples" / "sunnybrook_ed.nii.gz"
    (tmp_path / "studies").mkdir()
    shutil.copy(cases / "_clean" / "heart.nii.gz", tmp_path / "studies")
    return sample, cases / "_clean" / "cine"


@pytest.mark.parametrize("program", [COMMANDS, SESSION, IMPORTS], ids=["cli", "session", "imports"])
def test_works(program: str, run_python: Run, inputs: tuple[Path, Path]) -> None:
    done = run_python("-c", program, *inputs)
    assert done.returncode == 0, done.stderr


TORCH, TRAIN = "pip install 'napari-flomo[torch]'", "pip install 'napari-flomo[train]'"


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        ("segment SAMPLE -o labels.nii.gz --engine eager", TORCH),
        ("segment SAMPLE -o labels.nii.gz --device cuda", TORCH),
        ("segment SAMPLE -o labels.nii.gz --map network_entropy=map.nii.gz", TORCH),
        ("segment SAMPLE -o labels.nii.gz --map mc_variance=map.nii.gz", TORCH),
        ("segment SAMPLE -o labels.nii.gz --model plain", TORCH),
        (f"export {DEFAULT_MODEL} --format onnx --out exported", TORCH),
        ("finetune --out tuned", TRAIN),
        ("train acdc --data studies --out trained", TRAIN),
        ("evaluate --model plain --data studies --out results", TRAIN),
        ("gate --candidate plain", TRAIN),
        ("calibrate --model plain --data studies", TRAIN),
    ],
)
def test_says_how_to_install_it(
    arguments: str, command: str, run_python: Run, inputs: tuple[Path, Path], tmp_path: Path
) -> None:
    shutil.copytree(locate(DEFAULT_MODEL), tmp_path / "plain").joinpath(GRAPH_FILE).unlink()
    words = arguments.replace("SAMPLE", str(inputs[0])).split()
    done = run_python("-c", BLOCKED + "sys.exit(cli.main(sys.argv[1:]))", *words)
    assert done.returncode == 2, done.stderr
    *_notes, sentence = done.stderr.splitlines()
    assert sentence.startswith("flomo: ")
    assert command in sentence
