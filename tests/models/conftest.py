"""A card and a network so small that a test can afford them, and a Hub on this computer."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from napari_flomo.models import IntensityRule, Label, ModelCard, Preprocessing, save_model

# huggingface_hub reads these when it is imported.
os.environ["HF_HUB_DISABLE_XET"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"


def _load(name: str) -> ModuleType:
    """Import a helper that lies beside the tests, which are no package, as flomo_tests_<name>."""
    path = Path(__file__).with_name(f"{name}.py")
    spec = importlib.util.spec_from_file_location(f"flomo_tests_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


_load("hub_helpers")  # tests import flomo_tests_hub_helpers
_hub_server = _load("hub_server")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """A running Hub (see ``hub_server.py``), and an environment that knows no other."""
    from huggingface_hub.utils import close_session

    for name in ("FLOMO_OFFLINE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    # huggingface_hub waits up to eight seconds between its attempts.
    for module in ("huggingface_hub.utils._http", "huggingface_hub.file_download"):
        clock = SimpleNamespace(sleep=lambda _seconds: None, time=time.time)
        monkeypatch.setattr(importlib.import_module(module), "time", clock)
    with _hub_server.Hub() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf_home"))
        monkeypatch.setenv("HF_TOKEN", server.token)
        close_session()
        yield server
        close_session()


@pytest.fixture
def commit(hub: Any) -> str:
    """A repository with the toy model, and its commit."""
    helpers = sys.modules["flomo_tests_hub_helpers"]
    committed: str = hub.add(helpers.REPO, helpers.CONTENT)
    return committed


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a toy model is downloaded to; not there yet."""
    return tmp_path / "models" / "toy"


@pytest.fixture
def card() -> ModelCard:
    """A cardiac card for the real FLoMo-Net-B0."""
    return ModelCard(
        name="heart",
        network="flomo-b0",
        network_arguments={},
        in_channels=1,
        input_kind="stack",
        labels=(
            Label(0, "background", "#000000"),
            Label(1, "right ventricle", "#1f77b4"),
            Label(2, "myocardium", "#2ca02c"),
            Label(3, "left ventricle", "#d62728"),
        ),
        preprocessing=Preprocessing(1.25, None, IntensityRule("percentile", 0.5, 99.5)),
        activation="softmax",
        licence="CC0-1.0",
        training_data="none",
        metrics={"dice": {"mean": 0.5}},
    )


@pytest.fixture
def make_model(tmp_path: Path, card: ModelCard) -> Callable[..., Path]:
    """Save random weights under a card and return the folder."""

    def make(**changes: Any) -> Path:
        import torch

        from napari_flomo.models import build_network

        torch.manual_seed(0)
        changed = replace(card, **changes)
        folder = tmp_path / changed.name
        save_model(folder, build_network(changed), changed)
        return folder

    return make
