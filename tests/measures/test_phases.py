"""End diastole and end systole: chosen by volume, pinned, saved."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from napari_flomo.measures import (
    HeartCodes,
    HeartPhases,
    VentriclePhases,
    VoxelCounts,
    choose_phases,
    heart_of_cine,
)
from napari_flomo.volumes import Geometry, Volume

LEFT, RIGHT = 3, 1
CODES = HeartCodes(left_ventricle=LEFT, right_ventricle=RIGHT)


@pytest.fixture
def counts() -> VoxelCounts:
    """Five frames of one slice; a voxel is a millilitre."""
    data = np.zeros((5, 1, 20, 20), np.uint8)
    sizes = ((90, 70), (120, 90), (80, 100), (40, 60), (50, 50))
    for image, (left, right) in zip(data.reshape(5, -1), sizes, strict=True):
        image[: left + right] = np.repeat((LEFT, RIGHT), (left, right))
    grid = Geometry((10.0, 10.0, 10.0))
    return VoxelCounts.of(Volume(data, grid, ("frames", "slices", "rows", "columns")), (1, 3))


def test_largest_and_smallest_left_ventricle(counts: VoxelCounts) -> None:
    phases = choose_phases(counts, CODES)
    assert (phases.left.ed, phases.left.es) == (1, 3)
    assert phases.right == phases.left, "the right ventricle is measured in the same frames"
    assert not phases.pinned
    assert choose_phases(counts, CODES, [0, 4]).frames == (0, 4)
    right_only = choose_phases(counts, HeartCodes(right_ventricle=RIGHT))
    assert (right_only.right.ed, right_only.right.es) == (2, 4)
    for frames in ([], [2]):
        assert choose_phases(counts, CODES, frames) == HeartPhases()


def test_measures_come_from_the_pinned_frames(counts: VoxelCounts) -> None:
    phases = choose_phases(counts, CODES).pin("ES", 4).pin("ED", 2, ["right"])
    heart = heart_of_cine(counts, CODES, phases)
    assert (heart.left.edv_ml, heart.left.esv_ml) == (120, 50)
    assert (heart.right.edv_ml, heart.right.esv_ml) == (100, 50)
    assert heart.phases is phases
    # Nothing is measured in a frame that was not segmented: its cavity would be 0 ml.
    elsewhere = heart_of_cine(counts, CODES, phases, frames=[1, 2, 3], whole=[1, 2])
    assert (elsewhere.left.edv_ml, elsewhere.left.esv_ml) == (120, None)
    assert elsewhere.left.ef_percent is None
    assert not elsewhere.complete
    assert heart_of_cine(counts, CODES, phases, whole=[1, 2, 4]).complete


def test_a_new_choice_keeps_what_is_pinned(counts: VoxelCounts) -> None:
    earlier = choose_phases(counts, CODES).pin("ES", 4).pin("ED", 2, ["right"])
    again = choose_phases(counts, CODES, [0, 2, 3]).keep(earlier)
    assert again.left == VentriclePhases(0, 4, frozenset({"ES"}))
    assert again.right == VentriclePhases(2, 4, frozenset({"ED", "ES"}))


def test_json(counts: VoxelCounts) -> None:
    phases = choose_phases(counts, CODES).pin("ES", 4, ["left"])
    saved = json.loads(json.dumps(phases.to_dict()))
    assert HeartPhases.from_dict(saved, 5) == phases
    assert HeartPhases.from_dict(HeartPhases().to_dict(), 5) == HeartPhases()


@pytest.mark.parametrize(
    "content",
    [
        None,
        {},
        {"left": {"ED": 1, "ES": 2, "pinned": []}},
        {side: {"ED": 1, "ES": 5, "pinned": []} for side in ("left", "right")},
        {side: {"ED": "x", "ES": 5, "pinned": []} for side in ("left", "right")},
    ],
)
def test_phases_of_another_image(content: Any) -> None:
    assert HeartPhases.from_dict(content, 5) is None
