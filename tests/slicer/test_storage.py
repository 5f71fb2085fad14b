"""Nodes with any axis order: results, edits and slice views."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import slicer
from FLoMoSegmentationLib import slice_axis, slice_views
from FLoMoSegmentationLib.images import ijk_to_ras, image_nodes
from FLoMoSegmentationLib.result_nodes import ResultNodes
from helpers import (
    add_cine,
    add_volume,
    cine_of,
    corner,
    expected,
    finish,
    paint,
    painted,
    restore,
    run,
)

from napari_flomo.corrections import replay, unfinished
from napari_flomo.errors import FlomoError
from napari_flomo.segmentation.orientation import Reorientation
from napari_flomo.session import SliceIndex
from napari_flomo.volumes import Geometry, Volume, arrange

# For slices, rows and columns of a node's array, the axes of the stack.
ORDERS = ((1, 0, 2), (2, 1, 0), (1, 2, 0))
FLIPS = (True, False, True)


def stored(heart: Volume, order: tuple[int, int, int]) -> Volume:
    """Return a heart with its axes in another order, two of them reversed."""
    return Reorientation(order, FLIPS).volume(heart)


@pytest.mark.parametrize("order", ORDERS)
def test_segments_any_axis_order(make_logic, oblique, order):
    volume = stored(oblique, order)
    node = add_volume(volume)
    logic = make_logic()
    scene_image = run(logic, node)
    image = logic.session.image(scene_image.key)
    assert image.volume.n_slices == 4
    arranged = arrange(replace(volume, extra={}))
    np.testing.assert_array_equal(image.volume.data, arranged.data)
    assert image.volume.geometry.same_space(arranged.geometry, 1e-6)
    np.testing.assert_array_equal(painted(logic, scene_image)[0], expected(image.volume))
    # In Slicer's own order, as a user of the segmentation gets it.
    for code in (2, 3):
        array = slicer.util.arrayFromSegmentBinaryLabelmap(
            scene_image.results.segmentation, f"flomo_{code}", node
        )
        np.testing.assert_array_equal(array > 0, expected(volume) == code)
    uncertainty = scene_image.results.uncertainty
    np.testing.assert_allclose(ijk_to_ras(uncertainty), ijk_to_ras(node))
    assert slicer.util.arrayFromVolume(uncertainty).shape == volume.data.shape
    proposed = slicer.util.arrayFromVolume(scene_image.results.proposed)
    np.testing.assert_array_equal(proposed, expected(volume))


@pytest.mark.parametrize("order", ORDERS)
def test_views_show_the_slices(make_logic, oblique, order):
    node = add_volume(stored(oblique, order))
    logic = make_logic()
    scene_image = run(logic, node)
    image = logic.session.image(scene_image.key)
    slice_views.align(scene_image.nodes)
    for number in (0, 3, 1):
        logic.presenter.go_to(scene_image.key, SliceIndex(0, number))
        assert slice_views.slice_on_screen(scene_image.nodes) == SliceIndex(0, number)
        view = slice_views.main_view().GetSliceToRAS()
        normal = [view.GetElement(i, 2) for i in range(3)]
        slices = image.volume.geometry.affine_ras()[:3, 2]
        assert abs(np.dot(normal, slices)) == pytest.approx(8, rel=1e-5)
    assert logic.scope(scene_image, "slice").slices == (1,)


def test_edit_of_a_reordered_image_is_in_the_journal(make_logic, oblique):
    volume = stored(oblique, (2, 1, 0))
    node = add_volume(volume)
    logic = make_logic()
    scene_image = run(logic, node)
    image = logic.session.image(scene_image.key)
    where = corner(image.volume.data.shape, 2)
    paint(
        scene_image.results.segmentation,
        3,
        slice_axis.to_node_order(scene_image.nodes, where),
        node,
    )
    assert logic.report_edits(scene_image) == [SliceIndex(0, 2)]
    wanted = np.where(where, 3, expected(image.volume))
    np.testing.assert_array_equal(image.labels.data, wanted)
    assert image.review.edits(SliceIndex(0, 2)) == where.sum()
    assert image.autosave.flush()
    logic.session.labels_removed(scene_image.key)
    [left] = unfinished()
    np.testing.assert_array_equal(replay(left.folder).labels.data, wanted)


def test_reordered_results_are_restored(program, make_logic, oblique):
    node = add_volume(stored(oblique, (1, 2, 0)))
    logic = make_logic()
    scene_image = run(logic, node)
    logic.presenter.go_to(scene_image.key, SliceIndex(0, 3))
    logic.presenter.accept(scene_image.key)
    accepted = logic.session.image(scene_image.key).review.accepted
    scores = logic.session.image(scene_image.key).segmentation.slice_scores
    other = make_logic()
    assert ResultNodes.of(node) is not None
    again = other.images.open_segmented(node)
    image = other.session.image(again.key)
    np.testing.assert_array_equal(image.labels.data, expected(image.volume))
    np.testing.assert_allclose(image.segmentation.slice_scores, scores, atol=1e-3)
    assert image.review.accepted == accepted == 1


def test_cine_with_slices_on_another_axis(make_logic, oblique):
    heart = stored(oblique, (1, 0, 2))
    node, sequence, _browser = add_cine(cine_of(heart))
    logic = make_logic()
    scene_image = run(logic, sequence)
    image = logic.session.image(scene_image.key)
    assert image.volume.data.shape == (3, 4, *oblique.data.shape[1:])
    np.testing.assert_array_equal(painted(logic, scene_image), expected(image.volume))
    slice_views.align(scene_image.nodes)
    logic.presenter.go_to(scene_image.key, SliceIndex(2, 1))
    assert slice_views.slice_on_screen(scene_image.nodes) == SliceIndex(2, 1)
    assert node is scene_image.nodes.volume


@pytest.fixture
def cube():
    data = np.random.default_rng(0).integers(0, 250, (14, 16, 18), np.int16)
    return Volume(data, Geometry((1.5, 1.5, 1.5)))


def test_ambiguous_slice_axis_must_be_chosen(driver, cube, oblique):
    ui = driver.panel.segment.ui
    driver.choose(add_volume(oblique, "clear"))
    assert not ui.sliceAxisBox.wrapped.isVisibleTo(driver.parent.window)
    node = add_volume(cube, "cube")
    driver.choose(node)
    assert ui.sliceAxisBox.wrapped.isVisibleTo(driver.parent.window)
    assert "choose it below" in ui.imageLine.text
    driver.click(ui.segmentButton)
    assert "It is not clear along which axis" in ui.message.text
    ui.sliceAxisBox.setCurrentIndex(ui.sliceAxisBox.findData("j"))
    assert "16 slices" in ui.imageLine.text
    driver.run(node)
    logic = driver.panel.logic
    scene_image = logic.images.of(node)
    image = logic.session.image(scene_image.key)
    np.testing.assert_array_equal(image.volume.data, arrange(cube, "j").data)
    np.testing.assert_array_equal(painted(logic, scene_image)[0], expected(image.volume))


def test_restored_image_keeps_the_slice_axis(make_logic, cube):
    node = add_volume(cube)
    logic = make_logic()
    with pytest.raises(FlomoError, match="not clear"):
        logic.segment(node, "toy", "cpu", "all")
    slice_axis.choose(image_nodes(node), "i")
    assert "18 slices" in slice_axis.describe(image_nodes(node))
    scene_image = run(logic, node)
    where = corner(logic.session.image(scene_image.key).volume.data.shape, 5)
    paint(
        scene_image.results.segmentation,
        2,
        slice_axis.to_node_order(scene_image.nodes, where),
        node,
    )
    assert logic.report_edits(scene_image) == [SliceIndex(0, 5)]
    wanted = logic.session.image(scene_image.key).labels.data
    assert logic.session.image(scene_image.key).autosave.flush()
    logic.session.labels_removed(scene_image.key)
    other = make_logic()
    restored = restore(other)
    image = other.session.image(restored.key)
    assert image.volume.n_slices == 18
    np.testing.assert_array_equal(image.labels.data, wanted)
    finish(other)
