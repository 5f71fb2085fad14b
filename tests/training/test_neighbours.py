"""Training with adjacent slices as input."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from flomo_training.augmentation import RandNeighboursd
from flomo_training.cases import list_cases, prepare_case
from flomo_training.finetuning import corrected_frame
from flomo_training.fit import train
from flomo_training.module import load_parent_weights
from flomo_training.pack import preprocessing_hash
from flomo_training.recipe import parse_recipe, read_recipe
from napari_flomo.errors import FlomoError
from napari_flomo.models import load_network
from napari_flomo.networks import build
from napari_flomo.segmentation import Segmenter
from napari_flomo.volumes import Geometry, Volume, read


@pytest.fixture
def seeing(content):
    content["model"] |= {"in_channels": 3}
    content["model"]["preprocessing"] |= {"neighbours": 1}
    content["augmentation"] |= {"reverse": 0.5, "alone": 0.2}
    return parse_recipe(content, Path("recipe.yaml"))


@pytest.fixture
def numbered():
    """Three slices of 1, 2 and 3."""
    return torch.arange(1.0, 4)[:, None, None].expand(3, 4, 4)


@pytest.mark.parametrize("key", ["reverse", "alone"])
def test_neighbour_augmentation_requires_neighbours(content, key):
    content["augmentation"] |= {key: 0.5}
    with pytest.raises(FlomoError, match=rf"'augmentation\.{key}' needs 'model\.preprocessing"):
        parse_recipe(content, Path("recipe.yaml"))


def test_probabilities_of_neighbour_augmentation(numbered):
    change = RandNeighboursd("image", reverse=0.5, alone=0.2).set_random_state(seed=5)
    found = [tuple(change({"image": numbered})["image"][:, 0, 0].tolist()) for _ in range(500)]
    share = {kind: found.count(kind) / len(found) for kind in set(found)}
    assert share == pytest.approx({(1, 2, 3): 0.4, (3, 2, 1): 0.4, (0, 2, 0): 0.2}, abs=0.06)


def test_prepared_slices_and_corrections_hold_them(dataset, seeing):
    case = list_cases(dataset, 0, "training")[0]
    alone = replace(
        seeing.model, in_channels=1, preprocessing=replace(seeing.model.preprocessing, neighbours=0)
    )
    single, whole = prepare_case(case, alone).images, prepare_case(case, seeing.model).images
    assert whole.shape == (3, 3, *single.shape[2:])
    assert np.array_equal(whole[1], single[:, 0])  # three slices: the middle one sees them all
    assert not whole[0, 0].any()
    assert not whole[2, 2].any()
    frame = corrected_frame(read(case.image), read(case.labels), [2], seeing.model)
    assert np.array_equal(frame.volume.images, whole[2:])
    assert np.array_equal(frame.unseen, whole[:2])
    assert preprocessing_hash(alone) != preprocessing_hash(seeing.model)


def test_widened_weights_give_the_same_predictions():
    wide = build("flomo-b0", in_channels=3, num_classes=4, deep_supervision=True).eval()
    load_parent_weights(wide, "flomo-b0-acdc", widen=True)
    model, _ = load_network("flomo-b0-acdc")
    images = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        found, before = wide(images).logits, model(images[:, 1:2]).logits
    torch.testing.assert_close(found, before, rtol=1e-4, atol=1e-3)
    with pytest.raises(FlomoError, match="do not fit"):
        load_parent_weights(build("flomo-b0", in_channels=3, num_classes=4), "flomo-b0-acdc")


def test_gradients_reach_the_weights_of_neighbours():
    wide = build("flomo-b0", in_channels=3, num_classes=4)
    load_parent_weights(wide, "flomo-b0-acdc", widen=True)
    wide(torch.rand(2, 3, 64, 64)).logits.square().mean().backward()
    mixing = [p for p in wide.encoder.stage1.parameters() if p.ndim > 1 and p.shape[1] == 3]
    assert len(mixing) == 9  # seven experts, the way past them, and the router
    assert all(parameter.grad[:, 0].abs().sum() > 0 for parameter in mixing)


@pytest.mark.slow
def test_a_whole_training_from_data_to_labels(dataset, seeing, tmp_path):
    folder = train(replace(seeing, epochs=2), dataset, tmp_path / "run")
    segmenter = Segmenter.from_pretrained(folder, device="cpu", engine="eager")
    assert segmenter.card.preprocessing.neighbours == 1
    single = Volume(np.random.default_rng(0).normal(50, 9, (1, 72, 72)), Geometry((1.5, 1.5, 8.0)))
    assert segmenter.segment(single).labels.data.shape == (1, 72, 72)


def test_neighbour_recipe_starts_from_the_bundled_model():
    recipe, before = read_recipe("acdc_neighbours"), read_recipe("acdc_stage2")
    assert recipe.start_from == f"runs/{before.model.name}-fold{{fold}}/model"
    same = {"in_channels": 1, "name": before.model.name}
    rules = replace(recipe.model.preprocessing, neighbours=0)
    assert replace(recipe.model, preprocessing=rules, **same) == before.model
