"""Tools that edit labels, on discs whose size is known."""

from __future__ import annotations

import numpy as np
import pytest

from napari_flomo.errors import FlomoError
from napari_flomo.label_tools import fill_between, grow, remove_islands, smooth

SPACING = (1.0, 1.5)


def disc(radius: float, centre=(40, 40), shape=(80, 80)):
    row, column = np.indices(shape)
    return np.hypot((row - centre[0]) * SPACING[0], (column - centre[1]) * SPACING[1]) <= radius


def ring(inner=15.0, outer=24.0):
    """One slice of cavity (3) in wall (2)."""
    return np.where(disc(inner), 3, np.where(disc(outer), 2, 0)).astype(np.uint8)


def radius_of(mask):
    return np.sqrt(np.count_nonzero(mask) * np.prod(SPACING) / np.pi)


@pytest.mark.parametrize("mm", [1.0, 3.0, -1.0, -3.0])
def test_growing_moves_the_border_by_millimetres(mm):
    stack = ring()[None]
    cavity = grow(stack, 3, SPACING, mm)
    assert radius_of(cavity == 3) == pytest.approx(15 + mm, abs=0.35)
    assert radius_of(cavity > 0) == radius_of(stack > 0)  # the wall gives and takes
    wall = grow(stack, 2, SPACING, mm, locked=[3])
    assert radius_of(wall > 0) == pytest.approx(24 + mm, abs=0.35)
    assert np.array_equal(wall == 3, stack == 3)


def test_smoothing_removes_a_notch_and_keeps_the_size():
    stack = ring()[None].copy()
    stack[0, 40, 44:60] = 2
    smoothed = smooth(stack, 3, SPACING, 1.5)
    notch = disc(12) & (smoothed[0] != 3)
    assert np.count_nonzero(notch) < 3
    assert radius_of(smoothed == 3) == pytest.approx(15, abs=0.3)


def test_islands_go_to_what_surrounds_them_and_holes_are_filled():
    clean = ring()
    stack = clean[None].copy()
    stack[0, 5:8, 5:8] = 3
    stack[0, 40, 27] = 3
    stack[0, 40, 40] = 0
    assert np.array_equal(remove_islands(stack, 3, SPACING)[0], clean)


def test_the_cavity_is_no_hole_of_the_wall():
    stack = ring()[None]
    assert np.array_equal(remove_islands(stack, 2, SPACING), stack)


@pytest.mark.parametrize("tool", [grow, smooth, remove_islands])
def test_tools_change_the_chosen_slices_only_and_honour_locks(tool):
    stack = np.stack([ring(), ring()])
    stack[:, 5:8, 5:8] = 3
    stack[:, 40, 50:60] = 2
    before = stack.copy()
    changed = tool(stack, 3, SPACING, slices=[1])
    assert np.array_equal(stack, before)
    assert np.array_equal(changed[0], before[0])
    assert not np.array_equal(changed[1], before[1])
    locked = tool(stack, 3, SPACING, locked=[2])
    assert np.array_equal(locked == 2, before == 2)
    with pytest.raises(FlomoError, match="locked"):
        tool(stack, 3, SPACING, locked=[3])


def test_a_gap_is_filled_with_shapes_between():
    stack = np.stack([ring(12, 20), np.zeros_like(ring()), np.zeros_like(ring()), ring(18, 26)])
    filled = fill_between(stack, SPACING)
    assert [radius_of(pixels == 3) for pixels in filled] == pytest.approx([12, 14, 16, 18], abs=0.4)
    assert [radius_of(pixels > 0) for pixels in filled] == pytest.approx([20, 22, 24, 26], abs=0.4)


def test_a_shape_that_moves_is_followed():
    first, last = disc(10, (30, 30)), disc(10, (50, 50))
    stack = np.stack([first, np.zeros_like(first), last]).astype(np.uint8)
    middle = fill_between(stack, SPACING)[1]
    assert radius_of(middle) == pytest.approx(10, abs=0.3)
    assert np.argwhere(middle).mean(axis=0) == pytest.approx([40, 40], abs=0.6)


def test_one_structure_is_filled_beside_the_others():
    stack = np.stack([ring(), ring(), ring()])
    stack[1][stack[1] == 3] = 0
    filled = fill_between(stack, SPACING, codes=[3])
    assert np.array_equal(filled[1] == 2, stack[1] == 2)
    assert radius_of(filled[1] == 3) == pytest.approx(15, abs=0.3)


def test_nothing_to_fill():
    with pytest.raises(FlomoError, match="no slice to fill"):
        fill_between(np.stack([ring(), np.zeros_like(ring())]), SPACING)
