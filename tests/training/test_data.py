"""Cases, folds and slices: grouped by patient and reproducible."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch

from flomo_training.cases import list_cases, prepare_case
from flomo_training.slices import EpochSampler, SliceDataset, crop
from napari_flomo.errors import FlomoError


def test_splits_share_no_patient(dataset):
    training = {case.patient for case in list_cases(dataset, 1, "training")}
    held_out = {case.patient for case in list_cases(dataset, 1, "validation")}
    assert held_out == {"p2", "p3"}
    assert not training & held_out
    assert len(list_cases(dataset, 1, "all")) == 6


@pytest.mark.parametrize(
    ("folds", "message"),
    [
        ([["p0", "p1"], ["p1", "p2", "p3", "p4", "p5"]], "two folds"),
        ([["p0"], ["p1", "p2", "p3", "p4"]], "p5 is in no fold"),
    ],
)
def test_a_leak_stops_the_run(dataset, tmp_path, folds, message):
    copy = shutil.copytree(dataset, tmp_path / "copy")
    (copy / "folds.json").write_text(json.dumps({"folds": folds}))
    with pytest.raises(FlomoError, match=message):
        list_cases(copy, 0, "training")


def test_incomplete_data_is_explained(dataset, tmp_path):
    with pytest.raises(FlomoError, match=r"cases\.csv"):
        list_cases(tmp_path, 0, "training")
    with pytest.raises(FlomoError, match="no fold 3"):
        list_cases(dataset, 3, "training")


def test_codes_become_classes_and_unknown_codes_are_refused(dataset, recipe):
    case = list_cases(dataset, 0, "training")[0]
    prepared = prepare_case(case, recipe.model)
    assert np.unique(prepared.classes).tolist() == [0, 1, 2]
    assert prepared.images.shape == (3, 1, 72, 72)
    assert prepared.classes.shape == (3, 72, 72)
    # The disc of patient 2 is not shifted.
    assert prepared.centre == pytest.approx((36, 36), abs=0.5)
    other = recipe.model.__class__.from_dict(
        recipe.model.to_dict() | {"labels": recipe.model.to_dict()["labels"][:2]}
    )
    with pytest.raises(FlomoError, match=r"codes \[5\]"):
        prepare_case(case, other)


def test_crop_pads_with_zeros():
    image = np.arange(1, 13).reshape(3, 4)
    whole = crop(image, (-1, -1), 6)
    assert whole[1:4, 1:5].tolist() == image.tolist()
    assert whole.sum() == image.sum()
    assert crop(image, (1, 2), 2).tolist() == [[7, 8], [11, 12]]
    assert crop(np.stack([image, image + 1]), (1, 2), 2)[1].tolist() == [[8, 9], [12, 13]]
    assert not crop(image, (-9, 9), 4).any()


def test_a_slice_depends_on_seed_epoch_and_index_alone(dataset, recipe):
    volumes = [prepare_case(c, recipe.model) for c in list_cases(dataset, 0, "training")]
    first = SliceDataset(volumes, recipe.crops, recipe.augmentation, 3)
    second = SliceDataset(volumes, recipe.crops, recipe.augmentation, 3)
    for ticket in [(0, 5), (0, 6), (3, 5)]:
        second[(1, 1)]  # other slices drawn in between change nothing
        a, b = first[ticket], second[ticket]
        assert torch.equal(a["image"], b["image"])
        assert torch.equal(a["classes"], b["classes"])
    assert not torch.equal(first[(0, 5)]["image"], first[(1, 5)]["image"])
    other = SliceDataset(volumes, recipe.crops, recipe.augmentation, 4)
    assert not torch.equal(first[(0, 5)]["image"], other[(0, 5)]["image"])
    assert first[(2, 0)]["image"].shape == (1, 48, 48)


def test_image_and_classes_stay_together_under_augmentation(dataset, recipe):
    volumes = [prepare_case(c, recipe.model) for c in list_cases(dataset, 0, "training")]
    slices = SliceDataset(volumes, recipe.crops, recipe.augmentation, 3)
    for epoch in range(10):
        item = slices[(epoch, 0)]
        image, classes = item["image"][0], item["classes"]
        if (classes == 2).sum() > 20:
            dark, grey, bright = (image[classes == k].mean() for k in range(3))
            assert dark < grey < bright


def test_sampler_yields_each_slice_once_per_epoch():
    sampler = EpochSampler(20, seed=1)
    first = list(sampler)
    assert sorted(index for _, index in first) == list(range(20))
    sampler.set_epoch(1)
    assert [i for _, i in sampler] != [i for _, i in first]
    sampler.set_epoch(0)
    assert list(sampler) == first
