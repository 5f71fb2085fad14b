"""Keep the largest component of every structure."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from napari_flomo.errors import FlomoError
from napari_flomo.models.card import card_text, read_card
from napari_flomo.segmentation.postprocessing import keep_largest_component
from napari_flomo.volumes import Geometry, Volume

NEIGHBOURS = [step for step in itertools.product((-1, 0, 1), repeat=3) if any(step)]


def from_the_side(piece: set[tuple[int, ...]]) -> float:
    """Return the sum over slices of the square root of the area."""
    return sum(area**0.5 for area in Counter(where[0] for where in piece).values())


def flooded(structure: np.ndarray) -> np.ndarray:
    """Return the largest piece of a mask by walking from voxel to voxel."""
    waiting = {tuple(map(int, where)) for where in np.argwhere(structure)}
    pieces = []
    while waiting:
        start = min(waiting)
        piece, front = {start}, [start]
        waiting.remove(start)
        while front:
            here = front.pop()
            for step in NEIGHBOURS:
                there = tuple(np.add(here, step).tolist())
                if there in waiting:
                    waiting.remove(there)
                    piece.add(there)
                    front.append(there)
        pieces.append(piece)
    kept = np.zeros_like(structure)
    for where in max(pieces, key=from_the_side, default=()):
        kept[where] = True
    return kept


@pytest.mark.parametrize("seed", range(8))
def test_equals_flood_fill(seed):
    rng = np.random.default_rng(seed)
    labels = rng.choice([0, 7, 200], (4, 9, 8), p=[0.86, 0.1, 0.04]).astype(np.uint8)
    kept = keep_largest_component(labels, (7, 200))
    for code in (7, 200):
        assert np.array_equal(kept == code, flooded(labels == code))


def test_largest_in_three_dimensions():
    labels = np.zeros((6, 20, 20), np.uint8)
    labels[:, 2:5, 2:5] = 1  # 54 voxels, 9 in each slice
    labels[2, 10:17, 10:17] = 1  # 49 voxels, all in one slice
    kept = keep_largest_component(labels, (1,))
    assert kept[:, 2:5, 2:5].all()
    assert not kept[:, 10:, 10:].any()
    assert labels[2, 12, 12] == 1, "the input was changed"


def test_single_slice_component():
    labels = np.zeros((1, 20, 20), np.uint8)
    labels[0, 1:6, 1:6] = labels[0, 10:16, 10:16] = 1
    assert (keep_largest_component(labels, (1,)) == 1).sum() == 36


def test_structures_are_independent():
    labels = np.zeros((2, 12, 12), np.uint8)
    labels[0, 1:6, 1:6] = 2
    labels[0, 3, 3] = 3  # inside the other one
    labels[1, 9:11, 9:11] = 2  # a second piece
    labels[1, 0, 11] = 9
    kept = keep_largest_component(labels, (2, 3))
    assert (kept == 3).sum() == 1
    assert (kept == 2).sum() == 24
    assert kept[1, 0, 11] == 9


@pytest.fixture
def islands():
    """Two frames, each with a large disc and a small one, on opposite sides, in thick slices."""
    grey = np.zeros((2, 3, 40, 40), np.int16)
    grey[0, :, 4:20, 4:20] = grey[1, :, 22:36, 22:36] = 1000
    grey[0, 1, 30:34, 30:34] = grey[1, 1, 5:9, 5:9] = 1000
    geometry = Geometry((1.2, 1.2, 10.0))
    return Volume(grey, geometry, ("frames", "slices", "rows", "columns"), modality="MR")


def test_only_labels_are_postprocessed(make_segmenter, islands):
    plain = make_segmenter().segment(islands, keep_probabilities=True)
    postprocess = make_segmenter(postprocessing="largest_component").segment(
        islands, keep_probabilities=True
    )
    assert plain.manifest["postprocessing"] == {"rule": "none", "done": False}
    assert postprocess.manifest["postprocessing"] == {"rule": "largest_component", "done": True}
    assert "postprocess" in postprocess.manifest["seconds"]
    gone = plain.labels.data != postprocess.labels.data
    assert gone[0, 1, 30:34, 30:34].all()
    assert gone[1, 1, 5:9, 5:9].all()
    assert gone.sum() == 32  # each frame on its own: the large disc of one is not that of the other
    assert not postprocess.labels.data[gone].any()
    assert np.array_equal(plain.probabilities.data, postprocess.probabilities.data)
    assert np.array_equal(
        plain.uncertainty["entropy"].data, postprocess.uncertainty["entropy"].data
    )
    assert np.array_equal(plain.slice_scores, postprocess.slice_scores)


def test_partial_stack_is_not_postprocessed(make_segmenter, islands):
    asked = make_segmenter(postprocessing="largest_component").segment(islands, slices=[1])
    plain = make_segmenter().segment(islands, slices=[1])
    assert np.array_equal(asked.labels.data, plain.labels.data)
    assert asked.manifest["postprocessing"] == {"rule": "largest_component", "done": False}


def test_rule_in_the_card(card, tmp_path):
    path = tmp_path / "card.json"
    content = json.loads(card_text(card.with_sha256("0" * 64)))
    del content["postprocessing"]
    path.write_text(json.dumps(content))
    assert read_card(path).postprocessing == "none"
    assert replace(card, postprocessing="largest_component").card_hash != card.card_hash
    path.write_text(json.dumps(content | {"postprocessing": "smooth"}))
    with pytest.raises(FlomoError, match="'postprocessing' must be 'none' or 'largest_component'"):
        read_card(path)
