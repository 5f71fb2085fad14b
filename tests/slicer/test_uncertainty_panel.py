"""Choose, compute and cancel uncertainty maps by clicks."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from helpers import add_volume, corner, oblique_heart, paint

pytest.importorskip("PySide6.QtUiTools", reason="the panels need PySide6")


def pick(driver, name):
    """Choose a map as by a click, which emits ``activated``."""
    box = driver.panel.review.ui.mapBox
    at = box.findData(name)
    assert at >= 0, [box.itemData(number) for number in range(box.count)]
    box.setCurrentIndex(at)
    box.wrapped.activated.emit(at)


def listed(driver):
    box = driver.panel.review.ui.mapBox
    return {box.itemData(number): box.itemText(number) for number in range(box.count)}


def visible(driver, widget):
    return widget.wrapped.isVisibleTo(driver.parent.window)


def idle(driver):
    driver.wait(lambda: driver.panel.logic.session.running is None)


def shown(driver):
    return slicer.util.arrayFromVolume(driver.panel.current.results.uncertainty)


def test_choose_compute_and_show_a_map(driver, oblique):
    ui = driver.panel.review.ui
    assert not ui.mapBox.enabled
    assert not visible(driver, ui.computeButton)
    driver.run(add_volume(oblique))
    names = listed(driver)
    assert next(iter(names.items())) == ("entropy", "Entropy")
    assert ui.mapBox.currentData == "entropy"
    assert names["mutual_information"] == "Mutual information (not computed)"
    assert not any(name.startswith("mc_") for name in names), "this network draws nothing"
    assert not visible(driver, ui.computeButton)
    entropy = shown(driver).copy()
    pick(driver, "mutual_information")
    assert "takes 8 times as long as Segment" in ui.mapLine.text
    assert visible(driver, ui.computeButton)
    assert np.array_equal(shown(driver), entropy), "offered, not shown"
    assert not ui.showUncertainty.checked
    driver.click(ui.computeButton)
    assert visible(driver, ui.mapProgress)
    assert not visible(driver, driver.panel.segment.ui.progress), "no segmentation is under way"
    idle(driver)
    assert ui.mapBox.currentData == "mutual_information"
    assert listed(driver)["mutual_information"] == "Mutual information"
    assert not visible(driver, ui.computeButton)
    assert not visible(driver, ui.mapProgress)
    assert ui.showUncertainty.checked, "who asks for a map wants to see it"
    composite = slicer.mrmlScene.GetNodeByID("vtkMRMLSliceCompositeNodeRed")
    assert composite.GetForegroundVolumeID() == driver.panel.current.results.uncertainty.GetID()
    assert np.array_equal(shown(driver), entropy / 2)
    assert "end at 0.5, the largest value" in ui.mapLine.text
    display = driver.panel.current.results.uncertainty.GetDisplayNode()
    ui.threshold.setValue(0.8)
    assert display.GetLowerThreshold() == pytest.approx(0.4), "a share of the colours"
    pick(driver, "entropy")
    assert np.array_equal(shown(driver), entropy)
    assert display.GetLowerThreshold() == pytest.approx(0.8)
    assert "largest value" not in ui.mapLine.text


def test_cancel_keeps_the_map(driver):
    driver.pick_model("slow")
    driver.run(add_volume(oblique_heart(slices=8)))
    ui, before = driver.panel.review.ui, shown(driver).copy()
    scene_image, nodes = driver.panel.current, slicer.mrmlScene.GetNumberOfNodes()
    pick(driver, "variance")
    driver.click(ui.computeButton)
    assert ui.computeButton.text == "Cancel"
    driver.wait(lambda: ui.mapProgress.value > 0)
    assert "of 8" in ui.mapProgress.format
    driver.click(ui.computeButton)
    driver.wait(lambda: driver.panel.logic.session.running is None, 5)
    assert driver.panel.segment.ui.message.text == "Cancelled; nothing was changed."
    assert ui.computeButton.text == "Compute"
    assert ui.computeButton.enabled
    assert ui.mapBox.currentData == "variance", "still offered"
    assert np.array_equal(shown(driver), before)
    assert scene_image.results.shown_map == "entropy"
    image = driver.panel.logic.session.image(scene_image.key)
    assert set(image.segmentation.uncertainty) == {"entropy"}
    assert slicer.mrmlScene.GetNumberOfNodes() == nodes


def test_edits_stay_while_a_map_is_computed(driver, oblique):
    node = add_volume(oblique)
    driver.run(node)
    ui, scene_image = driver.panel.review.ui, driver.panel.current
    pick(driver, "variance")
    driver.click(ui.computeButton)
    where = corner(oblique.data.shape, 1, 3)
    paint(scene_image.results.segmentation, 3, where, node)
    idle(driver)
    driver.wait(lambda: not scene_image.painted_frames)
    painted = slicer.util.arrayFromSegmentBinaryLabelmap(
        scene_image.results.segmentation, "flomo_3", node
    )
    assert painted[where].all()
    assert (driver.panel.logic.session.image(scene_image.key).labels.data[where] == 3).all()
    assert driver.asked == []


def test_each_image_has_its_own_map(driver, program, tmp_path):
    nodes = [add_volume(oblique_heart(seed=seed), f"heart {seed}") for seed in range(2)]
    for node in nodes:
        driver.run(node)
    ui = driver.panel.review.ui
    pick(driver, "variance")
    driver.click(ui.computeButton)
    idle(driver)
    driver.choose(nodes[0])
    assert ui.mapBox.currentData == "entropy"
    assert listed(driver)["variance"].endswith("(not computed)")
    driver.choose(nodes[1])
    assert ui.mapBox.currentData == "variance"
    path = tmp_path / "scene.mrb"
    assert slicer.mrmlScene.WriteToMRB(str(path))
    program.close_scene()
    assert ui.mapBox.count == 0
    assert slicer.mrmlScene.ReadFromMRB(str(path))
    assert driver.panel.current.nodes.volume.GetName() == "heart 1"
    assert ui.mapBox.currentData == "variance"
    assert listed(driver)["entropy"] == "Entropy", "both maps are in the scene"
    assert ui.showUncertainty.checked


def test_shows_errors(driver, oblique):
    node = add_volume(oblique)
    driver.run(node)
    ui, message = driver.panel.review.ui, driver.panel.segment.ui.message
    scene_image, before = driver.panel.current, shown(driver).copy()
    pick(driver, "variance")
    driver.panel.logic.session.image(scene_image.key).model = "gone"
    driver.click(ui.computeButton)
    idle(driver)
    assert message.text == "There is no such model."
    assert visible(driver, ui.computeButton)
    driver.panel.logic.session.image(scene_image.key).model = "swapped"
    driver.click(ui.computeButton)
    idle(driver)
    assert "not that of toy" in message.text
    assert np.array_equal(shown(driver), before)
    slicer.util.updateVolumeFromArray(node, oblique.data[::-1].copy())
    driver.click(ui.computeButton)
    assert "changed after it was segmented" in message.text
    assert driver.panel.logic.session.running is None


def test_out_of_gpu_memory_offers_the_cpu_for_a_map(driver, oblique):
    driver.run(add_volume(oblique))
    logic, scene_image = driver.panel.logic, driver.panel.current
    logic.session.image(scene_image.key).model = "gpu"
    pick(driver, "variance")
    driver.click(driver.panel.review.ui.computeButton)
    driver.wait(lambda: driver.panel.current.results.shown_map == "variance")
    assert "memory" in driver.asked[-1]


def test_runs_wait_for_each_other(driver, oblique):
    ui, review = driver.panel.segment.ui, driver.panel.review.ui
    node = add_volume(oblique)
    driver.run(node)
    driver.pick_model("slow")
    driver.choose(add_volume(oblique_heart(slices=300, seed=1), "second"))
    driver.click(ui.segmentButton)
    driver.choose(node)
    pick(driver, "variance")
    driver.click(review.computeButton)
    driver.choose(add_volume(oblique_heart(seed=2), "third"))
    for _ in range(2):
        driver.click(ui.segmentButton)

    def waiting():
        return [ui.queueList.item(row).text() for row in range(ui.queueList.count)]

    assert waiting() == [
        "Uncertainty of heart: queued, 1 ahead",
        "third: queued, 2 ahead",
        "third: queued, 3 ahead",
    ]
    ui.queueList.setCurrentRow(1)
    driver.click(ui.cancelWaitingButton)
    driver.wait(lambda: len(waiting()) == 2, 1)
    assert ui.progress.wrapped.isVisibleTo(driver.parent.window)
    slicer.mrmlScene.RemoveNode(slicer.util.getFirstNodeByName("third"))
    driver.wait(lambda: waiting() == ["Uncertainty of heart: queued, 1 ahead"], 1)
    driver.click(ui.cancelButton)
    idle(driver)
    assert not visible(driver, ui.cancelWaitingButton)
    assert "variance" in driver.panel.logic.session.images[0].segmentation.uncertainty


@pytest.mark.parametrize("what", ["image", "labels", "scene"])
def test_deleting_nodes_while_a_map_is_computed(driver, program, oblique, caplog, what):
    driver.pick_model("slow")
    node = add_volume(oblique_heart(slices=8))
    driver.run(node)
    pick(driver, "variance")
    driver.click(driver.panel.review.ui.computeButton)
    if what == "scene":
        program.close_scene()
    else:
        record = driver.panel.current.results
        slicer.mrmlScene.RemoveNode(node if what == "image" else record.segmentation)
    idle(driver)
    driver.wait(lambda: driver.panel.current is None, 5)
    assert driver.panel.review.ui.mapBox.count == 0
    assert not visible(driver, driver.panel.review.ui.computeButton)
    assert not visible(driver, driver.panel.review.ui.mapProgress)
    assert not [one for one in caplog.records if one.levelname == "ERROR"], caplog.text
    driver.pick_model("toy")
    driver.run(add_volume(oblique, "another"))
    assert driver.panel.review.ui.mapBox.currentData == "entropy"
