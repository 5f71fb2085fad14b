"""FLoMo-Net B1 and B2 on the engines of this computer, with slices of a real heart."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from engine_fakes import CPU, need
from real_slices import SIDE, heart, network_with_statistics, with_temperature
from torch import Tensor, nn

from napari_flomo.models import ModelCard
from napari_flomo.segmentation.engines import ENGINES, make_engine
from napari_flomo.segmentation.engines.agreement import check_agreement
from napari_flomo.segmentation.prediction import as_probabilities


@pytest.fixture(scope="module")
def images(repository: Path) -> Tensor:
    return heart(repository)


@pytest.fixture(scope="module")
def networks() -> dict[str, tuple[nn.Module, Tensor]]:
    """Those that were made already, with their logits."""
    return {}


@pytest.mark.parametrize(
    ("name", "engine"),
    [
        ("flomo-b1", "fast"),
        ("flomo-b1", "openvino"),
        pytest.param("flomo-b1", "onnxruntime", marks=pytest.mark.slow),
        ("flomo-b2", "fast"),
        pytest.param("flomo-b2", "openvino", marks=pytest.mark.slow),
    ],
)
def test_agrees_with_the_network(
    name: str,
    engine: str,
    images: Tensor,
    card: ModelCard,
    networks: dict[str, tuple[nn.Module, Tensor]],
) -> None:
    need(engine)
    kind = ENGINES[engine]
    if name not in networks:
        networks[name] = network_with_statistics(card, images, name)
    network, logits = networks[name]
    sure = with_temperature(card, logits)
    assert as_probabilities(logits, sure).argmax(1).unique().numel() == card.num_classes
    made = make_engine(engine, network, channels=1, size=(SIDE, SIDE), device=CPU)
    with torch.inference_mode():
        truth = network(images)
        found = made(images, maps=kind.maps)
    assert found.maps.keys() == (truth.maps.keys() if kind.maps else set())
    check_agreement(kind, found, truth, sure)
