"""The thickness of the wall against phantoms whose wall is known."""

from __future__ import annotations

import numpy as np
import pytest

from napari_flomo.errors import FlomoError
from napari_flomo.measures import (
    WALL_SEGMENTS,
    HeartCodes,
    Insertions,
    thickening,
    wall_thickness,
)
from napari_flomo.volumes import Geometry, Volume

CODES = HeartCodes(left_ventricle=3, right_ventricle=1, myocardium=2)
SHAPE = (160, 160)


def phantom(inner=22.0, outer=31.0, *, step=(1.5, 1.5), slices=9, centre=(80.2, 81.7), thick=0.0):
    """A cylinder of wall (mm) that narrows to the last slice, with a right ventricle to its left.

    ``thick`` is added to the outer radius below the centre, where inferior is.
    """
    row, column = np.indices(SHAPE).astype(float)
    y, x = (row - centre[0]) * step[0], (column - centre[1]) * step[1]
    stack = np.zeros((slices, *SHAPE), np.uint8)
    for number, pixels in enumerate(stack):
        shrink = 1.5 * number
        wide = outer - shrink + np.where(y > np.abs(x), thick, 0)
        pixels[(np.hypot(y, x + outer + 4) < 30 - shrink) & (x < 0)] = 1
        pixels[np.hypot(y, x) <= wide] = 2
        pixels[np.hypot(y, x) <= inner - shrink] = 3
    return Volume.from_array(stack, geometry=Geometry((step[1], step[0], 8.0)))


@pytest.mark.parametrize("step", [(1.5, 1.5), (1.2, 1.8), (0.8, 0.8)])
@pytest.mark.parametrize("radii", [(22, 31), (22, 37), (27, 33)])
def test_a_ring_has_the_thickness_it_was_drawn_with(step, radii):
    centres = [(80.2, 81.7), (80.0, 80.0), (79.6, 80.4)]
    walls = [
        wall_thickness(phantom(*radii, step=step, slices=3, centre=centre), CODES)
        for centre in centres
    ]
    known = radii[1] - radii[0]
    assert np.mean([wall.mean_mm for wall in walls]) == pytest.approx(known, rel=0.01)
    assert walls[0].segments_mm == pytest.approx([known] * 16, rel=0.08)


def test_septum_and_free_wall_are_found_from_the_right_ventricle():
    wall = wall_thickness(phantom(thick=4.0), CODES)
    thick = {name for name, mm in zip(WALL_SEGMENTS, wall.segments_mm, strict=True) if mm > 11}
    assert thick == {"basal inferior", "mid inferior", "apical inferior"}
    assert list(wall.levels.values()) == ["basal"] * 3 + ["mid"] * 3 + ["apical"] * 3
    anterior, inferior = wall.insertions[4].anterior, wall.insertions[4].inferior
    assert anterior[0] < 80 < inferior[0]
    assert anterior[1] < 80 > inferior[1]


@pytest.mark.parametrize("axes", [(0,), (1,), (2,), (1, 2)])
def test_storage_order_does_not_change_the_segments(axes):
    stored = phantom(thick=4.0)
    step = np.ones(3)
    for axis in axes:
        step[2 - axis] = -1
    flipped = Volume.from_array(
        np.flip(stored.data, axes),
        geometry=Geometry(stored.geometry.spacing, direction=tuple(np.diag(step).ravel())),
    )
    found = [wall_thickness(volume, CODES).segments_mm for volume in (stored, flipped)]
    assert found[0] == pytest.approx(found[1], rel=0.05)


def test_insertions_can_be_moved():
    labels = phantom(thick=4.0, slices=3)
    turned = {1: Insertions(anterior=(97.0, 95.0), inferior=(97.0, 65.0))}  # septum below
    moved = wall_thickness(labels, CODES, insertions=turned | {0: turned[1], 2: turned[1]})
    assert moved.segments_mm[1] > 11
    assert moved.segments_mm[3] < 11


def test_thickening_is_the_change_from_diastole():
    diastole, systole = (wall_thickness(phantom(*radii), CODES) for radii in ((22, 30), (17, 29)))
    assert thickening(diastole, systole) == pytest.approx([50] * 16, abs=6)


def test_no_right_ventricle_leaves_the_mean():
    labels = phantom()
    wall = wall_thickness(labels, HeartCodes(left_ventricle=3, myocardium=2))
    assert wall.mean_mm == pytest.approx(9, rel=0.02)
    assert wall.segments_mm == (None,) * 16


def test_a_cavity_open_to_the_atrium_is_left_out():
    labels = phantom(slices=4)
    labels.data[0][labels.data[0] == 2] = 0
    labels.data[1][:80][labels.data[1][:80] == 2] = 0
    assert list(wall_thickness(labels, CODES).levels) == [2, 3]


def test_nothing_to_measure():
    empty = Volume.from_array(np.zeros((2, 20, 20), np.uint8), spacing=(8, 1, 1))
    assert wall_thickness(empty, CODES) is None
    with pytest.raises(FlomoError, match="voxel size"):
        wall_thickness(Volume.from_array(empty.data), CODES)
    with pytest.raises(FlomoError, match="missing"):
        wall_thickness(empty, HeartCodes(left_ventricle=3))
