"""Folds, perceptual hashes and near duplicates."""

from __future__ import annotations

import io
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from flomo_training.duplicates import cluster_near_duplicates, hamming_distances, perceptual_hash
from flomo_training.folds import assign_folds, read_folds, split_into_blocks
from napari_flomo.errors import FlomoError


def picture(seed: int, size: int = 96) -> np.ndarray:
    """Return a smooth random picture."""
    coarse = np.random.default_rng(seed).integers(0, 255, (12, 12), np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC))


def saved_again(pixels: np.ndarray) -> np.ndarray:
    """Return a picture after downscaling, darkening and JPEG compression."""
    file = io.BytesIO()
    Image.fromarray(pixels // 2).resize((80, 80)).save(file, "JPEG", quality=50)
    return np.asarray(Image.open(file))


def test_perceptual_hash_of_copies_and_other_pictures():
    hashes = [perceptual_hash(picture(seed)) for seed in range(6)]
    again = [perceptual_hash(saved_again(picture(seed))) for seed in range(6)]
    unlike = hamming_distances(hashes, again)
    assert unlike.diagonal().max() <= 16
    assert unlike[~np.eye(6, dtype=bool)].min() > 64
    assert len(bytes.fromhex(hashes[0])) == 32


def test_colours_do_not_change_the_hash():
    grey = picture(1)
    assert perceptual_hash(np.stack([grey] * 3, axis=-1)) == perceptual_hash(grey)


def test_chains_of_near_duplicates_form_a_cluster():
    zero = bytes(32).hex()
    four, eight = (b"\x0f" + bytes(31)).hex(), (b"\xff" + bytes(31)).hex()
    far = (bytes(16) + b"\xff" * 16).hex()
    assert cluster_near_duplicates([far, eight, zero, four], 4) == [0, 1, 1, 1]
    assert cluster_near_duplicates([far, eight, zero, four], 3) == [0, 1, 2, 3]
    assert cluster_near_duplicates([], 3) == []


def test_folds_keep_groups_and_are_stratified():
    groups = {f"a{i}": ["a"] * (1 + i % 3) for i in range(30)} | {f"b{i}": ["b"] for i in range(20)}
    folds = assign_folds(groups)
    assert sorted(name for fold in folds for name in fold) == sorted(groups)
    for stratum in "ab":
        sizes = [sum(groups[n].count(stratum) for n in fold) for fold in folds]
        assert max(sizes) - min(sizes) <= 1
    assert assign_folds(groups) == folds
    assert assign_folds(groups, seed=1) != folds


def test_blocks_end_between_videos():
    scenes = np.repeat(np.arange(7), [18, 25, 17, 15, 10, 12, 3])  # 100 frames
    unlike = np.where(scenes[:, None] == scenes, 3, 90)
    unlike[30] = unlike[:, 30] = 80  # one blurred frame is no cut
    blocks = split_into_blocks(unlike)
    assert Counter(blocks) == {0: 18, 1: 25, 2: 17, 3: 25, 4: 15} or all(
        len({blocks[i] for i in np.flatnonzero(scenes == scene)}) == 1 for scene in (0, 1, 2)
    )
    assert blocks == sorted(blocks)
    assert set(blocks) == set(range(5))
    with pytest.raises(FlomoError, match="too few"):
        split_into_blocks(unlike[:9, :9])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[]", "object"),
        ('{"folds": 3}', "list"),
        ('{"folds": [["a"], ["a"]]}', "two"),
    ],
)
def test_a_broken_file_is_explained(tmp_path, text, message):
    (tmp_path / "folds.json").write_text(text)
    with pytest.raises(FlomoError, match=message):
        read_folds(tmp_path)
