"""Each transform has its described effect on image and classes."""

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


def test_augmentation_without_probability_is_identity(item):
    assert not compose(NONE).transforms
    assert np.array_equal(changed(NONE, item)["image"], item["image"])


def test_elastic_deformation_of_image_and_classes(item):
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


def test_shadow_darkens_one_side(item):
    flat = {**item, "image": np.full((3, 64, 64), 0.8, np.float32)}
    image = np.asarray(changed(replace(NONE, shadow=1.0, shadow_depth=0.9), flat)["image"])
    assert image.max() <= 0.8
    assert np.ptp(image) > 0.1
    assert np.array_equal(image[0], image[2])


def test_rotation_of_image_and_classes(item):
    result = changed(replace(NONE, turn=1.0), item)
    image, classes = np.asarray(result["image"]), np.asarray(result["classes"])
    turns = [np.rot90(item["image"], k, (1, 2)) for k in (1, 2, 3)]
    matching = [k for k, turned in enumerate(turns, 1) if np.array_equal(turned, image)]
    assert len(matching) == 1
    assert np.array_equal(np.rot90(item["classes"], matching[0], (1, 2)), classes)


def test_a_bias_field_is_smooth_and_multiplies(item):
    flat = {**item, "image": np.full((1, 64, 64), 0.5, np.float32)}
    field = np.asarray(changed(replace(NONE, bias=1.0, bias_strength=0.3), flat)["image"]) / 0.5
    assert np.ptp(field) > 0.05
    assert (field > 0).all()
    assert np.abs(np.diff(field, axis=1)).max() < 0.1 * np.ptp(field)


def test_low_resolution_keeps_the_size(item):
    noisy = np.random.default_rng(0).uniform(size=(1, 64, 64)).astype(np.float32)
    result = changed(replace(NONE, resolution=1.0, resolution_factor=0.3), {**item, "image": noisy})
    image = np.asarray(result["image"])
    assert image.shape == noisy.shape
    assert image.std() < 0.95 * noisy.std()
    assert np.array_equal(result["classes"], item["classes"])


def test_ghosting_repeats_the_image_and_keeps_its_mean(item):
    image = np.asarray(changed(replace(NONE, ghost=1.0, ghost_strength=0.9), item)["image"])
    assert abs(float(image.mean()) - float(item["image"].mean())) < 0.01
    difference = np.abs(image - item["image"])[0]
    outside = item["classes"][0] == 0
    assert difference[outside].max() > 0.02
    # Lines of one axis only are changed: where the disc is not met, nothing is.
    untouched = (difference.max(axis=0) < 1e-3).sum(), (difference.max(axis=1) < 1e-3).sum()
    assert max(untouched) > 20


@pytest.mark.parametrize(
    "name", ["elastic", "clahe", "shadow", "turn", "bias", "resolution", "ghost"]
)
def test_augmentation_is_reproducible(item, name):
    recipe = replace(
        NONE, **{name: 1.0}, elastic_spacing=16.0, elastic_magnitude=4.0, clahe_clip=0.05,
        shadow_depth=0.9, bias_strength=0.3, resolution_factor=0.5, ghost_strength=0.5,
    )  # fmt: skip
    first, again, *others = (changed(recipe, item, seed)["image"] for seed in (1, 1, 2, 3, 4))
    assert np.array_equal(first, again)
    assert not all(np.array_equal(first, other) for other in others)
