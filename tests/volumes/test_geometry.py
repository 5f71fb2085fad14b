"""Geometry: affines, conventions, and the grids it refuses."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_flomo.errors import FlomoError
from napari_flomo.volumes import Geometry


def test_an_affine_and_back_is_the_same_grid(geometries: st.SearchStrategy[Geometry]) -> None:
    @settings(deadline=None)
    @given(geometries)
    def any_grid(geometry: Geometry) -> None:
        for back in (
            Geometry.from_affine_lps(geometry.affine_lps()),
            Geometry.from_affine_ras(geometry.affine_ras()),
        ):
            np.testing.assert_allclose(back.spacing, geometry.spacing, rtol=1e-12)
            np.testing.assert_allclose(back.origin, geometry.origin, rtol=0, atol=1e-12)
            np.testing.assert_allclose(back.direction, geometry.direction, rtol=0, atol=1e-12)
            assert back.same_space(geometry, tolerance=1e-9)

    any_grid()


def test_index_order_is_column_row_slice_and_world_is_lps() -> None:
    # Columns run to the left (x) in 2 mm, rows to the head (z) in 3 mm, slices to the front (-y).
    geometry = Geometry((2, 3, 5), (10, 20, 30), (1, 0, 0, 0, 0, -1, 0, 1, 0))
    np.testing.assert_array_equal(geometry.positions((1, 0, 0)), (12, 20, 30))
    np.testing.assert_array_equal(geometry.positions((0, 1, 0)), (10, 20, 33))
    np.testing.assert_array_equal(geometry.positions((0, 0, 1)), (10, 15, 30))
    np.testing.assert_array_equal(geometry.affine_ras() @ (0, 0, 1, 1), (-10, -15, 30, 1))


def test_grids_are_frozen_plain_and_comparable() -> None:
    geometry = Geometry(np.array([1, 2, 3]), np.zeros(3), np.eye(3).ravel())  # type: ignore[arg-type]
    assert geometry == Geometry((1, 2, 3))
    assert all(type(value) is float for value in geometry.spacing)
    with pytest.raises(dataclasses.FrozenInstanceError):
        geometry.spacing = (1, 1, 1)  # type: ignore[misc]


def test_a_grid_without_spacing_is_another_space() -> None:
    assert not Geometry.unknown().spacing_known
    assert not Geometry.unknown().same_space(Geometry((1, 1, 1)))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"spacing": (0, 1, 1)}, "spacing between columns is 0 mm"),
        ({"spacing": (1, -1, 1)}, "spacing between rows is -1 mm"),
        ({"spacing": (1, 1, 5000)}, "spacing between slices is 5000 mm"),
        ({"spacing": (1, 1, 1e-6)}, "spacing between slices is 1e-06 mm"),
        ({"spacing": (1, float("nan"), 1)}, "3 finite numbers"),
        ({"spacing": (1, 1)}, "3 finite numbers"),
        ({"spacing": (1, 1, 1), "origin": (0, 0, float("inf"))}, "3 finite numbers"),
        ({"spacing": (1, 1, 1), "origin": (0, 0, 1e9)}, "kilometre"),
        ({"spacing": (1, 1, 1), "direction": (1, 0.1, 0, 0, 1, 0, 0, 0, 1)}, "right angles"),
        ({"spacing": (1, 1, 1), "direction": (0,) * 9}, "right angles"),
        ({"spacing": (1, 1, 1), "direction": (2, 0, 0, 0, 1, 0, 0, 0, 1)}, "right angles"),
    ],
)
def test_impossible_grids_are_refused(fields: dict, words: str) -> None:
    with pytest.raises(FlomoError, match=words):
        Geometry(**fields)


@pytest.mark.parametrize(
    ("affine", "words"),
    [
        (np.diag([1.0, 0, 1, 1]), "rows is 0 mm"),
        (np.full((4, 4), np.nan), "finite 4x4"),
        (np.eye(3), "finite 4x4"),
        (np.array([[1, 0.3, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]), "right angles"),
    ],
)
def test_impossible_affines_are_refused(affine: np.ndarray, words: str) -> None:
    with pytest.raises(FlomoError, match=words):
        Geometry.from_affine_ras(affine)
