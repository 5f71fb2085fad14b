"""A card and a network so small that a test can afford them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from napari_flomo.models import IntensityRule, Label, ModelCard, Preprocessing, save_model


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
