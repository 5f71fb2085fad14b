"""Strokes on a clone of the reviewed segmentation, and on other segmentations."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from helpers import add_volume, corner, paint, painted

pytest.importorskip("PySide6.QtUiTools", reason="the panels need PySide6")

IN_VAIN = "strokes on it do not count"


def clone(node):
    """Clone a node as Slicer's Data module does."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    item = hierarchy.GetItemByDataNode(node)
    copied = slicer.vtkSlicerSubjectHierarchyModuleLogic.CloneSubjectHierarchyItem(
        hierarchy, item, "my copy"
    )
    return hierarchy.GetItemDataNode(copied)


@pytest.mark.parametrize("moving", [False, True])
def test_a_clone_can_be_used(driver, oblique, moving, request):
    if moving:
        image = request.getfixturevalue("reviewed_cine")
    else:
        driver.run(add_volume(oblique))
        image = driver.panel.logic.session.image(driver.panel.current.key)
    scene_image, ui = driver.panel.current, driver.panel.segment.ui
    node = clone(scene_image.segmentation)
    driver.wait(lambda: not driver.panel.logic.others._painted)
    assert IN_VAIN not in ui.message.text, "cloning is no stroke"
    frame = scene_image.nodes.frame
    before = painted(driver.panel.logic, scene_image)
    where = corner(before.shape, 1)
    paint(node, 3, where, scene_image.nodes.volume)
    driver.wait(lambda: IN_VAIN in ui.message.text)
    assert ui.message.text.startswith("my copy is not the segmentation of ")
    assert driver.parent.window.statusBar().currentMessage() == ui.message.text
    if moving:
        scene_image.nodes.browser.SetSelectedItemNumber((frame + 1) % 3)
    assert ui.messageButton.text == "Use this segmentation"
    driver.click(ui.messageButton)
    wanted = before.copy()
    wanted[frame][where] = 3
    np.testing.assert_array_equal(painted(driver.panel.logic, scene_image), wanted)
    np.testing.assert_array_equal(image.labels.data.reshape(wanted.shape), wanted)
    assert image.autosave is not None, "the strokes are on the disk"
    assert not node.GetDisplayNode().GetVisibility()
    editor = driver.panel.review.ui.editor
    assert editor.segmentationNode() is scene_image.segmentation
    editor.undo()
    driver.wait(lambda: not scene_image.painted_frames)
    np.testing.assert_array_equal(painted(driver.panel.logic, scene_image), before)


def test_other_segmentations_are_reported_once_and_not_offered(driver, oblique):
    node = add_volume(oblique)
    driver.run(node)
    ui, asked = driver.panel.segment.ui, []
    other = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "lungs")
    other.SetReferenceImageGeometryParameterFromVolumeNode(node)
    other.GetSegmentation().AddEmptySegment("flomo_3")
    driver.panel.board.subscribe(lambda: asked.append(ui.message.text))
    for number in (0, 1):
        paint(other, 3, corner(oblique.data.shape, number), node)
        driver.wait(lambda: not driver.panel.logic.others._painted)
    assert [IN_VAIN in text for text in asked].count(True) == 1
    assert not ui.messageButton.wrapped.isVisibleTo(driver.parent.window)
    slicer.mrmlScene.RemoveNode(other)
