"""Fake engines, and an empty cache folder."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from napari_flomo.models import ModelCard
from napari_flomo.segmentation.engines import ENGINES, EngineRunner, runner, timing

sys.path.insert(0, str(Path(__file__).parent))
from engine_fakes import CLOCK, CPU, SIZE, Fake, Small


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder, and no override of ``auto``."""
    monkeypatch.setenv("FLOMO_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("FLOMO_ENGINE", raising=False)
    return tmp_path / "home"


@pytest.fixture
def network(card: ModelCard) -> nn.Module:
    return Small(card.num_classes).eval()


@pytest.fixture
def images() -> Tensor:
    return torch.rand((5, 1, *SIZE), generator=torch.Generator().manual_seed(1))


@pytest.fixture
def make(card: ModelCard, network: nn.Module) -> Callable[..., EngineRunner]:
    def make_runner(asked: str, weights: str | None = "0" * 64) -> EngineRunner:
        return EngineRunner(network, card, SIZE, device=CPU, asked=asked, weights=weights)

    return make_runner


@pytest.fixture
def fakes(
    monkeypatch: pytest.MonkeyPatch, network: nn.Module
) -> Callable[..., dict[str, list[Fake]]]:
    """Put fake engines in the place of real ones; returns all that are made, by name."""
    for module in (timing, runner):
        monkeypatch.setattr(module, "perf_counter", CLOCK)

    def put(**changes: Callable[[], Fake]) -> dict[str, list[Fake]]:
        def right(images: Tensor) -> Tensor:
            return network(images).logits

        makers = {name: lambda n=name: Fake(n, right) for name in ("eager", "fast")} | changes
        made: dict[str, list[Fake]] = {name: [] for name in makers}

        def make_engine(name: str, *_: Any, graph: bytes | None = None, **__: Any) -> Fake:
            engine = makers[name]()
            engine.graph = graph
            made[name].append(engine)
            return engine

        monkeypatch.setattr(runner, "make_engine", make_engine)
        monkeypatch.setattr(
            runner,
            "candidates",
            lambda asked, _: (
                [ENGINES[name] for name in makers]
                if asked in ("auto", "fastest")
                else [ENGINES[asked]]
            ),
        )
        return made

    return put
