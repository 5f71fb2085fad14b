"""The module from its .ui files to the scene, by clicks on PySide6."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import slicer
from helpers import add_volume, corner, oblique_heart, paint

from napari_flomo.corrections import CorrectionStore, default_store

pytest.importorskip("PySide6.QtUiTools", reason="the panels need PySide6")

import widget_stubs


def test_segment_review_correct_accept(driver, oblique):
    ui, review = driver.panel.segment.ui, driver.panel.review.ui
    assert not ui.segmentButton.enabled
    node = add_volume(oblique)
    driver.run(node)
    scene_image = driver.panel.current
    assert scene_image.results.segmentation.GetSegmentation().GetNumberOfSegments() == 2
    assert review.editor.segmentationNode() is scene_image.results.segmentation
    assert review.editor.sourceVolumeNode() is node
    assert review.editor.wrapped.shortcuts
    assert driver.panel.measures.ui.measuresView.wrapped.table is scene_image.results.table
    assert review.reviewTable.rowCount == oblique.n_slices
    composite = slicer.mrmlScene.GetNodeByID("vtkMRMLSliceCompositeNodeRed")
    assert composite.GetBackgroundVolumeID() == node.GetID()
    assert composite.GetForegroundVolumeID() is None
    review.showUncertainty.setChecked(True)
    assert composite.GetForegroundVolumeID() == scene_image.results.uncertainty.GetID()
    review.opacity.setValue(0.35)
    assert composite.GetForegroundOpacity() == pytest.approx(0.35)
    review.threshold.setValue(0.5)
    assert scene_image.results.uncertainty.GetDisplayNode().GetLowerThreshold() == pytest.approx(
        0.5
    )
    driver.click(review.nextButton)
    first = driver.panel.logic.session.image(scene_image.key).review.current
    assert first is not None
    where = corner(oblique.data.shape, first.slice, 3)
    paint(scene_image.results.segmentation, 3, where, node)
    before = [scene_image.results.table.GetCellText(row, 2) for row in range(2)]
    driver.wait(lambda: not scene_image.painted_frames)  # reported by the timer
    assert [scene_image.results.table.GetCellText(row, 2) for row in range(2)] != before
    driver.click(review.acceptButton)
    driver.wait(lambda: bool(review.keptLine.text))
    assert review.keptLine.text == "1 accepted slice is kept for learning."
    assert review.reviewTable.item(0, 2).text() == "accepted"
    assert review.reviewTable.item(0, 3).text() == str(where.sum())
    (record,) = CorrectionStore.open(default_store()).records()
    assert record.places_seen == (tuple(first),)
    driver.answer = "Segment everything anew"
    driver.run(node)
    assert "You accepted a slice." in driver.asked[-1]
    assert review.reviewTable.item(0, 2).text() == "open"
    painted = slicer.util.arrayFromSegmentBinaryLabelmap(
        scene_image.results.segmentation, "flomo_3", node
    )
    assert not painted[where].any()
    review.editor.undo()
    driver.wait(lambda: not scene_image.painted_frames)
    assert review.reviewTable.item(0, 2).text() == "accepted"
    assert review.reviewTable.item(0, 3).text() == str(where.sum())
    painted = slicer.util.arrayFromSegmentBinaryLabelmap(
        scene_image.results.segmentation, "flomo_3", node
    )
    assert painted[where].all(), "Undo brings the strokes back"


def test_declined_question_starts_no_run(driver, oblique):
    node = add_volume(oblique)
    driver.run(node)
    where = corner(oblique.data.shape, 1, 3)
    paint(driver.panel.current.results.segmentation, 3, where, node)
    driver.answer = False
    driver.click(driver.panel.segment.ui.segmentButton)
    assert driver.panel.logic.session.running is None
    assert len(driver.asked) == 1


def test_a_run_that_ends_leaves_the_views_to_the_user(driver, oblique):
    first, second = add_volume(oblique), add_volume(oblique_heart(slices=20, seed=1), "second")
    driver.run(first)
    driver.choose(second)
    driver.pick_model("slow")
    driver.click(driver.panel.segment.ui.segmentButton)
    session, editor = driver.panel.logic.session, driver.panel.review.ui.editor
    driver.wait(lambda: session.running.progress.done > 0)
    driver.choose(first)
    editor.setActiveEffect(SimpleNamespace(name="Paint"))
    view = slicer.mrmlScene.GetNodeByID("vtkMRMLSliceNodeRed")
    view.JumpSliceByOffsetting(1, 2, 3)
    composite = slicer.mrmlScene.GetNodeByID("vtkMRMLSliceCompositeNodeGreen")
    composite.SetBackgroundVolumeID(second.GetID())
    before = driver.panel.logic.adapter.focus()
    driver.wait(lambda: session.running is None)
    assert driver.panel.logic.images.of(second).results.segmentation is not None
    assert driver.panel.logic.adapter.focus() == before
    assert before[2] == "Paint"


def test_cancel_by_click(driver):
    driver.pick_model("slow")
    driver.choose(add_volume(oblique_heart(slices=60)))
    ui = driver.panel.segment.ui
    driver.click(ui.segmentButton)
    driver.wait(lambda: ui.progress.value > 0)
    assert "of 60" in ui.progress.format
    driver.click(ui.cancelButton)
    driver.wait(lambda: driver.panel.logic.session.running is None, 5)
    assert ui.message.text == "Cancelled; nothing was changed."
    assert not ui.progress.wrapped.isVisibleTo(driver.parent.window)
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0


def test_out_of_gpu_memory_offers_the_cpu(driver, oblique):
    driver.pick_model("gpu")
    driver.run(add_volume(oblique))
    driver.wait(lambda: driver.panel.current is not None)
    assert "memory" in driver.asked[-1]
    driver.wait(lambda: driver.panel.current.results is not None)


def test_shows_why_an_image_is_rejected(driver, program):
    ui = driver.panel.segment.ui
    empty = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "nothing")
    driver.choose(empty)
    assert "no voxels" in ui.imageLine.text
    driver.click(ui.segmentButton)
    assert "no voxels" in ui.message.text
    driver.choose(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "labels"))
    assert ui.imageSelector.currentNode() is empty, "label maps are not offered"


def test_choices_are_saved_with_the_scene(driver, program, oblique, tmp_path):
    node = add_volume(oblique)
    driver.run(node)
    ui = driver.panel.segment.ui
    ui.sliceScope.setChecked(True)
    ui.deviceBox.setCurrentIndex(1)
    ui.mirroredBox.setChecked(True)
    driver.panel.review.ui.opacity.setValue(0.2)
    path = tmp_path / "scene.mrb"
    assert slicer.mrmlScene.WriteToMRB(str(path))
    program.close_scene()
    assert driver.panel.current is None
    assert ui.imageSelector.currentNode() is None
    assert ui.stackScope.checked
    assert not ui.mirroredBox.checked
    assert driver.panel.review.ui.reviewTable.rowCount == 0
    assert slicer.mrmlScene.ReadFromMRB(str(path))
    assert ui.imageSelector.currentNode().GetName() == "heart"
    assert ui.sliceScope.checked
    assert ui.deviceBox.currentData == "cpu"
    assert ui.mirroredBox.checked
    assert ui.modelBox.currentData == "toy"
    assert driver.panel.review.ui.opacity.value == pytest.approx(0.2)
    assert driver.panel.current.results.segmentation is not None
    assert driver.panel.review.ui.reviewTable.rowCount == oblique.n_slices


def test_closing_the_scene_during_a_run(driver, program, oblique):
    driver.pick_model("slow")
    driver.choose(add_volume(oblique_heart(slices=60)))
    driver.click(driver.panel.segment.ui.segmentButton)
    program.close_scene()
    driver.wait(lambda: driver.panel.logic.session.running is None, 5)
    driver.pick_model("toy")
    driver.run(add_volume(oblique))
    assert driver.panel.current.results is not None


def test_deleting_the_labels_empties_the_panel(driver, oblique):
    driver.run(add_volume(oblique))
    slicer.mrmlScene.RemoveNode(driver.panel.current.results.segmentation)
    driver.wait(lambda: driver.panel.current is None, 5)
    assert driver.panel.review.ui.reviewTable.rowCount == 0
    assert not driver.panel.review.ui.acceptButton.enabled


def test_the_model_is_loaded_before_the_first_click(driver, tiny_worker, monkeypatch):
    loaded = []
    monkeypatch.setattr(tiny_worker, "preload", lambda *choices: loaded.append(choices))
    driver.module.cleanup()
    driver.module.setup()
    assert loaded == [(driver.module.panel.segment.model, "auto")]


def test_leaving_and_closing(driver, oblique):
    driver.run(add_volume(oblique))
    driver.module.exit()
    assert not driver.panel.review.ui.editor.wrapped.shortcuts
    panel = driver.panel
    driver.module.cleanup()
    assert driver.module.panel is None
    program_observers = panel._tags
    assert program_observers == []
    slicer.mrmlScene.Clear(0)  # no observers are left
    driver.module.setup()


def test_every_widget_is_used_and_has_a_tooltip():
    folder = Path(__file__).parents[2] / "slicer_extension" / "FLoMoSegmentation"
    panels = folder.glob("FLoMoSegmentationLib/panels/*.py")
    code = "\n".join(path.read_text(encoding="utf-8") for path in panels)
    code += 'scopes getattr(ui, f"{name}Scope") sliceScope stackScope allScope'
    widget_stubs.install()
    for page in sorted((folder / "Resources" / "UI").glob("*.ui")):
        loaded = widget_stubs.load_ui(str(page))
        widgets = vars(widget_stubs.child_widgets(loaded))
        for name, proxy in widgets.items():
            kind = type(proxy.wrapped).__name__
            if kind in ("QPushButton", "QCheckBox", "QRadioButton", "QComboBox", "NodeComboBox"):
                assert proxy.toolTip, f"{page.name}: {name} has no tooltip"
                assert name in code, f"{page.name}: {name} is not used"


def test_selftest_steps(driver, program, monkeypatch):
    """All steps but the one that needs the real Segment Editor."""
    from FLoMoSegmentationLib import selftest

    handle = SimpleNamespace(
        widgetRepresentation=lambda: SimpleNamespace(self=lambda: driver.module)
    )
    monkeypatch.setattr(slicer.modules, "flomosegmentation", handle, raising=False)
    monkeypatch.setattr(slicer.util, "selectModule", lambda name: None, raising=False)
    monkeypatch.setattr(slicer.app, "processEvents", driver.application.processEvents)
    for step in selftest.STEPS[:-1]:
        program.close_scene()
        program.slice_view("Red")
        step()
    assert selftest.STEPS[-1] is selftest.edit_and_undo


def test_an_implausible_label_is_listed_and_shown(driver, oblique):
    review = driver.panel.review.ui
    node = add_volume(oblique)
    driver.run(node)
    scene_image = driver.panel.current
    before = review.flagList.count
    paint(scene_image.results.segmentation, 3, corner(oblique.data.shape, 0, 5), node)
    driver.wait(lambda: not scene_image.painted_frames)
    driver.wait(lambda: review.flagList.count > before)
    texts = [review.flagList.item(row).text() for row in range(review.flagList.count)]
    row = texts.index("Slice 1: The wall is missing at 100 % of the border of the left ventricle.")
    review.flagList.setCurrentRow(row)
    assert driver.panel.logic.adapter.position(scene_image.key) == (0, 0)
