"""Overlap and surface metrics of cases computed by hand or by brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest

from flomo_training.metrics import NSD_TOLERANCE_MM, compare

SPACING = (8.0, 1.5, 1.25)


def block(rows, columns, slices=slice(2, 6), shape=(8, 40, 44)):
    mask = np.zeros(shape, bool)
    mask[slices, slice(*rows), slice(*columns)] = True
    return mask


def surface(mask):
    """Return the voxels of a mask with a face outside it, as (n, 3) indices."""
    padded = np.pad(mask, 1)
    inner = padded.copy()
    for axis in range(3):
        for step in (-1, 1):
            inner &= np.roll(padded, step, axis)
    return np.argwhere((padded & ~inner)[1:-1, 1:-1, 1:-1])


def hd95_by_hand(first, second, spacing):
    one, other = (surface(mask) * np.array(spacing) for mask in (first, second))
    distances = np.linalg.norm(one[:, None] - other[None], axis=2)
    return max(np.percentile(distances.min(1), 95), np.percentile(distances.min(0), 95))


def test_overlap_by_counting():
    reference, result = block((10, 20), (10, 20)), block((10, 20), (14, 24))
    found = compare(reference, result, SPACING)
    assert found.dice == pytest.approx(0.6)
    assert found.iou == pytest.approx(6 / 14)
    assert found.slice_dice == pytest.approx(0.6)
    assert found.slices == 4
    assert found.dice == pytest.approx(2 * found.iou / (1 + found.iou))


@pytest.mark.parametrize(
    ("rows", "columns", "slices", "expected"),
    [
        ((13, 23), (10, 20), (2, 6), 3 * 1.5),
        ((10, 20), (15, 25), (2, 6), 5 * 1.25),
        ((10, 20), (10, 20), (3, 7), 8.0),
    ],
)
def test_hd95_of_a_shift_in_millimetres(rows, columns, slices, expected):
    reference, result = block((10, 20), (10, 20)), block(rows, columns, slice(*slices))
    assert compare(reference, result, SPACING).hd95_mm == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(5))
def test_hd95_equals_brute_force(seed):
    rng = np.random.default_rng(seed)
    slices, rows, columns = np.mgrid[:6, :24, :26]

    def blob():
        centre, size = rng.uniform((2, 9, 9), (4, 15, 16)), rng.uniform((1, 4, 4), (3, 8, 8))
        middle = ((slices, rows, columns)[i] - centre[i] for i in range(3))
        return sum((m / s) ** 2 for m, s in zip(middle, size, strict=True)) < 1

    first, second = blob(), blob()
    spacing = tuple(rng.uniform((5, 1, 1), (10, 2, 2)))
    found = compare(first, second, spacing).hd95_mm
    assert found == pytest.approx(hd95_by_hand(first, second, spacing), rel=1e-4)


def test_surface_dice_tolerance():
    reference = block((10, 30), (10, 30))
    near, far = block((11, 31), (10, 30)), block((12, 32), (10, 30))
    assert near.sum() == reference.sum()
    assert compare(reference, reference, SPACING).nsd == 1
    assert SPACING[1] <= NSD_TOLERANCE_MM
    assert compare(reference, near, SPACING).nsd == 1  # 1.5 mm
    # 3 mm: the two long sides, of 20 x 4 voxels, are outside the tolerance; the rest is not.
    side, ends = 20 * 1.25 * 4 * 8, 2 * 20 * 1.25 * 20 * 1.5 + 2 * 20 * 1.5 * 4 * 8
    expected = ends / (ends + 2 * side)
    assert compare(reference, far, SPACING).nsd == pytest.approx(expected, abs=0.08)
    assert compare(reference, far, SPACING).nsd < 0.95


def test_empty_masks():
    full, empty = block((10, 20), (10, 20)), np.zeros((8, 40, 44), bool)
    diagonal = math.hypot(8 * 8.0, 40 * 1.5, 44 * 1.25)
    for pair in ((full, empty), (empty, full)):
        found = compare(*pair, SPACING)
        assert (found.dice, found.iou, found.nsd, found.slice_dice) == (0, 0, 0, 0)
        assert found.hd95_mm == pytest.approx(diagonal)
    nothing = compare(empty, empty, SPACING)
    figures = (nothing.dice, nothing.iou, nothing.hd95_mm, nothing.nsd, nothing.slice_dice)
    assert all(math.isnan(figure) for figure in figures)
    assert nothing.slices == 0


def test_unknown_spacing():
    found = compare(block((10, 20), (10, 20)), block((10, 20), (14, 24)), None)
    assert found.dice == pytest.approx(0.6)
    assert math.isnan(found.hd95_mm)
    assert math.isnan(found.nsd)


def test_one_slice_is_measured_in_its_plane():
    shape = (1, 40, 44)
    reference = block((10, 30), (10, 30), slice(0, 1), shape)
    result = block((10, 30), (10, 30), slice(0, 1), shape)
    result[0, 18:22, 18:22] = False
    # As a volume every pixel would be surface and the hole would hardly count.
    assert compare(reference, result, SPACING).hd95_mm > 8


def test_slice_dice_ignores_empty_slices():
    reference, result = block((10, 20), (10, 20)), block((10, 20), (10, 20), slice(3, 7))
    found = compare(reference, result, SPACING)
    assert found.slices == 5
    assert found.slice_dice == pytest.approx(3 / 5)


def test_empty_margins_do_not_matter():
    small = compare(block((10, 20), (10, 20)), block((12, 23), (9, 21)), SPACING)
    wide = [np.pad(block(*at), ((3, 4), (30, 20), (50, 10))) for at in
            (((10, 20), (10, 20)), ((12, 23), (9, 21)))]  # fmt: skip
    assert compare(*wide, SPACING) == small


def test_masks_of_different_shapes_are_refused():
    with pytest.raises(ValueError, match="cannot be compared"):
        compare(np.zeros((2, 3, 4), bool), np.zeros((2, 4, 3), bool), SPACING)
