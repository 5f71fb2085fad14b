"""Losses and targets, from published values and small cases computed by hand."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from flomo_training.losses import SegmentationLoss, make_loss
from flomo_training.mixing_loss import MixingLoss
from flomo_training.multi_task_loss import MultiTaskLoss
from flomo_training.recipe import LossWeights, parse_recipe
from flomo_training.slices import SliceDataset
from flomo_training.targets import boundary_map, distance_map, target_maker
from napari_flomo.networks import Auxiliary, Output

GOLDENS = Path(__file__).parents[1] / "goldens"
MULTI_TASK = LossWeights(kind="multi_task")
MIXING = LossWeights(dice=0.4, cross_entropy=0.6, kind="mixing")


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


def test_boundary_by_hand():
    mask = np.zeros((6, 7), bool)
    mask[2:6, 2:5] = True  # touches the lower frame, which is no edge
    expected = np.array(
        [
            [0, 0, 0, 0, 0, 0, 0],
            [0, 1, 1, 1, 1, 1, 0],
            [0, 1, 1, 1, 1, 1, 0],
            [0, 1, 1, 0, 1, 1, 0],
            [0, 1, 1, 0, 1, 1, 0],
            [0, 1, 1, 0, 1, 1, 0],
        ],
        np.float32,
    )
    assert np.array_equal(boundary_map(mask), expected)
    assert not boundary_map(np.zeros((4, 4), bool)).any()
    assert not boundary_map(np.ones((4, 4), bool)).any()


def test_distance_by_hand():
    mask = np.zeros((5, 5), bool)
    mask[:, 1:4] = True
    expected = np.tile(np.array([0, 0.5, 1, 0.5, 0], np.float32), (5, 1))
    assert np.array_equal(distance_map(mask), expected)
    corner = np.zeros((3, 3), bool)
    corner[1, 1] = True
    assert np.array_equal(distance_map(corner), corner.astype(np.float32))
    # Two pixels deep at the middle of a 3x3 block, but 1 at its corners.
    block = np.zeros((5, 5), bool)
    block[1:4, 1:4] = True
    assert distance_map(block)[2, 2] == 1
    assert distance_map(block)[1, 1] == 0.5
    assert not distance_map(np.zeros((3, 3), bool)).any()
    assert distance_map(np.ones((3, 3), bool)).all()


@pytest.mark.parametrize(("weighted", "name"), [(False, "official"), (True, "intended")])
def test_structure_loss_equals_the_published_code(weighted, name):
    golden = np.load(GOLDENS / "madgnet" / "structure_loss.npz")
    loss = MultiTaskLoss(replace(MULTI_TASK, weighted_entropy=weighted), "sigmoid")
    found = loss.structure(
        torch.from_numpy(golden["pred"]), torch.from_numpy(golden["mask"])[:, 0].long()
    )
    assert found.item() == pytest.approx(float(golden[name]), rel=2e-6)


def test_multi_task_loss_sums_regions_distances_and_boundaries_of_all_stages():
    torch.manual_seed(0)
    classes = torch.randint(0, 2, (2, 12, 10))
    distance, boundary = torch.rand(2, 1, 12, 10), torch.randint(0, 2, (2, 1, 12, 10)).float()
    maps = [torch.randn(2, 1, 12, 10) for _ in range(4)]
    kinds = ("logits", "distance", "boundary")
    output = Output(maps[0], [Auxiliary(m, k, 4) for m, k in zip(maps[1:], kinds, strict=True)])
    weights = replace(MULTI_TASK, region=2.0, distance=3.0, boundary=5.0)
    loss = make_loss(weights, "sigmoid")
    expected = (
        2 * (loss.structure(maps[0], classes) + loss.structure(maps[1], classes))
        + 3 * (maps[2].sigmoid() - distance).square().mean()
        + 5 * F.binary_cross_entropy(maps[3].sigmoid(), boundary)
    )
    torch.testing.assert_close(loss(output, classes, distance, boundary), expected)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_perfect_prediction_has_a_small_loss_and_finite_gradients(activation):
    classes = torch.zeros(1, 20, 20, dtype=torch.long)
    classes[:, 5:15, 5:10], classes[:, 5:15, 10:15] = 1, 2
    channels = torch.arange(3) if activation == "softmax" else torch.arange(1, 3)
    truth = classes[:, None] == channels[:, None, None]
    logits = torch.where(truth, 12.0, -12.0).requires_grad_()
    for weights in (MULTI_TASK, MIXING, LossWeights(dice=1, cross_entropy=1, focal_tversky=1)):
        loss = make_loss(weights, activation)
        targets = (truth.float(), truth.float()) if weights is MULTI_TASK else ()
        perfect = loss(Output(logits), classes, *targets)
        perfect.backward()
        assert perfect.item() < 0.01
        assert logits.grad.isfinite().all()
        assert loss(Output(-logits), classes, *targets).item() > 2


def test_mixing_loss_equals_the_published_code():
    golden = np.load(GOLDENS / "fias" / "mixing_loss.npz")
    target = torch.from_numpy(golden["target"]).long()
    logits = torch.from_numpy(golden["logits"])
    aux = [Auxiliary(torch.from_numpy(a), "logits", n) for n, a in enumerate(golden["aux"], 1)]
    loss = make_loss(MIXING, "softmax")
    assert isinstance(loss, MixingLoss)
    assert loss.single(logits, target).item() == pytest.approx(float(golden["single"]), rel=2e-6)
    found = loss(Output(logits, aux), target)
    assert found.item() == pytest.approx(float(golden["loss"]), rel=2e-6)


def test_mixing_loss_takes_every_subset_once():
    torch.manual_seed(0)
    classes = torch.randint(0, 3, (1, 8, 8))
    maps = [torch.randn(1, 3, 8, 8) for _ in range(3)]
    loss = MixingLoss(MIXING, "softmax")
    subsets = [s for n in (1, 2) for s in combinations(maps[1:], n)]
    assert len(subsets) == 3
    expected = loss.single(maps[0], classes) + sum(
        loss.single(sum(s) / len(s), classes) for s in subsets
    ) / len(subsets)
    output = Output(maps[0], [Auxiliary(m, "logits", n) for n, m in enumerate(maps[1:], 1)])
    torch.testing.assert_close(loss(output, classes), expected)


def test_segmentation_loss_ignores_distances_and_boundaries():
    torch.manual_seed(0)
    loss = SegmentationLoss(LossWeights(dice=1.0), "sigmoid")
    classes, logits = torch.randint(0, 2, (1, 8, 8)), torch.randn(1, 1, 8, 8)
    views = [Auxiliary(torch.randn(1, 1, 8, 8), kind, 4) for kind in ("distance", "boundary")]
    assert torch.equal(loss(Output(logits, views), classes), loss(Output(logits), classes))


def test_dataset_items_contain_the_targets_of_the_loss(content, dataset):
    from flomo_training.pack import load_training_volumes

    content["loss"] = {"kind": "multi_task"}
    recipe = parse_recipe(content, Path("recipe.yaml"))
    volumes = load_training_volumes(dataset, recipe.model, 0)
    maker = target_maker(recipe.loss, recipe.model)
    slices = SliceDataset(volumes, recipe.crops, recipe.augmentation, 3, maker)
    item = slices[(0, 1)]
    classes = item["classes"].numpy()
    assert item["distance"].shape == item["boundary"].shape == (3, *classes.shape)
    for k in range(3):  # softmax: the background has its maps, too
        assert np.array_equal(item["distance"][k] > 0, classes == k)
        assert np.array_equal(item["boundary"][k], boundary_map(classes == k))
    assert target_maker(LossWeights(dice=1.0), recipe.model) is None
