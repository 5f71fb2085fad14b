"""Where the voxels of any napari layer lie."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("napari", reason="napari is not installed")

from napari.layers import Image, Labels

from napari_flomo.errors import FlomoError
from napari_flomo.volumes import Volume
from napari_flomo.widgets.layers import (
    Grid,
    describe,
    geometry_of_layer,
    layer_of_volume,
    transform_of,
    volume_of_layer,
)

RNG = np.random.default_rng(5)


def turn(degrees: float, first: int, second: int, ndim: int = 3) -> np.ndarray:
    matrix = np.eye(ndim + 1)
    angle = np.deg2rad(degrees)
    matrix[first, first] = matrix[second, second] = np.cos(angle)
    matrix[first, second], matrix[second, first] = -np.sin(angle), np.sin(angle)
    return matrix


AFFINE = turn(20, 0, 2)
AFFINE[:3, 3] = (5, -3, 2)
PLACES: list[dict[str, Any]] = [
    {"scale": (8, 1.5, 1.25)},
    {"scale": (8, 1.5, 1.25), "translate": (10, -20, 30)},
    {"scale": (8, 1.5, 1.25), "rotate": (30, 0, 0)},
    {"scale": (8, 1.5, 1.25), "affine": AFFINE},
    {"scale": (8, 1.5, -1.25), "translate": (1, 2, 3), "rotate": (10, 20, 30), "affine": AFFINE},
]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("frames", [0, 4])
def test_scale_rotation_translation_and_affine_compose(place: dict[str, Any], frames: int) -> None:
    """Every voxel lies where napari draws it, read backwards: (z, y, x) becomes (x, y, z)."""
    shape = (3, 20, 24)
    if frames:
        shape = (frames, *shape)
        place = place | {"scale": (1, *place["scale"])}
        if "translate" in place:
            place["translate"] = (0, *place["translate"])
        if "affine" in place:
            whole = np.eye(5)
            whole[1:, 1:] = place["affine"]
            place["affine"] = whole
        if "rotate" in place:
            whole = np.eye(4)
            whole[1:, 1:] = Image(np.zeros((2, 2, 2)), rotate=place["rotate"]).rotate
            place["rotate"] = whole
    layer = Image(RNG.random(shape), **place)
    geometry = geometry_of_layer(layer)
    for index in RNG.integers(0, 20, (8, 3)):
        world = layer.data_to_world((*([2] if frames else []), *index))
        np.testing.assert_allclose(geometry.positions(index[::-1]), world[-3:][::-1], atol=1e-9)
    result = Labels(np.zeros(shape, np.uint8), **transform_of(layer))
    np.testing.assert_allclose(
        result.data_to_world([1] * len(shape)), layer.data_to_world([1] * len(shape))
    )


def test_units_of_length_become_millimetres() -> None:
    layer = Image(np.zeros((3, 4, 5)), scale=(800, 150, 150), units=("um", "um", "um"))
    assert geometry_of_layer(layer).spacing == pytest.approx((0.15, 0.15, 0.8))


def test_an_unknown_geometry_is_described() -> None:
    layer = Image(np.zeros((3, 4, 5)))
    assert not geometry_of_layer(layer).spacing_known
    assert "voxel size not set" in describe(layer)
    assert geometry_of_layer(Image(np.zeros((3, 4, 5)), units=("mm",) * 3)).spacing_known


def test_shear_is_refused() -> None:
    layer = Image(np.zeros((3, 40, 50)), scale=(8, 1, 1), shear=(0.5, 0, 0), name="crooked")
    with pytest.raises(FlomoError, match=r"crooked cannot be placed in space: .* right angles"):
        volume_of_layer(layer)
    assert "right angles" in describe(layer)


def test_frames_mixed_with_space_are_refused() -> None:
    affine = np.eye(5)
    affine[0, 1] = 0.5
    with pytest.raises(FlomoError, match="mixes frames with space"):
        geometry_of_layer(Image(np.zeros((2, 3, 4, 5)), affine=affine))


def test_five_dimensions_are_refused() -> None:
    with pytest.raises(FlomoError, match="has 5 dimensions"):
        volume_of_layer(Image(np.zeros((2, 2, 2, 4, 5)), name="much"))


def test_the_true_geometry_wins(make_volume: Callable[..., Volume]) -> None:
    volume = make_volume()
    layer = Image(volume.data, **layer_of_volume(volume))
    assert volume_of_layer(layer).geometry == volume.geometry
    layer.scale = (10, 1.5, 1.25)  # somebody mends a wrong thickness
    mended = volume_of_layer(layer).geometry
    assert mended.spacing == (1.25, 1.5, 10)
    assert mended.direction == volume.geometry.direction


def test_a_single_image() -> None:
    layer = Image(RNG.random((20, 24)), scale=(1.5, 1.25), translate=(4, 6))
    volume = volume_of_layer(layer)
    assert volume.data.shape == (1, 20, 24)
    assert volume.geometry.spacing == (1.25, 1.5, 1)
    assert volume.geometry.origin == (6, 4, 0)
    grid = Grid.of(volume, layer.ndim)
    assert grid.shape == (20, 24)
    shown = grid.layer_data(volume)
    assert shown.shape == (20, 24)
    assert np.shares_memory(shown, volume.data)
    assert grid.volume(np.ones((20, 24), np.uint8)).data.shape == (1, 20, 24)


def test_a_colour_photo() -> None:
    layer = Image((RNG.random((20, 24, 3)) * 255).astype(np.uint8), rgb=True)
    volume = volume_of_layer(layer)
    assert volume.axes == ("slices", "rows", "columns", "channels")
    assert volume.modality == "photo"
    assert Grid.of(volume, layer.ndim).shape == (20, 24)


def test_descriptions_of_multiscale_and_lazy_layers() -> None:
    dask = pytest.importorskip("dask.array", reason="dask is not installed")
    fine = RNG.random((3, 64, 64)).astype(np.float32)
    pyramid = Image([fine, fine[:, ::2, ::2]], multiscale=True, scale=(8, 1, 1))
    assert "the finest level is taken" in describe(pyramid)
    np.testing.assert_array_equal(volume_of_layer(pyramid).data, fine)

    computed = []
    lazy = dask.map_blocks(lambda: computed.append(1) or fine, chunks=fine.shape, dtype="f4")
    layer = Image(lazy, scale=(8, 1, 1), contrast_limits=(0, 1))
    before = len(computed)
    assert "computed when you click Segment" in describe(layer)
    assert len(computed) == before
    np.testing.assert_array_equal(volume_of_layer(layer).data, fine)


def test_nan_is_filled_at_the_border_and_refused_within() -> None:
    data = np.ones((3, 4, 5))
    data[0, 0, 0] = np.nan
    volume = volume_of_layer(Image(data.copy(), name="corner", contrast_limits=(0, 1)))
    assert (volume.data == 1).all()
    assert volume.notes[0].startswith("A voxel without a value")
    data[0, 2, 2] = np.nan
    with pytest.raises(FlomoError, match="holes has 2 of 60 voxels"):
        volume_of_layer(Image(data, name="holes", contrast_limits=(0, 1)))
