"""A small model with random weights, and images, for runs of ``flomo segment``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from napari_flomo.models import (
    IntensityRule,
    Label,
    ModelCard,
    Preprocessing,
    build_network,
    save_model,
)
from napari_flomo.volumes import Volume, write


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder; its weights are random but always the same."""
    import torch

    card = ModelCard(
        name="random",
        network="flomo-b0",
        network_arguments={},
        in_channels=1,
        input_kind="stack",
        labels=(
            Label(0, "background", "#000000"),
            Label(1, "RV", "#1f77b4"),
            Label(5, "LV", "#d62728"),  # codes need not be channel numbers
        ),
        preprocessing=Preprocessing(2.0, 48, IntensityRule("percentile", 1, 99)),
        activation="softmax",
        licence="CC0-1.0",
        training_data="none",
    )
    folder = tmp_path_factory.mktemp("shelf") / "random"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        save_model(folder, build_network(card), card)
    return folder


@pytest.fixture
def stack(tmp_path: Path, make_volume: Callable[..., Volume]) -> Path:
    """A NIfTI stack of three slices on a turned grid."""
    path = tmp_path / "stack.nii.gz"
    write(make_volume(rows=40, columns=44), path)
    return path


@pytest.fixture
def cine(tmp_path: Path, make_volume: Callable[..., Volume]) -> Path:
    """A NIfTI cine of four frames and two slices."""
    path = tmp_path / "cine.nii.gz"
    write(make_volume(frames=4, slices=2, rows=40, columns=44), path)
    return path
