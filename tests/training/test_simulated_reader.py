"""The simulated reader corrects labelled structures only."""

from __future__ import annotations

import numpy as np
import pytest

from flomo_training.simulated_reader import ScoredSlice, corrected, most_uncertain, redraw
from napari_flomo.volumes import Geometry, Volume

RV, MYO, LV = 1, 2, 3


def rings(cavity: float, wall: float) -> np.ndarray:
    """A left ventricle of two radii with a right ventricle beside it."""
    rows, columns = np.mgrid[:48, :48]
    away = np.hypot(rows - 24, columns - 24)
    labels = np.where(np.hypot(rows - 24, columns - 42) < 5, RV, 0)
    labels[away < wall] = MYO
    labels[away < cavity] = LV
    return labels.astype(np.uint8)


def volume(*slices: np.ndarray) -> Volume:
    return Volume(np.stack(slices), Geometry((1.4, 1.4, 8.0)))


def test_labelled_structures_are_corrected():
    proposed, reference = rings(9, 13), rings(7, 11)
    result = redraw(proposed, np.where(reference == RV, 0, reference), [MYO, LV])
    np.testing.assert_array_equal(result == LV, reference == LV)
    np.testing.assert_array_equal(result == MYO, reference == MYO)
    np.testing.assert_array_equal(result == RV, proposed == RV)


def test_too_large_cavity_is_filled_by_the_wall():
    proposed, reference = rings(9, 13), rings(6, 13)
    result = redraw(proposed, np.where(reference == LV, LV, 0), [LV])
    np.testing.assert_array_equal(result == LV, reference == LV)
    np.testing.assert_array_equal(result == MYO, (rings(6, 13) == MYO))


def test_a_slice_that_is_all_structure_becomes_background():
    full = np.full((8, 8), LV, np.uint8)
    assert not redraw(full, np.zeros_like(full), [LV]).any()


def test_unselected_slices_are_unchanged():
    proposed = volume(rings(9, 13), rings(9, 13), rings(9, 13))
    reference = volume(rings(7, 11), rings(7, 11), rings(7, 11))
    result = corrected(proposed, reference, [1], [MYO, LV])
    np.testing.assert_array_equal(result.data[[0, 2]], proposed.data[[0, 2]])
    np.testing.assert_array_equal(result.data[1] == LV, reference.data[1] == LV)
    assert result.geometry == proposed.geometry


def test_other_grids_are_refused():
    with pytest.raises(ValueError, match="cannot be corrected"):
        corrected(volume(rings(9, 13)), volume(*[rings(9, 13)] * 2), [0], [LV])


def test_the_most_uncertain_come_first():
    scored = [ScoredSlice(*one) for one in ((0, 0, 0.1), (1, 2, 0.9), (0, 3, 0.9), (1, 1, 0.5))]
    assert most_uncertain(scored, 3) == [scored[2], scored[1], scored[3]]
