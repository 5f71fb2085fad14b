"""A small card and network, and the toy model on the local Hub."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from napari_flomo.models import IntensityRule, Label, ModelCard, Preprocessing, index, save_model
from napari_flomo.models.card import card_text

# The tests are not a package; they import these helpers as flomo_tests_hub_helpers.
_SPEC = importlib.util.spec_from_file_location(
    "flomo_tests_hub_helpers", Path(__file__).with_name("hub_helpers.py")
)
assert _SPEC is not None
assert _SPEC.loader is not None
helpers = importlib.util.module_from_spec(_SPEC)
sys.modules[_SPEC.name] = helpers
_SPEC.loader.exec_module(helpers)


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip the pauses of huggingface_hub, up to eight seconds between its attempts."""
    for module in ("huggingface_hub.utils._http", "huggingface_hub.file_download"):
        clock = SimpleNamespace(sleep=lambda _seconds: None, time=time.time)
        monkeypatch.setattr(importlib.import_module(module), "time", clock)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, a folder for bundled models that does not exist yet, an empty index."""
    monkeypatch.setenv("FLOMO_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(index, "BUNDLED", tmp_path / "bundled")
    monkeypatch.setattr(index, "INDEX", tmp_path / "index.json")
    (tmp_path / "index.json").write_text('{"models": []}')
    return tmp_path / "home"


@pytest.fixture
def commit(hub: Any) -> str:
    """A repository with the toy model, and its commit."""
    committed: str = hub.add(helpers.REPO, helpers.CONTENT)
    return committed


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a toy model is downloaded to; not there yet."""
    return tmp_path / "models" / "toy"


@pytest.fixture
def card(make_card: Callable[..., ModelCard]) -> ModelCard:
    """A cardiac card for the real FLoMo-Net-B0."""
    labels = (
        Label(0, "background", "#000000"),
        Label(1, "right ventricle", "#1f77b4"),
        Label(2, "myocardium", "#2ca02c"),
        Label(3, "left ventricle", "#d62728"),
    )
    preprocessing = Preprocessing(1.25, None, IntensityRule("percentile", 0.5, 99.5))
    fields = {"labels": labels, "preprocessing": preprocessing, "metrics": {"dice": {"mean": 0.5}}}
    return make_card(name="heart", **fields)


@pytest.fixture
def publish(hub: Any, card: ModelCard) -> Callable[..., str]:
    """Put a model on the Hub and return the commit."""

    def make(
        repo: str = "team/heart", weights: bytes = bytes(range(256)) * 40, **changes: Any
    ) -> str:
        written = replace(card, sha256=hashlib.sha256(weights).hexdigest(), **changes)
        files = {"card.json": card_text(written).encode(), "model.safetensors": weights}
        commit: str = hub.add(repo, files)
        return commit

    return make


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


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def put(card: ModelCard) -> Callable[..., Path]:
    """Write a model folder."""

    def write(folder: Path, weights: bytes, **changes: Any) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        content = replace(card, name=folder.name, sha256=sha256(weights), **changes)
        (folder / "card.json").write_text(card_text(content))
        (folder / "model.safetensors").write_bytes(weights)
        return folder

    return write


@pytest.fixture
def base(put: Callable[..., Path], tmp_path: Path, home: Path) -> Path:
    return put(tmp_path / "bundled" / "base", b"base")


@pytest.fixture
def candidate(put: Callable[..., Path], tmp_path: Path) -> Callable[..., Path]:
    """Write a candidate that passed the gate, unless told otherwise."""

    def write(
        name: str,
        parent: str = "base",
        parent_weights: bytes = b"base",
        verdict: str = "passed",
        weights: str = "",
        **changes: Any,
    ) -> Path:
        content, parents = (weights or name).encode(), sha256(parent_weights)
        gate = {
            "verdict": verdict,
            "reasons": ["Dice on the reference fell by 0.04."],
            "sha256": sha256(content),
            "parent_sha256": parents,
        }
        changes = {"parent": f"{parent} {parents}", "gate": gate} | changes
        folder = put(tmp_path / "out" / name, content, **changes)
        (folder / "gate").mkdir(exist_ok=True)
        (folder / "gate" / "report.json").write_text("{}")
        (folder / "gate" / "secret.pkl").write_bytes(b"x")
        return folder

    return write
