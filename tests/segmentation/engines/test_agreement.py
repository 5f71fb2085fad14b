"""Compare an engine with the plain network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_flomo.segmentation.engines import ENGINES, EngineError
from napari_flomo.segmentation.engines.agreement import check_agreement, compare
from napari_flomo.segmentation.output import Output

ZEROS = np.zeros((1, 3, 2, 2), np.float32)


def test_different_labels(card):
    truth = ZEROS.copy()
    truth[0, 0] = 5.0
    other = truth.copy()
    other[0, :, 0, 0] = [0.0, 9.0, 0.0]
    seen = compare(Output(other), Output(truth), card)
    assert seen.labels == 1
    assert seen.difference > 0.9
    assert seen.dice == 0
    assert compare(Output(truth), Output(truth), card).dice == 1
    with pytest.raises(EngineError, match="1 labels differ"):
        check_agreement(ENGINES["eager"], Output(other), Output(truth), card)


def test_ties(card):
    truth = ZEROS.copy()
    other = truth.copy()
    truth[0, 0], other[0, 1] = 1e-5, 1e-5
    seen = check_agreement(ENGINES["eager"], Output(other), Output(truth), card)
    assert seen.labels == 0


@pytest.mark.parametrize("engine", ["eager", "bf16"])
@pytest.mark.parametrize(
    ("other", "message"),
    [
        (Output(ZEROS * float("nan")), ""),
        (Output(np.zeros((1, 3, 2, 3), np.float32)), "shape"),
        (
            Output(ZEROS, maps={"stage1.entropy": np.ones((1, 1, 2, 2), np.float32)}),
            r"map stage1\.entropy",
        ),
    ],
)
def test_wrong_output(card, engine, other, message):
    truth = Output(
        ZEROS, maps={"stage1.entropy": np.zeros((1, 1, 2, 2), np.float32)} if other.maps else {}
    )
    with pytest.raises(EngineError, match=message):
        check_agreement(ENGINES[engine], other, truth, card)


def test_low_precision_tolerance(card):
    truth = np.zeros((1, 3, 4, 4), np.float32)
    truth[0, 1] = 2.0
    near = Output(truth * 1.05)
    assert check_agreement(ENGINES["bf16"], near, Output(truth), card).dice == 1
    with pytest.raises(EngineError):
        check_agreement(ENGINES["eager"], near, Output(truth), card)


def test_low_precision_dice(card):
    truth = np.zeros((1, 3, 80, 80), np.float32)
    truth[0, 1], truth[0, 2] = 2.0, 1.9
    other = truth.copy()
    other[0, 2, :2, :2] = 2.1
    check_agreement(ENGINES["bf16"], Output(other), Output(truth), card)
    other[0, 2, :2] = 2.1
    with pytest.raises(EngineError, match=r"Dice of the labels is 0\.975"):
        check_agreement(ENGINES["bf16"], Output(other), Output(truth), card)


def test_sigmoid(card):
    card = replace(card, activation="sigmoid")
    truth = np.full((1, 2, 2, 2), 4, np.float32)
    other = truth.copy()
    other[0, 1, 0, 0] = -4.0
    assert compare(Output(other), Output(truth), card).labels == 1
