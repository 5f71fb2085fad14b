"""Fixtures: a small data set in the layout of ACDC, models by brightness, a fast recipe."""

from __future__ import annotations

import csv
import importlib
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

pytest.importorskip("lightning", reason="training needs the [train] extra")

from safetensors.torch import load_file

from flomo_training.recipe import parse_recipe
from napari_flomo.models import build_network, save_model
from napari_flomo.volumes import Geometry, Volume, write

PATIENTS = 6
CODES = {"wall": 2, "cavity": 5}
"""Not 1 and 2, so that a code taken for an index is found out."""


class Thresholds(torch.nn.Module):
    """Classifies pixels by the nearest brightness of background, wall and cavity, too sure of it.

    ``smooth`` averages over 5 x 5 pixels before.
    """

    def __init__(self, levels=(0.2, 0.52, 1.36), *, smooth=False):
        super().__init__()
        self.level = torch.nn.Parameter(torch.tensor(levels))
        self.smooth = smooth

    def forward(self, images):
        if self.smooth:
            images = torch.nn.functional.avg_pool2d(images, 5, 1, 2)
        return SimpleNamespace(logits=-500 * (images - self.level[:, None, None]) ** 2)


@pytest.fixture(scope="session")
def thresholds():
    return Thresholds


def _read_cases(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / "cases.csv").open(newline="") as file:
        return {row["case"]: row for row in csv.DictReader(file)}


@pytest.fixture(scope="session")
def read_cases():
    """Read the rows of ``cases.csv`` by case."""
    return _read_cases


def _write_cases(folder: Path, rows) -> None:
    rows = list(rows)
    with (folder / "cases.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture(scope="session")
def write_cases():
    """Write the rows of ``cases.csv``."""
    return _write_cases


@pytest.fixture
def load_benchmark(repository, monkeypatch):
    """Import a module of the benchmarks."""
    monkeypatch.syspath_prepend(repository / "training" / "benchmarks")
    return importlib.import_module


def _assert_same_weights(one: Path, other: Path) -> None:
    first, second = (load_file(folder / "model.safetensors") for folder in (one, other))
    assert first.keys() == second.keys()
    for name in first:
        assert torch.equal(first[name], second[name]), name


@pytest.fixture(scope="session")
def assert_same_weights():
    """Compare two model folders bit by bit."""
    return _assert_same_weights


def heart(seed: int, shift: int) -> tuple[np.ndarray, np.ndarray]:
    """Return slices (3, 72, 72) of a bright disc in a grey ring, and its label codes."""
    rng = np.random.default_rng(seed)
    row, column = np.mgrid[:72, :72]
    radius = np.hypot(row - 36 - shift, column - 36 + shift)
    image = rng.normal(40, 5, (3, 72, 72))
    codes = np.zeros((3, 72, 72), np.uint8)
    for k, outer in enumerate((18, 16, 14)):
        image[k, radius < outer] += 60
        codes[k, radius < outer] = CODES["wall"]
        image[k, radius < outer - 6] += 100
        codes[k, radius < outer - 6] = CODES["cavity"]
    return image.clip(0).astype(np.int16), codes


@pytest.fixture(scope="session")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dataset")
    (folder / "images").mkdir()
    (folder / "labels").mkdir()
    rows = []
    for number in range(PATIENTS):
        image, codes = heart(number, shift=number - 2)
        name = f"p{number}_a"
        grid = Geometry((1.5, 1.5, 8.0))
        write(Volume(image, grid, modality="MR", source=name), folder / f"images/{name}.nii.gz")
        write(Volume(codes, grid, source=name), folder / f"labels/{name}_gt.nii.gz")
        rows.append({"case": name, "patient": f"p{number}", "phase": "ED" if number % 2 else "ES"})
    _write_cases(folder, rows)
    folds = [["p0", "p1"], ["p2", "p3"], ["p4", "p5"]]
    (folder / "folds.json").write_text(json.dumps({"folds": folds}))
    return folder


def recipe_content(source: Path) -> dict:
    """Return a valid recipe as YAML gives it."""
    return {
        "flavour": "best",
        "seed": 3,
        "epochs": 4,
        "batch_size": 4,
        "workers": 0,
        "precision": "32",
        "data": {"source": str(source), "fold": 0},
        "crops": {
            "stages": [{"from_epoch": 0, "size": 32}, {"from_epoch": 2, "size": 48}],
            "jitter": 4,
            "anywhere": 0.1,
        },
        "augmentation": {
            "flip": 0.5, "affine": 0.5, "rotation": 20, "scale": 0.1,
            "gamma": 0.3, "gamma_range": [0.8, 1.2], "brightness": 0.3, "brightness_shift": 0.1,
            "contrast": 0.3, "contrast_factor": 0.1, "noise": 0.3, "noise_std": 0.02,
            "blur": 0.2, "blur_sigma": 0.8,
        },
        "loss": {
            "dice": 1.0, "cross_entropy": 1.0, "focal_tversky": 0.5, "deep_supervision": 0.4,
        },
        "optimiser": {
            "learning_rate": 0.005, "weight_decay": 0.01, "clip": 5.0, "schedule": "cosine",
            "warm_up": 0.5,
        },
        "model": {
            "name": "tiny", "network": "fias",
            "network_arguments": {"channels": [8, 16, 16, 32], "deep_supervision": True},
            "in_channels": 1, "input_kind": "stack", "activation": "softmax",
            "labels": [
                {"code": 0, "name": "background", "colour": "#000000"},
                {"code": CODES["wall"], "name": "wall", "colour": "#00ff00"},
                {"code": CODES["cavity"], "name": "cavity", "colour": "#ff0000"},
            ],
            "preprocessing": {
                "pixel_mm": 1.5, "crop": None,
                "intensity": {"rule": "percentile", "low": 1, "high": 99},
            },
            "licence": "CC0-1.0", "training_data": "synthetic",
        },
    }  # fmt: skip


@pytest.fixture(scope="session")
def new_content(dataset):
    """Return a function that makes a fresh, valid recipe as YAML gives it."""
    return lambda: recipe_content(dataset)


@pytest.fixture
def content(new_content):
    return new_content()


@pytest.fixture
def recipe(content):
    return parse_recipe(content, Path("recipe.yaml"))


@pytest.fixture
def make_model(recipe, tmp_path):
    """Return a function that saves a small U-Net with random weights; it takes parts of a card."""

    def make(name="model", *, seed=0, **changes):
        small = {"network": "dynunet", "network_arguments": {"filters": [4, 8, 16]}}
        card = replace(recipe.model, name=name, **(small | changes))
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            save_model(tmp_path / name, build_network(card), card)
        return tmp_path / name

    return make
