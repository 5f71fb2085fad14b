"""Losses of small cases computed by hand."""

from __future__ import annotations

import pytest
import torch

from flomo_training.losses import SegmentationLoss
from flomo_training.recipe import LossWeights
from napari_flomo.networks import Auxiliary, Output


def logits_of(probability: float) -> torch.Tensor:
    """Two classes, 1x1x4 pixels, all with this probability of class 1."""
    logit = torch.logit(torch.tensor(probability))
    return torch.stack([torch.zeros(1, 1, 4), logit.expand(1, 1, 4)], 1)


CLASSES = torch.tensor([[[1, 1, 0, 0]]])


TERMS = [
    (LossWeights(cross_entropy=1), 0.5 * (0.2231 + 1.6094)),
    (LossWeights(dice=1), 1 - 2 * 1.6 / (3.2 + 2)),
    # 0.7 * 0.4 missed, 0.3 * 1.6 too many
    (LossWeights(focal_tversky=1), (1 - 1.6 / (1.6 + 0.7 * 0.4 + 0.3 * 1.6)) ** 0.75),
]


@pytest.mark.parametrize(("weights", "expected"), TERMS)
def test_terms(weights, expected):
    loss = SegmentationLoss(weights)(Output(logits_of(0.8)), CLASSES)
    assert loss.item() == pytest.approx(expected, abs=2e-4)


def test_deep_supervision_weights_and_penalties():
    weights = LossWeights(dice=1, cross_entropy=1, focal_tversky=0, deep_supervision=0.4)
    loss = SegmentationLoss(weights)
    single = loss.single(logits_of(0.8), CLASSES).item()
    aux = [Auxiliary(logits_of(0.8), "logits", 2), Auxiliary(logits_of(0.8), "logits", 3),
           Auxiliary(torch.tensor(0.25), "router_entropy", 0)]  # fmt: skip
    total = loss(Output(logits_of(0.8), aux), CLASSES).item()
    assert total == pytest.approx(single * (1 + 0.4 + 0.2) + 0.25, rel=1e-5)


def test_perfect_prediction_has_no_loss_and_finite_gradients():
    logits = torch.where(CLASSES[:, None] == torch.arange(2).view(1, 2, 1, 1), 30.0, -30.0)
    logits = logits.requires_grad_()
    weights = LossWeights(dice=1, cross_entropy=1, focal_tversky=1)
    loss = SegmentationLoss(weights)(Output(logits), CLASSES)
    loss.backward()
    assert loss.item() < 1e-3
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("weights", [weights for weights, _ in TERMS])
def test_one_sigmoid_channel_equals_softmax_over_two(weights):
    # Two classes by softmax are one by sigmoid: the same probabilities, so the same terms.
    both = logits_of(0.8) + torch.randn(1, 1, 1, 4, generator=torch.Generator().manual_seed(0))
    softmax = SegmentationLoss(weights)(Output(both), CLASSES)
    single = SegmentationLoss(weights, "sigmoid")(Output(both[:, 1:] - both[:, :1]), CLASSES)
    assert single.item() == pytest.approx(softmax.item(), abs=1e-5)


def test_sigmoid_structures_each_have_their_channel():
    classes = torch.tensor([[[0, 1, 2, 2]]])
    certain = torch.tensor([[[[-9.0, 9, -9, -9]], [[-9, -9, 9, 9]]]])
    loss = SegmentationLoss(LossWeights(dice=1, cross_entropy=1, focal_tversky=0), "sigmoid")
    assert loss(Output(certain), classes).item() < 1e-2
    assert loss(Output(certain.flip(1)), classes).item() > 2
