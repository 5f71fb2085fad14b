"""Compare an engine with the plain network."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from napari_flomo.networks import Output
from napari_flomo.segmentation.engines import ENGINES, EngineError
from napari_flomo.segmentation.engines.agreement import check_agreement, compare

ZEROS = torch.zeros(1, 3, 2, 2)


def test_different_labels(card):
    truth = ZEROS.clone()
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


def test_ties(card):
    truth = ZEROS.clone()
    other = truth.clone()
    truth[0, 0], other[0, 1] = 1e-5, 1e-5
    seen = check_agreement(ENGINES["fast"], Output(other), Output(truth), card)
    assert seen.labels == 0


@pytest.mark.parametrize("engine", ["fast", "bf16"])
@pytest.mark.parametrize(
    ("other", "message"),
    [
        (Output(ZEROS * float("nan")), ""),
        (Output(torch.zeros(1, 3, 2, 3)), "shape"),
        (Output(ZEROS, maps={"stage1.entropy": torch.ones(1, 1, 2, 2)}), r"map stage1\.entropy"),
    ],
)
def test_wrong_output(card, engine, other, message):
    truth = Output(ZEROS, maps={"stage1.entropy": torch.zeros(1, 1, 2, 2)} if other.maps else {})
    with pytest.raises(EngineError, match=message):
        check_agreement(ENGINES[engine], other, truth, card)


def test_low_precision_tolerance(card):
    truth = torch.zeros(1, 3, 4, 4)
    truth[0, 1] = 2.0
    near = Output(truth * 1.05)
    assert check_agreement(ENGINES["bf16"], near, Output(truth), card).dice == 1
    with pytest.raises(EngineError):
        check_agreement(ENGINES["fast"], near, Output(truth), card)


def test_low_precision_dice(card):
    truth = torch.zeros(1, 3, 80, 80)
    truth[0, 1], truth[0, 2] = 2.0, 1.9
    other = truth.clone()
    other[0, 2, :2, :2] = 2.1
    check_agreement(ENGINES["bf16"], Output(other), Output(truth), card)
    other[0, 2, :2] = 2.1
    with pytest.raises(EngineError, match=r"Dice of the labels is 0\.975"):
        check_agreement(ENGINES["bf16"], Output(other), Output(truth), card)


def test_sigmoid(card):
    card = replace(card, activation="sigmoid")
    truth = torch.full((1, 2, 2, 2), 4.0)
    other = truth.clone()
    other[0, 1, 0, 0] = -4.0
    assert compare(Output(other), Output(truth), card).labels == 1
