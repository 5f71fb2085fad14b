"""Uncertainty maps in the real scene: chosen, computed on request, cancelled, saved, loaded."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import slicer
from FLoMoSegmentationLib import results, uncertainty
from FLoMoSegmentationLib.images import ijk_to_ras
from helpers import add_cine, add_volume, finish, oblique_heart, paint

from napari_flomo.errors import FlomoError
from napari_flomo.session import RunCancelled, RunFailed
from napari_flomo.session.uncertainty_maps import THRESHOLD
from napari_flomo.volumes import Volume

HALF = ("variance", "network_cosine")  # what the tiny child gives for any map but entropy


def segmented(logic, node, model="toy"):
    logic.segment(node, model, "cpu", "all")
    finish(logic)
    return logic.entry_of(node)


def computed(logic, entry, name, **options):
    logic.compute_map(entry, name, "cpu", **options)
    finish(logic)


def shown(entry):
    return slicer.util.arrayFromVolume(entry.record.uncertainty)


def scene_ids():
    scene = slicer.mrmlScene
    return {scene.GetNthNode(number).GetID() for number in range(scene.GetNumberOfNodes())}


def test_a_computed_map_lies_on_the_grid_and_leaves_the_labels(make_logic, oblique):
    logic = make_logic()
    node = add_volume(oblique)
    entry = segmented(logic, node)
    where = np.zeros(oblique.data.shape, bool)
    where[1, :3, :3] = True
    paint(entry.record.segmentation, 3, where, node)
    card = logic.session.image(entry.key).segmentation.card
    mine = results.read_labels(entry.source, entry.record.segmentation, card)
    entropy, node_before = shown(entry).copy(), entry.record.uncertainty.GetID()
    times = entry.record.segmentation.GetSegmentation().GetMTime()
    proposed = slicer.util.arrayFromVolume(entry.record.proposed).copy()
    computed(logic, entry, "variance")
    assert entry.record.map == "variance"
    assert entry.record.uncertainty.GetID() == node_before, "one node shows whichever map is chosen"
    assert np.array_equal(shown(entry), entropy / 2)
    assert np.allclose(ijk_to_ras(entry.record.uncertainty), ijk_to_ras(node), atol=1e-6)
    assert entry.record.segmentation.GetSegmentation().GetMTime() == times
    assert np.array_equal(
        results.read_labels(entry.source, entry.record.segmentation, card), mine
    ), "strokes stay"
    assert np.array_equal(slicer.util.arrayFromVolume(entry.record.proposed), proposed)
    logic.show_map(entry, "entropy")
    assert np.array_equal(shown(entry), entropy)
    assert np.allclose(ijk_to_ras(entry.record.uncertainty), ijk_to_ras(node), atol=1e-6)
    (waiting,) = entry.record.waiting.values()
    assert np.array_equal(slicer.util.arrayFromVolume(waiting), entropy / 2)
    assert np.allclose(ijk_to_ras(waiting), ijk_to_ras(node), atol=1e-6)
    assert waiting.GetHideFromEditors()


def test_colours_range_and_units_are_those_of_the_map(make_logic, oblique):
    logic = make_logic()
    entry = segmented(logic, add_volume(oblique))
    node = entry.record.uncertainty
    for name, largest in (("entropy", 1.0), ("variance", 0.5), ("network_cosine", 1.0)):
        if name != "entropy":
            computed(logic, entry, name)
        display = node.GetDisplayNode()
        assert display.GetColorNode().GetName() == uncertainty.TABLE
        assert display.GetWindowLevelMin() == 0
        assert display.GetWindowLevelMax() == pytest.approx(largest)
        assert display.GetLowerThreshold() == pytest.approx(THRESHOLD * largest)
        assert shown(entry).max() <= display.GetUpperThreshold()
        assert node.GetVoxelValueUnits().GetCodeMeaning() == "no units"
    assert node.GetDescription().startswith("Network disagreement: One less the cosine")


def test_another_run_brings_its_own_maps_only(make_logic, oblique):
    logic = make_logic()
    node = add_volume(oblique)
    entry = segmented(logic, node)
    for name in HALF:
        computed(logic, entry, name)
    assert set(entry.record.waiting) == {"entropy", "variance"}
    waiting = [one.GetID() for one in entry.record.waiting.values()]
    segmented(logic, node)
    assert entry.record.map == "entropy"
    assert entry.record.waiting == {}
    assert not scene_ids() & set(waiting), "what is of the labels before is gone"
    assert shown(entry).max() == 1


def test_a_map_of_a_cine_is_a_sequence(make_logic, program):
    heart = oblique_heart()
    data = np.stack([np.roll(heart.data, 4 * number, axis=2) for number in range(3)])
    cine = Volume(data, heart.geometry, ("frames", *heart.axes))
    _, sequence, browser = add_cine(cine)
    logic = make_logic()
    entry = segmented(logic, sequence)
    computed(logic, entry, "variance")
    maps = logic.session.image(entry.key).segmentation.uncertainty
    for name, factor in (("variance", 0.5), ("entropy", 1)):
        logic.show_map(entry, name)
        for frame in (2, 0, 1):
            browser.SetSelectedItemNumber(frame)
            slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)
            assert np.array_equal(shown(entry), factor * (data[frame] > 80))
            assert np.array_equal(shown(entry), maps[name].data[frame])
            assert entry.record.uncertainty.GetDescription().startswith(name.capitalize())
        assert entry.record.uncertainty.GetVoxelValueUnits().GetCodeMeaning() == "no units"
        assert entry.record.uncertainty.GetDisplayNode().GetWindowLevelMax() == pytest.approx(
            factor
        )


def test_cancel_leaves_the_old_map(make_logic, program):
    logic = make_logic()
    entry = segmented(logic, add_volume(oblique_heart(slices=8)), "slow")
    events = []
    logic.session.subscribe(events.append)
    before, nodes = shown(entry).copy(), scene_ids()
    run = logic.compute_map(entry, "variance", "cpu")
    while not run.progress.done:
        logic.queue.drain()
    run.cancel()
    finish(logic)
    assert isinstance(events[-1], RunCancelled)
    assert entry.record.map == "entropy"
    assert np.array_equal(shown(entry), before)
    assert set(logic.session.image(entry.key).segmentation.uncertainty) == {"entropy"}
    assert scene_ids() == nodes


def test_what_has_no_uncertainty_is_refused(make_logic, oblique):
    logic = make_logic()
    node = add_volume(oblique)
    with pytest.raises(FlomoError, match="segment an image first"):
        logic.compute_map(logic.open(node), "variance", "cpu")
    entry = segmented(logic, node)
    slicer.util.updateVolumeFromArray(node, oblique.data[::-1].copy())
    for action in (
        lambda: logic.compute_map(entry, "variance", "cpu"),
        lambda: logic.show_map(entry, "entropy"),
    ):
        with pytest.raises(FlomoError, match="changed after it was segmented"):
            action()
    assert logic.session.running is None


def test_another_model_of_the_same_name_is_refused(make_logic, oblique):
    logic = make_logic()
    entry = segmented(logic, add_volume(oblique))
    logic.session.image(entry.key).model = "swapped"
    events = []
    logic.session.subscribe(events.append)
    before = shown(entry).copy()
    computed(logic, entry, "variance")
    assert isinstance(events[-1], RunFailed)
    assert "not that of toy" in events[-1].problem.sentence
    assert np.array_equal(shown(entry), before)


@pytest.mark.parametrize("handed", ["left", "right"])
@pytest.mark.parametrize("moving", [False, True])
def test_a_loaded_scene_has_all_maps_and_shows_the_chosen_one(
    make_logic, program, oblique, tmp_path, moving, handed
):
    if handed == "right":
        axes = oblique.geometry.direction_matrix @ np.diag([1, 1, -1])
        oblique = replace(
            oblique, geometry=replace(oblique.geometry, direction=tuple(axes.ravel().tolist()))
        )
    volume = oblique
    if moving:
        data = np.stack([oblique.data, np.roll(oblique.data, 3, axis=1)])
        volume = Volume(data, oblique.geometry, ("frames", *oblique.axes))
    node = add_cine(volume, "heart")[0] if moving else add_volume(volume)
    name = node.GetName()
    logic = make_logic()
    entry = segmented(logic, node)
    computed(logic, entry, "variance")
    before = logic.session.image(entry.key)
    maps = {one: found.data.copy() for one, found in before.segmentation.uncertainty.items()}
    path = tmp_path / "scene.mrb"
    assert slicer.mrmlScene.WriteToMRB(str(path))
    program.close_scene()
    program.slice_view("Red")
    assert slicer.mrmlScene.ReadFromMRB(str(path))
    loaded = slicer.util.getFirstNodeByName(name, "vtkMRMLScalarVolumeNode")
    entry = logic.known(loaded)
    after = logic.session.image(entry.key)
    step = before.volume.geometry.affine_ras()[:3, 2] @ after.volume.geometry.affine_ras()[:3, 2]
    order = slice(None, None, 1 if step > 0 else -1)  # Slicer may turn the slices round
    assert entry.record.map == "variance"
    assert entry.record.largest == 0.5
    assert set(after.segmentation.uncertainty) == {"entropy", "variance"}
    for one, data in maps.items():
        found = after.segmentation.uncertainty[one].data
        assert np.allclose(found, data[..., order, :, :]), one
    logic.show_map(entry, "entropy")
    first = maps["entropy"][0] if moving else maps["entropy"]
    assert np.array_equal(shown(entry), first[order])


def test_records_go_with_all_that_only_they_need(make_logic, oblique):
    logic = make_logic()
    node = add_volume(oblique)
    entry = segmented(logic, node)
    computed(logic, entry, "variance")
    waiting = {one.GetID() for one in entry.record.waiting.values()}
    assert waiting
    slicer.mrmlScene.RemoveNode(entry.record.segmentation)
    assert not scene_ids() & waiting


def test_the_uncertainty_node_comes_back_when_it_was_deleted(make_logic, oblique):
    logic = make_logic()
    entry = segmented(logic, add_volume(oblique))
    slicer.mrmlScene.RemoveNode(entry.record.uncertainty)
    assert entry.record.uncertainty is None
    logic.show_map(entry, "entropy")
    assert shown(entry).max() == 1


def test_a_record_that_names_no_map_holds_entropy(make_logic, oblique):
    """As in scenes that were saved before there was a choice; nonsense is no scale."""
    logic = make_logic()
    entry = segmented(logic, add_volume(oblique))
    for damaged in ("", "nonsense", "-1", "nan"):
        entry.record.node.SetParameter("map", "")
        entry.record.node.SetParameter("largest", damaged)
        logic.clear()
        entry = logic.known(entry.source.node)
        assert set(logic.session.image(entry.key).segmentation.uncertainty) == {"entropy"}
        assert entry.record.largest == 1
