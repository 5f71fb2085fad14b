"""Losses for partial labels."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from flomo_training.finetuning.partial_labels import merge_unnamed, retention, unnamed_retention
from flomo_training.label_mapping import predict_classes
from flomo_training.losses import SegmentationLoss
from flomo_training.recipe import LossWeights
from napari_flomo.networks import Output


def logits(channels: int = 4, seed: int = 0) -> torch.Tensor:
    return torch.randn(2, channels, 6, 6, generator=torch.Generator().manual_seed(seed)) * 3


def named(*flags: int) -> torch.Tensor:
    return torch.tensor([flags, flags], dtype=torch.bool)


def test_unlabelled_probability_is_added_to_the_background():
    before = logits().softmax(1)
    after = merge_unnamed(logits(), named(1, 0, 1, 1), "softmax").softmax(1)
    torch.testing.assert_close(after[:, 0], before[:, 0] + before[:, 1])
    torch.testing.assert_close(after[:, 2:], before[:, 2:])
    assert after[:, 1].max() == 0


def test_fully_labelled_logits_are_unchanged():
    assert merge_unnamed(value := logits(), named(1, 1, 1, 1), "softmax") is value


def test_unlabelled_classes_have_no_gradient():
    """The network predicts a ventricle that the reader did not label."""
    for activation, channels, flags in (("softmax", 4, (1, 0, 1, 1)), ("sigmoid", 3, (0, 1, 1))):
        loss = SegmentationLoss(LossWeights(1.0, 1.0, 0.5), activation)
        sure = torch.zeros(2, channels, 6, 6)
        unnamed = flags.index(0)
        sure[:, unnamed] = 8
        sure.requires_grad_()
        truth = torch.zeros(2, 6, 6, dtype=torch.long)
        partial = loss(Output(merge_unnamed(sure, named(*flags), activation)), truth)
        (gradient,) = torch.autograd.grad(partial, sure)
        full = loss(Output(sure), truth)
        (taught,) = torch.autograd.grad(full, sure)
        assert gradient[:, unnamed].abs().max() < 1e-2 * taught[:, unnamed].abs().max()


def test_labelled_structures_have_a_gradient():
    loss = SegmentationLoss(LossWeights(1.0, 1.0, 0.5))
    value = torch.zeros(2, 4, 6, 6, requires_grad=True)
    truth = torch.full((2, 6, 6), 2)
    loss(Output(merge_unnamed(value, named(1, 0, 1, 1), "softmax")), truth).backward()
    assert (value.grad[:, 2] < 0).all(), "it is drawn to the truth"
    assert (value.grad[:, 1] > 0).all(), "and away from what is not there"


def test_retention_is_the_kullback_leibler_divergence():
    parent, student, everywhere = logits(seed=1), logits(seed=2), torch.ones(2, 6, 6).bool()
    for temperature in (1.0, 2.0):
        p = (parent / temperature).softmax(1)
        expected = F.kl_div((student / temperature).log_softmax(1), p, reduction="none").sum(1)
        found = retention(student, parent, everywhere, "softmax", temperature)
        torch.testing.assert_close(found, temperature**2 * expected.mean())
    p, q = parent.sigmoid(), student.sigmoid()
    expected = (p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()).sum(1).mean()
    torch.testing.assert_close(retention(student, parent, everywhere, "sigmoid", 1.0), expected)


def test_retention_is_masked():
    parent, student = logits(seed=1), logits(seed=1).clone()
    student[:, :, 3:] = 0
    where = torch.ones(2, 6, 6).bool()
    where[:, 3:] = False
    assert retention(student, parent, where, "softmax", 2.0) == 0
    assert retention(student, parent, ~where, "softmax", 2.0) > 0.1
    assert retention(student, parent, torch.zeros_like(where), "softmax", 2.0) == 0


def test_predicted_classes():
    value = logits(3)
    softmax = SimpleNamespace(activation="softmax", threshold=0.5)
    torch.testing.assert_close(predict_classes(value, softmax), value.argmax(1))
    sigmoid = SimpleNamespace(activation="sigmoid", threshold=0.7)
    best = value.sigmoid().amax(1)
    expected = torch.where(best >= 0.7, value.argmax(1) + 1, 0)
    torch.testing.assert_close(predict_classes(value, sigmoid), expected)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_structures_without_labels_stay_as_in_the_parent(activation):
    torch.manual_seed(3)
    parent = torch.randn(2, 3, 4, 4)
    classes = torch.zeros(2, 4, 4, dtype=torch.long)
    classes[0, 0] = 1
    named = torch.tensor([[True, True, False], [True, True, True]])
    arguments = (parent, named, classes, activation)
    moved = parent.clone()
    moved[0, 1] += 1  # a labelled structure may change anywhere
    moved[1] += torch.randn(3, 4, 4)  # and everything where all are labelled
    assert unnamed_retention(moved, *arguments) == pytest.approx(0, abs=1e-6)
    moved[0, 2, 1] += 1
    assert unnamed_retention(moved, *arguments) > 0.001
    everything = torch.ones(2, 3, dtype=torch.bool)
    assert unnamed_retention(moved, parent, everything, classes, activation) == 0
