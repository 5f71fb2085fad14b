"""The module from its .ui files to the scene: clicks on PySide6, real process, real model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import slicer
from helpers import add_volume, oblique_heart, paint

from napari_flomo.corrections import CorrectionStore, default_store

pytest.importorskip("PySide6.QtUiTools", reason="the panels need PySide6")

import standins


def test_click_through_from_an_image_to_the_store(bench, oblique):
    ui, review = bench.panel.segment.ui, bench.panel.review.ui
    assert not ui.segmentButton.enabled
    node = add_volume(oblique)
    bench.run(node)
    scene_image = bench.panel.current
    assert scene_image.results.segmentation.GetSegmentation().GetNumberOfSegments() == 2
    assert review.editor.segmentationNode() is scene_image.results.segmentation
    assert review.editor.sourceVolumeNode() is node
    assert review.editor.wrapped.shortcuts
    assert review.measuresView.wrapped.table is scene_image.results.table
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
    bench.click(review.nextButton)
    first = bench.panel.logic.session.image(scene_image.key).review.current
    assert first is not None
    where = np.zeros(oblique.data.shape, bool)
    where[first.slice, :3, :3] = True
    paint(scene_image.results.segmentation, 3, where, node)
    before = [scene_image.results.table.GetCellText(row, 2) for row in range(2)]
    bench.wait(lambda: not scene_image.painted_frames)  # the timer takes it up
    assert [scene_image.results.table.GetCellText(row, 2) for row in range(2)] != before
    bench.click(review.acceptButton)
    bench.wait(lambda: bool(review.keptLine.text))
    assert review.keptLine.text == "1 accepted slice is kept for learning."
    assert review.reviewTable.item(0, 2).text() == "accepted"
    assert review.reviewTable.item(0, 3).text() == "1"
    (record,) = CorrectionStore.open(default_store()).records()
    assert record.places_seen == (tuple(first),)
    bench.run(node)  # asks before it finds corrected slices anew
    assert "a slice that you corrected" in bench.asked[-1]
    painted = slicer.util.arrayFromSegmentBinaryLabelmap(
        scene_image.results.segmentation, "flomo_3", node
    )
    assert not painted[where].any()
    review.editor.undo()
    painted = slicer.util.arrayFromSegmentBinaryLabelmap(
        scene_image.results.segmentation, "flomo_3", node
    )
    assert painted[where].all(), "Undo brings the strokes back"


def test_no_means_no(bench, oblique):
    node = add_volume(oblique)
    bench.run(node)
    where = np.zeros(oblique.data.shape, bool)
    where[1, :3, :3] = True
    paint(bench.panel.current.results.segmentation, 3, where, node)
    bench.answer = False
    bench.click(bench.panel.segment.ui.segmentButton)
    assert bench.panel.logic.session.running is None
    assert len(bench.asked) == 1


def test_cancel_by_click(bench):
    bench.pick_model("slow")
    bench.choose(add_volume(oblique_heart(slices=60)))
    ui = bench.panel.segment.ui
    bench.click(ui.segmentButton)
    bench.wait(lambda: ui.progress.value > 0)
    assert "of 60" in ui.progress.format
    bench.click(ui.cancelButton)
    bench.wait(lambda: bench.panel.logic.session.running is None, 5)
    assert ui.message.text == "Cancelled; nothing was changed."
    assert not ui.progress.wrapped.isVisibleTo(bench.parent.window)
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0


def test_a_gpu_that_is_too_small_is_followed_by_an_offer(bench, oblique):
    bench.pick_model("gpu")
    bench.run(add_volume(oblique))
    bench.wait(lambda: bench.panel.current is not None)
    assert "Use the CPU?" in bench.asked[-1]
    bench.wait(lambda: bench.panel.current.results is not None)


def test_what_is_refused_is_said(bench, program):
    ui = bench.panel.segment.ui
    empty = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "nothing")
    bench.choose(empty)
    assert "no voxels" in ui.imageLine.text
    bench.click(ui.segmentButton)
    assert "no voxels" in ui.message.text
    bench.choose(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "labels"))
    assert ui.imageSelector.currentNode() is empty, "label maps are not offered"


def test_the_scene_keeps_the_choices(bench, program, oblique, tmp_path):
    node = add_volume(oblique)
    bench.run(node)
    ui = bench.panel.segment.ui
    ui.sliceScope.setChecked(True)
    ui.deviceBox.setCurrentIndex(1)
    ui.mirroredBox.setChecked(True)
    bench.panel.review.ui.opacity.setValue(0.2)
    path = tmp_path / "scene.mrb"
    assert slicer.mrmlScene.WriteToMRB(str(path))
    program.close_scene()
    assert bench.panel.current is None
    assert ui.imageSelector.currentNode() is None
    assert ui.stackScope.checked
    assert not ui.mirroredBox.checked
    assert bench.panel.review.ui.reviewTable.rowCount == 0
    assert slicer.mrmlScene.ReadFromMRB(str(path))
    assert ui.imageSelector.currentNode().GetName() == "heart"
    assert ui.sliceScope.checked
    assert ui.deviceBox.currentData == "cpu"
    assert ui.mirroredBox.checked
    assert ui.modelBox.currentData == "toy"
    assert bench.panel.review.ui.opacity.value == pytest.approx(0.2)
    assert bench.panel.current.results.segmentation is not None
    assert bench.panel.review.ui.reviewTable.rowCount == oblique.n_slices


def test_a_scene_that_closes_during_a_run_leaves_the_panel_alive(bench, program, oblique):
    bench.pick_model("slow")
    bench.choose(add_volume(oblique_heart(slices=60)))
    bench.click(bench.panel.segment.ui.segmentButton)
    program.close_scene()
    bench.wait(lambda: bench.panel.logic.session.running is None, 5)
    bench.pick_model("toy")
    bench.run(add_volume(oblique))
    assert bench.panel.current.results is not None


def test_labels_that_are_deleted_leave_the_panel_empty(bench, oblique):
    bench.run(add_volume(oblique))
    slicer.mrmlScene.RemoveNode(bench.panel.current.results.segmentation)
    bench.wait(lambda: bench.panel.current is None, 5)
    assert bench.panel.review.ui.reviewTable.rowCount == 0
    assert not bench.panel.review.ui.acceptButton.enabled


def test_leaving_and_closing(bench, oblique):
    bench.run(add_volume(oblique))
    bench.module.exit()
    assert not bench.panel.review.ui.editor.wrapped.shortcuts
    panel = bench.panel
    bench.module.cleanup()
    assert bench.module.panel is None
    program_observers = panel._tags
    assert program_observers == []
    slicer.mrmlScene.Clear(0)  # nobody listens any more
    bench.module.setup()


def test_every_widget_of_the_files_is_used_and_explained():
    """A button that nobody connects, or that has no tooltip, is a fault."""
    folder = Path(__file__).parents[2] / "slicer_extension" / "FLoMoSegmentation"
    panels = folder.glob("FLoMoSegmentationLib/panels/*.py")
    code = "\n".join(path.read_text(encoding="utf-8") for path in panels)
    code += 'scopes getattr(ui, f"{name}Scope") sliceScope stackScope allScope'
    standins.install()
    for page in sorted((folder / "Resources" / "UI").glob("*.ui")):
        loaded = standins.load_ui(str(page))
        widgets = vars(standins.child_widgets(loaded))
        for name, proxy in widgets.items():
            kind = type(proxy.wrapped).__name__
            if kind in ("QPushButton", "QCheckBox", "QRadioButton", "QComboBox", "NodeComboBox"):
                assert proxy.toolTip, f"{page.name}: {name} has no tooltip"
                assert name in code, f"{page.name}: nobody uses {name}"


def test_the_steps_for_the_real_program_are_sound(bench, program, monkeypatch):
    """All but the one that needs the real Segment Editor."""
    from types import SimpleNamespace

    from FLoMoSegmentationLib import selftest

    handle = SimpleNamespace(
        widgetRepresentation=lambda: SimpleNamespace(self=lambda: bench.module)
    )
    monkeypatch.setattr(slicer.modules, "flomosegmentation", handle, raising=False)
    monkeypatch.setattr(slicer.util, "selectModule", lambda name: None, raising=False)
    monkeypatch.setattr(slicer.app, "processEvents", bench.application.processEvents)
    for step in selftest.STEPS[:4]:
        program.close_scene()
        program.slice_view("Red")
        step()
    assert selftest.STEPS[4].__name__ == "edit_and_undo"
