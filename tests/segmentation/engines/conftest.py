"""An empty cache folder, a small network and images for it."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from napari_flomo.segmentation.engines import ModelSource

sys.path.insert(0, str(Path(__file__).parent))
from engine_fakes import SIZE, Small


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
def source(card, network):
    return ModelSource(card, network=network)


@pytest.fixture
def images():
    return np.random.default_rng(1).random((5, 1, *SIZE), np.float32)
