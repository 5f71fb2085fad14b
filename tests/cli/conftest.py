"""The command, a small model with random weights, and images."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from napari_flomo import cli
from napari_flomo.models import ModelCard, build_network, save_model
from napari_flomo.volumes import Volume, write


@pytest.fixture
def flomo(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[str, str]]:
    """Run ``flomo``, expect an exit code, and return the texts of stdout and stderr."""

    def run(*arguments: object, code: int = 0) -> tuple[str, str]:
        assert cli.main([*map(str, arguments)]) == code, capsys.readouterr().err
        return capsys.readouterr()

    return run


@pytest.fixture
def answer(flomo: Callable[..., tuple[str, str]]) -> Callable[..., dict[str, Any]]:
    """Run ``flomo`` with ``--json`` and return its answer."""

    def run(*arguments: object, code: int = 0) -> dict[str, Any]:
        printed: dict[str, Any] = json.loads(flomo(*arguments, "--json", code=code)[0])
        return printed

    return run


@pytest.fixture
def refused(flomo: Callable[..., tuple[str, str]]) -> Callable[..., str]:
    """Run ``flomo``, expect exit code 2 and one sentence on stderr, and return it."""

    def run(*arguments: object) -> str:
        out, err = flomo(*arguments, code=2)
        assert out == ""
        assert err.startswith("flomo: ")
        assert err.count("\n") == 1, err
        return err

    return run


@pytest.fixture(scope="session")
def save_random(
    tmp_path_factory: pytest.TempPathFactory, make_card: Callable[..., ModelCard]
) -> Callable[..., Path]:
    """Save a network with random weights, which are always the same."""

    def save(**fields: Any) -> Path:
        import torch

        card = make_card(**fields)
        folder = tmp_path_factory.mktemp("shelf") / card.name
        with torch.random.fork_rng():
            torch.manual_seed(0)
            save_model(folder, build_network(card), card)
        return folder

    return save


@pytest.fixture(scope="session")
def model(save_random: Callable[..., Path]) -> Path:
    """A model folder with random weights."""
    return save_random(name="random")


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
