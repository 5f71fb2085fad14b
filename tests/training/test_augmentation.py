"""Each random change does what its name says, and image and classes stay on each other."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from flomo_training.augmentation import compose
from flomo_training.recipe import Augmentation

NONE = replace(
    Augmentation(**{field.name: 0.0 for field in fields(Augmentation)}), gamma_range=(1.0, 1.0)
)


@pytest.fixture
def item():
    row, column = np.mgrid[:64, :64]
    image = (0.2 + 0.5 * (np.hypot(row - 30, column - 34) < 12)).astype(np.float32)
    return {"image": image[None], "classes": (image > 0.5).astype(np.uint8)[None]}


def changed(recipe: Augmentation, item: dict, seed: int = 1) -> dict:
    return compose(recipe).set_random_state(seed=seed)(item)


def test_nothing_asked_for_changes_nothing(item):
    assert not compose(NONE).transforms
    assert np.array_equal(changed(NONE, item)["image"], item["image"])


def test_an_elastic_deformation_bends_both_alike(item):
    recipe = replace(NONE, elastic=1.0, elastic_spacing=16.0, elastic_magnitude=4.0)
    result = changed(recipe, item)
    disc, classes = torch.as_tensor(result["image"]) > 0.45, torch.as_tensor(result["classes"]) == 1
    assert (classes.numpy() != item["classes"]).sum() > 20
    assert (disc != classes).float().mean() < 0.01


def test_equalisation_widens_a_flat_image(item):
    dull = {**item, "image": 0.45 + 0.1 * item["image"]}
    result = changed(replace(NONE, clahe=1.0, clahe_clip=0.05), dull)
    assert float(np.ptp(result["image"])) > 2 * float(np.ptp(dull["image"]))
    assert np.array_equal(result["classes"], item["classes"])


def test_a_shadow_only_darkens_and_spares_the_other_side(item):
    flat = {**item, "image": np.full((3, 64, 64), 0.8, np.float32)}
    image = np.asarray(changed(replace(NONE, shadow=1.0, shadow_depth=0.9), flat)["image"])
    assert image.max() <= 0.8
    assert np.ptp(image) > 0.1
    assert np.array_equal(image[0], image[2])


@pytest.mark.parametrize("name", ["elastic", "clahe", "shadow"])
def test_a_seed_decides(item, name):
    recipe = replace(
        NONE, **{name: 1.0}, elastic_spacing=16.0, elastic_magnitude=4.0, clahe_clip=0.05,
        shadow_depth=0.9,
    )  # fmt: skip
    first, again, other = (changed(recipe, item, seed)["image"] for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
