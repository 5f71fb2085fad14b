"""Compare an engine with the plain network."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from napari_flomo.models import ModelCard
from napari_flomo.networks import Output
from napari_flomo.segmentation.engines import ENGINES, EngineError
from napari_flomo.segmentation.engines.agreement import check_agreement, compare


def test_different_labels(card: ModelCard) -> None:
    truth = torch.zeros(1, 3, 2, 2)
    truth[0, 0] = 5.0
    other = truth.clone()
    other[0, :, 0, 0] = torch.tensor([0.0, 9.0, 0.0])
    seen = compare(Output(other), Output(truth), card)
    assert seen.labels == 1
    assert seen.difference > 0.9
    assert seen.dice == 0
    assert compare(Output(truth), Output(truth), card).dice == 1
    with pytest.raises(EngineError, match="1 labels differ"):
        check_agreement(ENGINES["fast"], Output(other), Output(truth), card)


def test_ties(card: ModelCard) -> None:
    truth = torch.zeros(1, 3, 2, 2)
    other = truth.clone()
    truth[0, 0], other[0, 1] = 1e-5, 1e-5
    seen = check_agreement(ENGINES["fast"], Output(other), Output(truth), card)
    assert seen.labels == 0


def test_nan(card: ModelCard) -> None:
    truth = torch.zeros(1, 3, 2, 2)
    for kind in (ENGINES["fast"], ENGINES["bf16"]):
        with pytest.raises(EngineError):
            check_agreement(kind, Output(truth * float("nan")), Output(truth), card)


def test_wrong_shape(card: ModelCard) -> None:
    with pytest.raises(EngineError, match="shape"):
        check_agreement(
            ENGINES["fast"], Output(torch.zeros(1, 3, 2, 3)), Output(torch.zeros(1, 3, 2, 2)), card
        )


def test_wrong_map(card: ModelCard) -> None:
    logits = torch.zeros(1, 3, 2, 2)
    maps = {"stage1.entropy": torch.zeros(1, 1, 2, 2)}
    wrong = {"stage1.entropy": torch.ones(1, 1, 2, 2)}
    with pytest.raises(EngineError, match=r"map stage1\.entropy"):
        check_agreement(
            ENGINES["fast"], Output(logits, maps=wrong), Output(logits, maps=maps), card
        )


def test_low_precision_tolerance(card: ModelCard) -> None:
    truth = torch.zeros(1, 3, 4, 4)
    truth[0, 1] = 2.0
    near = Output(truth * 1.05)
    assert check_agreement(ENGINES["bf16"], near, Output(truth), card).dice == 1
    with pytest.raises(EngineError):
        check_agreement(ENGINES["fast"], near, Output(truth), card)


def test_low_precision_dice(card: ModelCard) -> None:
    truth = torch.zeros(1, 3, 80, 80)
    truth[0, 1], truth[0, 2] = 2.0, 1.9
    other = truth.clone()
    other[0, 2, :2, :2] = 2.1
    check_agreement(ENGINES["bf16"], Output(other), Output(truth), card)
    other[0, 2, :2] = 2.1
    with pytest.raises(EngineError, match=r"Dice of the labels is 0\.975"):
        check_agreement(ENGINES["bf16"], Output(other), Output(truth), card)


def test_sigmoid(card: ModelCard) -> None:
    card = replace(card, activation="sigmoid")
    truth = torch.full((1, 2, 2, 2), 4.0)
    other = truth.clone()
    other[0, 1, 0, 0] = -4.0
    assert compare(Output(other), Output(truth), card).labels == 1
