"""Packed files equal the folder bit for bit, and invalid ones are rejected."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from flomo_training.cases import list_cases
from flomo_training.pack import held_out_fingerprints, load_training_volumes, read_pack, write_pack
from flomo_training.slices import SliceDataset
from napari_flomo.errors import FlomoError


@pytest.fixture
def packed(dataset, recipe, tmp_path):
    path = tmp_path / "data.npz"
    assert write_pack(dataset, recipe.model, path) == 18
    return path


def test_slices_are_bit_for_bit_those_of_the_folder(dataset, packed, recipe):
    datasets = [
        SliceDataset(
            load_training_volumes(source, recipe.model, 1),
            recipe.crops,
            recipe.augmentation,
            recipe.seed,
        )
        for source in (dataset, packed)
    ]
    assert len(datasets[0]) == len(datasets[1]) == 12
    for epoch in (0, 3):
        for index in range(12):
            first, second = (d[(epoch, index)] for d in datasets)
            assert torch.equal(first["image"], second["image"])
            assert torch.equal(first["classes"], second["classes"])


def test_the_file_is_the_same_every_time_and_holds_no_pickle(dataset, packed, recipe, tmp_path):
    write_pack(dataset, recipe.model, tmp_path / "again.npz")
    assert packed.read_bytes() == (tmp_path / "again.npz").read_bytes()
    with np.load(packed, allow_pickle=False) as archive:
        assert archive["images_00000"].shape == (3, 1, 72, 72)
        assert {archive[name].dtype for name in archive.files} == {np.dtype(np.uint8)}


def test_pack_contains_folds_and_fingerprints(dataset, packed, recipe):
    held_out = {volume.case.patient for volume in read_pack(packed, recipe.model, 2)}
    assert held_out == {"p0", "p1", "p2", "p3"}
    assert held_out_fingerprints(packed, 2) == held_out_fingerprints(dataset, 2)
    with pytest.raises(FlomoError, match="no fold 3"):
        read_pack(packed, recipe.model, 3)


def test_other_preprocessing_is_rejected_but_not_another_crop(packed, recipe):
    rules = recipe.model.preprocessing
    assert read_pack(packed, replace(recipe.model, preprocessing=replace(rules, crop=64)), 0)
    other = replace(recipe.model, preprocessing=replace(rules, pixel_mm=1.25))
    with pytest.raises(FlomoError, match="pack the data again"):
        read_pack(packed, other, 0)


def test_damaged_pack_is_rejected(packed, recipe):
    content = packed.read_bytes()
    clean = [volume.images for volume in read_pack(packed, recipe.model, 0)]
    refused = 0
    for place in range(100, len(content) - 100, len(content) // 15):
        packed.write_bytes(content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :])
        try:
            volumes = read_pack(packed, recipe.model, 0)
        except FlomoError:
            refused += 1
        else:  # the damage lies in what this fold holds out
            assert all(np.array_equal(v.images, c) for v, c in zip(volumes, clean, strict=True))
    assert refused >= 8
    packed.write_bytes(content[: len(content) // 2])
    with pytest.raises(FlomoError, match="damaged or not a packed file"):
        read_pack(packed, recipe.model, 0)


def test_a_leak_is_not_packed(dataset, recipe, tmp_path):
    copy = shutil.copytree(dataset, tmp_path / "copy")
    shutil.copy(copy / "images/p4_a.nii.gz", copy / "images/p0_a.nii.gz")
    with pytest.raises(FlomoError, match="same image"):
        write_pack(copy, recipe.model, tmp_path / "data.npz")
    assert not (tmp_path / "data.npz").exists()


def test_evaluation_requires_the_folder(packed):
    with pytest.raises(FlomoError, match="give the folder"):
        list_cases(packed, 0, "validation")
