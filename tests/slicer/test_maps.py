"""Uncertainty maps in the real scene: chosen, computed on request, cancelled, saved, loaded."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from FLoMoSegmentationLib import scene_sync, uncertainty
from FLoMoSegmentationLib.images import ijk_to_ras
from helpers import (
    add_cine,
    add_volume,
    corner,
    finish,
    oblique_heart,
    paint,
    run,
)

from napari_flomo.errors import FlomoError
from napari_flomo.session.uncertainty_maps import THRESHOLD
from napari_flomo.volumes import Volume

HALF = ("variance", "network_cosine")  # what the tiny child gives for any map but entropy


def computed(logic, scene_image, name, **options):
    logic.compute_map(scene_image, name, "cpu", **options)
    finish(logic)


def shown(scene_image):
    return slicer.util.arrayFromVolume(scene_image.results.uncertainty)


def scene_ids():
    scene = slicer.mrmlScene
    return {scene.GetNthNode(number).GetID() for number in range(scene.GetNumberOfNodes())}


def test_computed_map_is_on_the_grid_and_keeps_labels(segmented, oblique):
    logic, node, scene_image = segmented
    where = corner(oblique.data.shape, 1, 3)
    paint(scene_image.results.segmentation, 3, where, node)
    card = logic.session.image(scene_image.key).segmentation.card
    mine = scene_sync.read_labels(scene_image.nodes, scene_image.results.segmentation, card)
    entropy, node_before = shown(scene_image).copy(), scene_image.results.uncertainty.GetID()
    times = scene_image.results.segmentation.GetSegmentation().GetMTime()
    proposed = slicer.util.arrayFromVolume(scene_image.results.proposed).copy()
    computed(logic, scene_image, "variance")
    assert scene_image.results.shown_map == "variance"
    assert scene_image.results.uncertainty.GetID() == node_before, (
        "one node shows whichever map is chosen"
    )
    assert np.array_equal(shown(scene_image), entropy / 2)
    assert np.allclose(ijk_to_ras(scene_image.results.uncertainty), ijk_to_ras(node), atol=1e-6)
    assert scene_image.results.segmentation.GetSegmentation().GetMTime() == times
    assert np.array_equal(
        scene_sync.read_labels(scene_image.nodes, scene_image.results.segmentation, card), mine
    ), "strokes stay"
    assert np.array_equal(slicer.util.arrayFromVolume(scene_image.results.proposed), proposed)
    logic.show_map(scene_image, "entropy")
    assert np.array_equal(shown(scene_image), entropy)
    assert np.allclose(ijk_to_ras(scene_image.results.uncertainty), ijk_to_ras(node), atol=1e-6)
    (waiting,) = scene_image.results.hidden_maps.values()
    assert np.array_equal(slicer.util.arrayFromVolume(waiting), entropy / 2)
    assert np.allclose(ijk_to_ras(waiting), ijk_to_ras(node), atol=1e-6)
    assert waiting.GetHideFromEditors()


def test_colour_range_and_units(segmented):
    logic, node, scene_image = segmented
    node = scene_image.results.uncertainty
    for name, largest in (("entropy", 1.0), ("variance", 0.5), ("network_cosine", 1.0)):
        if name != "entropy":
            computed(logic, scene_image, name)
        display = node.GetDisplayNode()
        assert display.GetColorNode().GetName() == uncertainty.COLOUR_TABLE_NAME
        assert display.GetWindowLevelMin() == 0
        assert display.GetWindowLevelMax() == pytest.approx(largest)
        assert display.GetLowerThreshold() == pytest.approx(THRESHOLD * largest)
        assert shown(scene_image).max() <= display.GetUpperThreshold()
        assert node.GetVoxelValueUnits().GetCodeMeaning() == "no units"
    assert node.GetDescription().startswith("Network disagreement: ")


def test_another_run_removes_old_maps(segmented):
    logic, node, scene_image = segmented
    for name in HALF:
        computed(logic, scene_image, name)
    assert set(scene_image.results.hidden_maps) == {"entropy", "variance"}
    waiting = [one.GetID() for one in scene_image.results.hidden_maps.values()]
    run(logic, node)
    assert scene_image.results.shown_map == "entropy"
    assert scene_image.results.hidden_maps == {}
    assert not scene_ids() & set(waiting), "what is of the labels before is gone"
    assert shown(scene_image).max() == 1


def test_map_of_a_cine_is_a_sequence(make_logic, program):
    heart = oblique_heart()
    data = np.stack([np.roll(heart.data, 4 * number, axis=2) for number in range(3)])
    cine = Volume(data, heart.geometry, ("frames", *heart.axes))
    _, sequence, browser = add_cine(cine)
    logic = make_logic()
    scene_image = run(logic, sequence)
    computed(logic, scene_image, "variance")
    maps = logic.session.image(scene_image.key).segmentation.uncertainty
    for name, factor in (("variance", 0.5), ("entropy", 1)):
        logic.show_map(scene_image, name)
        for frame in (2, 0, 1):
            browser.SetSelectedItemNumber(frame)
            slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)
            assert np.array_equal(shown(scene_image), factor * (data[frame] > 80))
            assert np.array_equal(shown(scene_image), maps[name].data[frame])
            assert scene_image.results.uncertainty.GetDescription().startswith(name.capitalize())
        assert scene_image.results.uncertainty.GetVoxelValueUnits().GetCodeMeaning() == "no units"
        assert (
            scene_image.results.uncertainty.GetDisplayNode().GetWindowLevelMax()
            == pytest.approx(factor)
        )


def test_rejects_an_image_without_labels_or_with_changes(make_logic, oblique):
    logic = make_logic()
    node = add_volume(oblique)
    with pytest.raises(FlomoError, match="segment an image first"):
        logic.compute_map(logic.images.open(node), "variance", "cpu")
    scene_image = run(logic, node)
    slicer.util.updateVolumeFromArray(node, oblique.data[::-1].copy())
    for action in (
        lambda: logic.compute_map(scene_image, "variance", "cpu"),
        lambda: logic.show_map(scene_image, "entropy"),
    ):
        with pytest.raises(FlomoError, match="changed after it was segmented"):
            action()
    assert logic.session.running is None


def test_hidden_maps_are_removed_with_the_labels(segmented):
    logic, _, scene_image = segmented
    computed(logic, scene_image, "variance")
    waiting = {one.GetID() for one in scene_image.results.hidden_maps.values()}
    assert waiting
    slicer.mrmlScene.RemoveNode(scene_image.results.segmentation)
    assert not scene_ids() & waiting


def test_deleted_uncertainty_node_is_added_again(segmented):
    logic, _, scene_image = segmented
    slicer.mrmlScene.RemoveNode(scene_image.results.uncertainty)
    assert scene_image.results.uncertainty is None
    logic.show_map(scene_image, "entropy")
    assert shown(scene_image).max() == 1


def test_scene_without_a_map_name_has_entropy(segmented):
    """As in scenes that were saved before there was a choice; nonsense is no scale."""
    logic, _, scene_image = segmented
    for damaged in ("", "nonsense", "-1", "nan"):
        scene_image.results.node.SetParameter("map", "")
        scene_image.results.node.SetParameter("largest", damaged)
        logic.images.clear()
        scene_image = logic.images.open_segmented(scene_image.nodes.volume)
        assert set(logic.session.image(scene_image.key).segmentation.uncertainty) == {"entropy"}
        assert scene_image.results.map_maximum == 1
