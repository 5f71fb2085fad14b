"""The list of uncertainty maps in the panel: chosen, computed and cancelled by clicks."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from helpers import add_volume, oblique_heart, paint

pytest.importorskip("PySide6.QtUiTools", reason="the panels need PySide6")


def pick(bench, name):
    """Choose a map as a person does, who makes the list tell that it was activated."""
    box = bench.panel.review.ui.mapBox
    at = box.findData(name)
    assert at >= 0, [box.itemData(number) for number in range(box.count)]
    box.setCurrentIndex(at)
    box.wrapped.activated.emit(at)


def listed(bench):
    box = bench.panel.review.ui.mapBox
    return {box.itemData(number): box.itemText(number) for number in range(box.count)}


def visible(bench, widget):
    return widget.wrapped.isVisibleTo(bench.parent.window)


def idle(bench):
    bench.wait(lambda: bench.panel.logic.session.running is None)


def shown(bench):
    return slicer.util.arrayFromVolume(bench.panel.current.results.uncertainty)


def test_a_map_is_chosen_computed_and_shown(bench, oblique):
    ui = bench.panel.review.ui
    assert not ui.mapBox.enabled
    assert not visible(bench, ui.computeButton)
    bench.run(add_volume(oblique))
    names = listed(bench)
    assert next(iter(names.items())) == ("entropy", "Entropy")
    assert ui.mapBox.currentData == "entropy"
    assert names["mutual_information"] == "Mutual information (not computed)"
    assert not any(name.startswith("mc_") for name in names), "this network draws nothing"
    assert not visible(bench, ui.computeButton)
    entropy = shown(bench).copy()
    pick(bench, "mutual_information")
    assert "takes 8 times as long as Segment" in ui.mapLine.text
    assert visible(bench, ui.computeButton)
    assert np.array_equal(shown(bench), entropy), "offered, not shown"
    assert not ui.showUncertainty.checked
    bench.click(ui.computeButton)
    assert visible(bench, ui.mapProgress)
    assert not visible(bench, bench.panel.segment.ui.progress), "no segmentation is under way"
    idle(bench)
    assert ui.mapBox.currentData == "mutual_information"
    assert listed(bench)["mutual_information"] == "Mutual information"
    assert not visible(bench, ui.computeButton)
    assert not visible(bench, ui.mapProgress)
    assert ui.showUncertainty.checked, "who asks for a map wants to see it"
    composite = slicer.mrmlScene.GetNodeByID("vtkMRMLSliceCompositeNodeRed")
    assert composite.GetForegroundVolumeID() == bench.panel.current.results.uncertainty.GetID()
    assert np.array_equal(shown(bench), entropy / 2)
    assert "end at 0.5, the largest value" in ui.mapLine.text
    display = bench.panel.current.results.uncertainty.GetDisplayNode()
    ui.threshold.setValue(0.8)
    assert display.GetLowerThreshold() == pytest.approx(0.4), "a share of the colours"
    pick(bench, "entropy")
    assert np.array_equal(shown(bench), entropy)
    assert display.GetLowerThreshold() == pytest.approx(0.8)
    assert "largest value" not in ui.mapLine.text


def test_cancel_leaves_the_map_that_was_shown(bench):
    bench.pick_model("slow")
    bench.run(add_volume(oblique_heart(slices=8)))
    ui, before = bench.panel.review.ui, shown(bench).copy()
    pick(bench, "variance")
    bench.click(ui.computeButton)
    assert ui.computeButton.text == "Cancel"
    bench.wait(lambda: ui.mapProgress.value > 0)
    assert "of 8" in ui.mapProgress.format
    bench.click(ui.computeButton)
    bench.wait(lambda: bench.panel.logic.session.running is None, 5)
    assert bench.panel.segment.ui.message.text == "Cancelled; nothing was changed."
    assert ui.computeButton.text == "Compute"
    assert ui.computeButton.enabled
    assert ui.mapBox.currentData == "variance", "still offered"
    assert np.array_equal(shown(bench), before)
    assert bench.panel.current.results.shown_map == "entropy"


def test_strokes_stay_while_a_map_is_computed(bench, oblique):
    node = add_volume(oblique)
    bench.run(node)
    ui, scene_image = bench.panel.review.ui, bench.panel.current
    pick(bench, "variance")
    bench.click(ui.computeButton)
    where = np.zeros(oblique.data.shape, bool)
    where[1, :3, :3] = True
    paint(scene_image.results.segmentation, 3, where, node)
    idle(bench)
    bench.wait(lambda: not scene_image.painted_frames)
    painted = slicer.util.arrayFromSegmentBinaryLabelmap(
        scene_image.results.segmentation, "flomo_3", node
    )
    assert painted[where].all()
    assert (bench.panel.logic.session.image(scene_image.key).labels.data[where] == 3).all()
    assert bench.asked == []


def test_every_image_keeps_its_choice(bench, program, tmp_path):
    nodes = [add_volume(oblique_heart(seed=seed), f"heart {seed}") for seed in range(2)]
    for node in nodes:
        bench.run(node)
    ui = bench.panel.review.ui
    pick(bench, "variance")
    bench.click(ui.computeButton)
    idle(bench)
    bench.choose(nodes[0])
    assert ui.mapBox.currentData == "entropy"
    assert listed(bench)["variance"].endswith("(not computed)")
    bench.choose(nodes[1])
    assert ui.mapBox.currentData == "variance"
    path = tmp_path / "scene.mrb"
    assert slicer.mrmlScene.WriteToMRB(str(path))
    program.close_scene()
    assert ui.mapBox.count == 0
    assert slicer.mrmlScene.ReadFromMRB(str(path))
    assert bench.panel.current.nodes.volume.GetName() == "heart 1"
    assert ui.mapBox.currentData == "variance"
    assert listed(bench)["entropy"] == "Entropy", "both maps are in the scene"
    assert ui.showUncertainty.checked


def test_what_goes_wrong_is_said(bench, oblique):
    node = add_volume(oblique)
    bench.run(node)
    ui, message = bench.panel.review.ui, bench.panel.segment.ui.message
    scene_image, before = bench.panel.current, shown(bench).copy()
    pick(bench, "variance")
    bench.panel.logic.session.image(scene_image.key).model = "gone"
    bench.click(ui.computeButton)
    idle(bench)
    assert message.text == "There is no such model."
    assert visible(bench, ui.computeButton)
    bench.panel.logic.session.image(scene_image.key).model = "swapped"
    bench.click(ui.computeButton)
    idle(bench)
    assert "not that of toy" in message.text
    assert np.array_equal(shown(bench), before)
    slicer.util.updateVolumeFromArray(node, oblique.data[::-1].copy())
    bench.click(ui.computeButton)
    assert "changed after it was segmented" in message.text
    assert bench.panel.logic.session.running is None


def test_a_gpu_that_is_too_small_for_a_map_is_followed_by_an_offer(bench, oblique):
    bench.run(add_volume(oblique))
    logic, scene_image = bench.panel.logic, bench.panel.current
    logic.session.image(scene_image.key).model = "gpu"
    pick(bench, "variance")
    bench.click(bench.panel.review.ui.computeButton)
    bench.wait(lambda: bench.panel.current.results.shown_map == "variance")
    assert "Use the CPU?" in bench.asked[-1]


def test_busy_is_said(bench, oblique):
    bench.run(add_volume(oblique))
    bench.pick_model("slow")
    bench.click(bench.panel.segment.ui.segmentButton)
    pick(bench, "variance")
    bench.click(bench.panel.review.ui.computeButton)
    assert "is under way" in bench.panel.segment.ui.message.text
    assert bench.panel.segment.ui.progress.wrapped.isVisibleTo(bench.parent.window)
    idle(bench)


@pytest.mark.parametrize("what", ["image", "labels", "scene"])
def test_what_is_deleted_while_a_map_is_computed_leaves_the_panel_empty(
    bench, program, oblique, caplog, what
):
    bench.pick_model("slow")
    node = add_volume(oblique_heart(slices=8))
    bench.run(node)
    pick(bench, "variance")
    bench.click(bench.panel.review.ui.computeButton)
    if what == "scene":
        program.close_scene()
    else:
        record = bench.panel.current.results
        slicer.mrmlScene.RemoveNode(node if what == "image" else record.segmentation)
    idle(bench)
    bench.wait(lambda: bench.panel.current is None, 5)
    assert bench.panel.review.ui.mapBox.count == 0
    assert not visible(bench, bench.panel.review.ui.computeButton)
    assert not visible(bench, bench.panel.review.ui.mapProgress)
    assert not [one for one in caplog.records if one.levelname == "ERROR"], caplog.text
    bench.pick_model("toy")
    bench.run(add_volume(oblique, "another"))
    assert bench.panel.review.ui.mapBox.currentData == "entropy"
