"""Fake engines, and an empty cache folder."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from napari_flomo.segmentation.engines import ENGINES, EngineRunner, runner, timing

sys.path.insert(0, str(Path(__file__).parent))
from engine_fakes import CLOCK, CPU, SIZE, Fake, Small


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """An empty cache folder, and no override of ``auto``."""
    monkeypatch.setenv("FLOMO_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("FLOMO_ENGINE", raising=False)
    return tmp_path / "home"


@pytest.fixture
def network(card):
    return Small(card.num_classes).eval()


@pytest.fixture
def images():
    return torch.rand((5, 1, *SIZE), generator=torch.Generator().manual_seed(1))


@pytest.fixture
def make(card, network):
    def make_runner(asked, weights="0" * 64):
        return EngineRunner(network, card, SIZE, device=CPU, asked=asked, weights=weights)

    return make_runner


@pytest.fixture
def fakes(monkeypatch, network):
    """Put fake engines in the place of real ones; returns all that are made, by name."""
    for module in (timing, runner):
        monkeypatch.setattr(module, "perf_counter", CLOCK)

    def put(**changes):
        def right(images):
            return network(images).logits

        makers = {name: lambda n=name: Fake(n, right) for name in ("eager", "fast")} | changes
        made = {name: [] for name in makers}

        def make_engine(name, *_, graph=None, **__):
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
