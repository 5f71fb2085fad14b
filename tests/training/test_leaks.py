"""Leaks are detected and named."""

from __future__ import annotations

import gzip
import json
import shutil
from dataclasses import replace

import pytest

from flomo_training.cases import list_cases
from flomo_training.leaks import fingerprint, fingerprints
from flomo_training.lineage import check_parent, trained_on
from napari_flomo.errors import FlomoError


@pytest.fixture
def copy(dataset, tmp_path):
    return shutil.copytree(dataset, tmp_path / "copy")


def test_the_same_image_under_two_names_is_a_leak(copy):
    shutil.copy(copy / "images/p4_a.nii.gz", copy / "images/p0_a.nii.gz")
    for split in ("training", "validation"):
        with pytest.raises(FlomoError, match="p0_a in validation is the same image as p4_a"):
            list_cases(copy, 0, split)
    assert len(list_cases(copy, 1, "training")) == 4  # there both are in training


def test_recompressed_image_is_a_leak(copy):
    inner = gzip.decompress((copy / "images/p4_a.nii.gz").read_bytes())
    (copy / "images/p0_a.nii.gz").write_bytes(gzip.compress(inner, 1, mtime=1_700_000_000))
    with pytest.raises(FlomoError, match="same image"):
        list_cases(copy, 0, "training")


def test_a_near_duplicate_is_a_leak(copy):
    names = [f"p{number}_a" for number in range(6)]
    hashes = {name: f"{15 << (4 * 7 * number):064x}" for number, name in enumerate(names)}
    folds = json.loads((copy / "folds.json").read_text())
    folds |= {"near_duplicate_bits": 3, "perceptual_hashes": hashes}
    (copy / "folds.json").write_text(json.dumps(folds))
    assert len(list_cases(copy, 0, "training")) == 4
    hashes["p1_a"] = f"{(15 << (4 * 7 * 5)) ^ 1:064x}"  # one bit from p5
    (copy / "folds.json").write_text(json.dumps(folds))
    with pytest.raises(FlomoError, match="p1_a in validation is a near duplicate of p5_a"):
        list_cases(copy, 0, "training")
    assert len(list_cases(copy, 1, "training")) == 4
    del hashes["p2_a"]
    (copy / "folds.json").write_text(json.dumps(folds))
    with pytest.raises(FlomoError, match="no perceptual hash of p2_a"):
        list_cases(copy, 1, "training")


def test_a_missing_image_is_named(copy):
    (copy / "images/p3_a.nii.gz").unlink()
    with pytest.raises(FlomoError, match=r"p3_a\.nii\.gz is missing"):
        list_cases(copy, 0, "training")


def test_an_image_that_changes_gets_another_fingerprint(copy):
    path = copy / "images/p3_a.nii.gz"
    before = fingerprint(path)
    shutil.copy(copy / "images/p4_a.nii.gz", path)
    assert fingerprint(path) != before


def test_a_parent_that_saw_the_held_out_fold_is_refused(dataset, recipe, make_model):
    everyone = fingerprints(list_cases(dataset, 0, "all"))
    clean = tuple(everyone[f"p{number}_a"] for number in (2, 3, 4, 5))
    recipe = replace(recipe, start_from=str(make_model(trained_on=clean)))
    card = check_parent(recipe, dataset)
    assert trained_on([card], ["ff"]) == sorted([*clean, "ff"])
    with pytest.raises(FlomoError, match="was trained on p2_a, which fold 1 holds out"):
        check_parent(replace(recipe, data=replace(recipe.data, fold=1)), dataset)


def test_a_parent_of_unknown_training_needs_its_fold_named(dataset, recipe, make_model):
    recipe = replace(recipe, start_from=str(make_model(trained_on=None)))
    with pytest.raises(FlomoError, match=r"data\.parent_fold"):
        check_parent(recipe, dataset)
    named = replace(recipe, data=replace(recipe.data, parent_fold=0))
    card = check_parent(named, dataset)
    assert trained_on([card], ["ff"]) is None
    with pytest.raises(FlomoError, match="was trained on fold 1"):
        check_parent(replace(named, data=replace(named.data, fold=1)), dataset)


def test_run_from_random_weights_has_no_parent(dataset, recipe):
    assert check_parent(recipe, dataset) is None
    assert trained_on([], ["b", "a", "b"]) == ["a", "b"]
