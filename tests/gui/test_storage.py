"""Layers of other readers, with slices on any axis: results and paint go to the right place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from napari.layers import Image, Labels

from napari_flomo.corrections import replay, unfinished
from napari_flomo.session import SliceIndex
from napari_flomo.volumes import AXIS_NAMES, Geometry, Volume, read, write
from napari_flomo.volumes.slice_axis import arrange
from napari_flomo.widgets.layers import Grid, layout_of, volume_of_layer
from napari_flomo.widgets.reader import read_layers
from napari_flomo.widgets.writer import write_layer

ORDERS = ((1, 0, 2), (1, 2, 0))
"""For the dimensions of a layer, the axes of a stack: slices in the middle, slices last."""


def expected(heart: Volume) -> np.ndarray:
    """Return what the toy model finds."""
    return np.where(heart.data > 150, 3, np.where(heart.data > 80, 2, 0))


def foreign(bench: Any, heart: Volume, order: tuple[int, ...], **changes: Any) -> Any:
    """Open a stack as another reader would, with its axes in some order."""
    steps = np.array(heart.geometry.spacing[::-1])[list(order)]
    arguments = {"name": "foreign", "scale": steps, "units": ("mm",) * 3, "rgb": False} | changes
    layer = bench.viewer.add_image(heart.data.transpose(order), **arguments)
    return bench.viewer_state.entry_of(layer)


@pytest.mark.parametrize("order", ORDERS)
def test_layer_of_any_order(
    bench: Any, make_heart: Callable[..., Volume], order: tuple[int, ...], tmp_path: Path
) -> None:
    heart = make_heart(slices=4)
    entry = foreign(bench, heart, order)
    bench.segment.refresh()
    assert not bench.segment.form.slice_axis.native.isVisible()
    assert bench.segment.image_line.text().startswith("4 slices, 64 × 64 pixels, 1.5 × 1.5 × 8 mm")
    seen = order.index(0) not in bench.viewer.dims.displayed
    bench.segment.form.scope.value = "slice"
    bench.run()
    assert (entry.labels is not None) == seen
    assert seen or "click Segment again" in bench.segment.message.text.text()
    bench.segment.form.scope.value = "stack"
    bench.run()
    np.testing.assert_array_equal(entry.labels.data, expected(heart).transpose(order))
    assert entry.uncertainty.data.shape == entry.image.data.shape
    image = bench.viewer_state.opened(entry)
    assert image.volume.spatial_shape == heart.data.shape
    assert image.volume.in_plane_spacing == (1.5, 1.5)
    [path] = write_layer(str(tmp_path / "labels.nii.gz"), *entry.labels.as_layer_data_tuple()[:2])
    saved = nibabel.load(path)
    np.testing.assert_array_equal(np.asarray(saved.dataobj).T, entry.labels.data)
    np.testing.assert_allclose(saved.header.get_zooms(), entry.image.scale[::-1])

    slices = order.index(0)
    assert slices not in bench.viewer.dims.displayed
    for number in (3, 1, 2):
        bench.review._go_to(SliceIndex(0, number))
        assert bench.viewer.dims.point[slices] == pytest.approx(8 * number)
        assert bench.viewer_state.position(entry) == SliceIndex(0, number)

    point = np.array([2, 5, 9])[list(order)]
    entry.labels.brush_size = 1
    entry.labels.paint(tuple(point), 3)
    entry.watch.settle()
    wanted = expected(heart)
    assert np.argwhere(image.labels.data != wanted).tolist() == [[2, 5, 9]]
    assert image.labels.data[2, 5, 9] == 3
    assert np.shares_memory(image.labels.data, entry.labels.data)
    assert image.review.edits(SliceIndex(0, 2)) == 1
    assert image.counts.voxels(3, 0) == (wanted == 3).sum() + 1
    assert image.autosave.flush()
    bench.viewer_state.session.labels_removed(image.key)  # as a crash, which leaves the journal
    [left] = unfinished()
    found = replay(left.folder)
    np.testing.assert_array_equal(found.image.data, heart.data)
    assert np.argwhere(found.labels.data != found.proposed.data).tolist() == [[2, 5, 9]]


def test_second_run_and_undo_keep_the_order(bench: Any, make_heart: Callable[..., Volume]) -> None:
    heart = make_heart(slices=4)
    entry = foreign(bench, heart, (1, 2, 0))
    bench.run()
    bench.review._go_to(SliceIndex(0, 1))
    entry.labels.data_setitem((np.array([3]), np.array([4]), np.array([1])), np.array([1]))
    entry.watch.compare("stroke")
    image = bench.viewer_state.opened(entry)
    assert image.labels.data[1, 3, 4] == 1
    bench.segment.segment()
    bench.click(bench.segment.message.buttons[-1])
    bench.wait_idle()
    np.testing.assert_array_equal(image.labels.data, expected(heart))
    np.testing.assert_array_equal(entry.labels.data, expected(heart).transpose(1, 2, 0))
    entry.labels.undo()
    entry.watch.settle()
    assert image.labels.data[1, 3, 4] == 1


def test_frames_stay_in_front(bench: Any, make_heart: Callable[..., Volume]) -> None:
    heart = make_heart(slices=4)
    cine = np.stack([heart.data, heart.data + 5]).transpose(0, 2, 1, 3)
    layer = bench.viewer.add_image(cine, scale=(1, 1.5, 8, 1.5), units=("s", "mm", "mm", "mm"))
    entry = bench.viewer_state.entry_of(layer)
    bench.segment.form.scope.value = "all"
    bench.run()
    image = bench.viewer_state.opened(entry)
    assert image.volume.data.shape == (2, 4, 64, 64)
    np.testing.assert_array_equal(entry.labels.data[0], expected(heart).transpose(1, 0, 2))
    bench.review._go_to(SliceIndex(1, 3))
    assert bench.viewer_state.position(entry) == SliceIndex(1, 3)


def test_unclear_layer_asks_in_the_panel(bench: Any, make_heart: Callable[..., Volume]) -> None:
    heart = make_heart(slices=40)
    entry = foreign(bench, heart, (1, 0, 2), scale=(1.5, 1.5, 1.5))
    bench.segment.refresh()
    row = bench.segment.form.slice_axis
    assert row.native.isVisible()
    assert "choose it below" in bench.segment.image_line.text()
    bench.run()
    assert entry.labels is None
    assert "--slice-axis" in bench.segment.message.text.text()
    row.value = "j"
    bench.run()
    np.testing.assert_array_equal(entry.labels.data, expected(heart).transpose(1, 0, 2))
    assert bench.viewer_state.opened(entry).volume.n_slices == 40


def test_our_reader_shows_slices_first_and_saves_in_the_order_of_the_file(
    bench: Any, make_heart: Callable[..., Volume], tmp_path: Path
) -> None:
    heart = make_heart(slices=4)
    path = tmp_path / "heart.nii.gz"
    affine = np.diag([1.5, 8, 1.5, 1])
    stored = heart.data.transpose(2, 0, 1)  # columns, slices, rows as nibabel counts
    nibabel.save(nibabel.Nifti1Image(stored, affine), path)
    [(data, arguments, kind)] = read_layers(path)
    assert (kind, data.shape) == ("image", heart.data.shape)
    layer = bench.viewer.add_layer(Image(data, **arguments))
    bench.run()
    entry = bench.viewer_state.entry_of(layer)
    np.testing.assert_array_equal(entry.labels.data, expected(heart))
    [saved] = write_layer(str(tmp_path / "out.nii.gz"), *entry.labels.as_layer_data_tuple()[:2])
    labels = nibabel.load(saved)
    assert labels.shape == stored.shape
    np.testing.assert_array_equal(labels.affine, nibabel.load(path).affine)
    np.testing.assert_array_equal(np.asarray(labels.dataobj), expected(heart).transpose(2, 0, 1))


def test_axis_can_be_chosen_for_an_unclear_file(
    bench: Any, make_heart: Callable[..., Volume], tmp_path: Path
) -> None:
    heart = make_heart(slices=40)
    path = tmp_path / "heart.nrrd"
    write(Volume(heart.data.transpose(1, 2, 0).copy(), Geometry((1.5, 1.5, 1.5))), path)
    assert not read(path).slice_axis_known
    [(data, arguments, _)] = read_layers(path)
    layer = Image(data, **arguments)
    assert not layout_of(layer).slice_axis_known
    volume = volume_of_layer(layer, "i")
    np.testing.assert_array_equal(volume.data, heart.data)
    grid = Grid.below(layer, volume)
    assert grid.order == (2, 0, 1)
    np.testing.assert_array_equal(grid.layer_data(volume), data)


@pytest.mark.parametrize("slice_axis", AXIS_NAMES)
def test_grid_is_its_own_inverse(slice_axis: str) -> None:
    data = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    axes = ("frames", "slices", "rows", "columns")
    volume = arrange(Volume(data, Geometry((1, 1, 1)), axes), slice_axis)
    layer = Labels(data)
    grid = Grid.of(volume, 4, volume.storage)
    np.testing.assert_array_equal(grid.layer_data(volume), layer.data)
    np.testing.assert_array_equal(grid.volume(layer.data).data, volume.data)
    indices = np.arange(0, data.size, 7)
    there = grid.flat_indices(indices)
    np.testing.assert_array_equal(volume.data.ravel()[there], data.ravel()[indices])
