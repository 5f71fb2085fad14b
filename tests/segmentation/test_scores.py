"""Scores against errors, for calibrated probabilities."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_flomo.models import ModelCard
from napari_flomo.segmentation import Scores
from napari_flomo.segmentation.scores import (
    PLAUSIBLE,
    expected_dice,
    label_confidence,
    structure_probability,
)
from napari_flomo.volumes import Geometry

GEOMETRY = Geometry((1.5, 2.0, 10.0))


def scored(probabilities: np.ndarray, card: ModelCard, geometry: Geometry = GEOMETRY) -> Scores:
    """Score the slices of ``(slices, classes, rows, columns)`` with the labels that win."""
    codes = np.array([label.code for label in card.classes], np.uint8)
    tensor = probabilities.astype(np.float32)
    labels = codes[probabilities.argmax(1)]
    if card.activation == "sigmoid":
        labels[probabilities.max(1) < card.threshold] = 0
    entropy = np.full(labels.shape, 0.5, np.float32)
    scores = Scores.empty(2, len(labels) + 1, card)
    chosen = list(range(len(labels)))
    scores.put(1, chosen, labels, entropy, tensor, card=card, geometry=geometry)
    return scores


@pytest.fixture
def honest():
    """Probabilities of three classes, and a truth that was drawn from them."""
    rng = np.random.default_rng(0)
    row, column = np.mgrid[:90, :90]
    radius = np.hypot(row - 44, column - 46)
    logits = np.stack([(radius - 30) / 5, -np.abs(radius - 22) / 4 + 1, (14 - radius) / 4])
    p = np.exp(logits) / np.exp(logits).sum(0)
    draws = rng.random((90, 90))
    truth = (draws[None] > np.cumsum(p, 0)).sum(0)
    return p[None], truth


def test_expected_error_and_dice(card, honest):
    probabilities, truth = honest
    scores = scored(probabilities, card)
    labels = probabilities[0].argmax(0)
    wrong = (labels != truth).sum() * 1.5 * 2 * 10 / 1000
    assert scores.expected_error_ml[1, 0] == pytest.approx(wrong, rel=0.1)
    assert scores.structures == (7, 200)
    for index in (1, 2):
        found, there = labels == index, truth == index
        dice = 2 * (found & there).sum() / (found.sum() + there.sum())
        assert scores.expected_dice[index - 1, 1, 0] == pytest.approx(dice, abs=0.03)
    geometry = Geometry((2.0, 1.5, 10.0), (0, 0, 0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
    voxels = scores.expected_voxels(geometry)
    assert voxels[1, 0] == pytest.approx((labels != truth).sum(), rel=0.1)
    assert np.isnan(voxels[0]).all()
    assert scores.least_expected_dice()[1, 0] == scores.expected_dice[:, 1, 0].min()
    assert np.isnan(scores.least_expected_dice()[1, 1])
    for name in ("uncertainty_cm2", "uncertainty_mm", "expected_error_ml"):
        array = getattr(scores, name)
        assert np.isnan(array[0]).all()
        assert np.isnan(array[1, 1])


def test_unknown_spacing(card, honest):
    known = scored(honest[0], card)
    unknown = scored(honest[0], card, Geometry.unknown())
    voxel, pixel = 1.5 * 2 * 10 / 1000, 1.5 * 2 / 100
    for name, size in (("expected_error_ml", voxel), ("uncertainty_cm2", pixel)):
        one, other = getattr(known, name)[1, 0], getattr(unknown, name)[1, 0]
        assert one == pytest.approx(other * size, rel=1e-5)


def test_empty_slice(card):
    nothing = np.zeros((1, 3, 20, 20))
    nothing[:, 0] = 1
    scores = scored(nothing, card)
    assert scores.expected_error_ml[1, 0] == 0
    assert scores.uncertainty_cm2[1, 0] == 0
    assert np.isnan(scores.expected_dice[:, 1, 0]).all()


def test_sigmoid(card):
    two = replace(card, activation="sigmoid", threshold=0.6)
    probabilities = np.zeros((1, 2, 10, 10))
    probabilities[0, 1, :5] = 0.9
    probabilities[0, 0, 5:] = 0.5
    tensor = probabilities.astype(np.float32)
    assert np.allclose(label_confidence(tensor, two)[0, :5], 0.9)
    assert np.allclose(label_confidence(tensor, two)[0, 5:], 0.5)
    assert np.allclose(structure_probability(tensor, two)[0, :5], 0.9)
    scores = scored(probabilities, two)
    assert scores.expected_error_ml[1, 0] == pytest.approx((50 * 0.1 + 50 * 0.5) * 0.03, rel=1e-5)
    assert scores.expected_dice[1, 1, 0] == pytest.approx(2 * 45 / (50 + 45), rel=1e-5)
    assert scores.expected_dice[0, 1, 0] == 0  # half of a slice was nearly called a wall


def test_expected_dice_of_a_certain_mask():
    nine, nothing = np.array([9.0, 0.0]), np.array([9.0, 0.4])
    dice = expected_dice(area=nine, inside=nine, whole=nothing)
    assert dice[0] == 1
    assert np.isnan(dice[1])


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_scores_against_definitions(card, activation, seed):
    """Against the definitions, pixel by pixel over the whole image."""
    rng = np.random.default_rng(seed)
    card = replace(card, activation=activation)
    logits = rng.normal(0, 4, (2, card.num_classes, 17, 23))
    share = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    p = (share if activation == "softmax" else 1 / (1 + np.exp(3 - logits))).astype(np.float32)
    scores = scored(p, card)
    codes = np.array([label.code for label in card.classes], np.uint8)
    labels = codes[p.argmax(1)]
    most = 1 - p[:, 0] if activation == "softmax" else p.max(1)
    right = p.max(1)
    if activation == "sigmoid":
        labels[right < card.threshold] = 0
        right = np.where(right >= card.threshold, right, 1 - right)
    plausible = most >= PLAUSIBLE
    area = 1.5 * 2 * (0.5 * plausible).sum((1, 2))
    assert np.allclose(scores.uncertainty_cm2[1, :2], area / 100, rtol=1e-5)
    assert np.allclose(scores.uncertainty_mm[1, :2], area / contour_mm(labels), rtol=1e-5)
    wrong = ((1 - right) * plausible).sum((1, 2)) * 0.03
    assert np.allclose(scores.expected_error_ml[1, :2], wrong, rtol=1e-4)
    for index, code in enumerate((7, 200)):
        one = p[:, index + card.num_classes - 2].astype(float)
        found, counted = labels == code, one >= PLAUSIBLE
        p_one = np.clip(one, 1e-7, 1 - 1e-7)
        bits = -(p_one * np.log2(p_one) + (1 - p_one) * np.log2(1 - p_one))
        band = 1.5 * 2 * (bits * counted).sum((1, 2)) / contour_mm(found)
        assert np.allclose(scores.structure_uncertainty_mm[index, 1, :2], band, rtol=1e-4)
        whole = (one * (found | counted)).sum((1, 2)) + found.sum((1, 2))
        dice = 2 * (one * found).sum((1, 2)) / whole
        assert np.allclose(scores.expected_dice[index, 1, :2], dice, rtol=1e-4)


def contour_mm(labels: np.ndarray) -> np.ndarray:
    """Length of the boundaries between labels in pixels of 1.5 mm by 2 mm, columns by rows."""
    down = (np.diff(labels.astype(int), axis=1) != 0).sum((1, 2)) * 1.5
    across = (np.diff(labels.astype(int), axis=2) != 0).sum((1, 2)) * 2.0
    return np.maximum((down + across) * np.pi / 4, 30)
