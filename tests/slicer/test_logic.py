"""The module's logic on the real scene, with a real child process."""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import replace

import numpy as np
import psutil
import pytest
import slicer
from FLoMoSegmentationLib import measures, segment_nodes, slice_views
from FLoMoSegmentationLib.result_nodes import ResultNodes
from FLoMoSegmentationLib.scene_adapter import HeadlessHost
from helpers import (
    add_cine,
    add_volume,
    cine_of,
    corner,
    expected,
    finish,
    oblique_heart,
    paint,
    painted,
    rotation,
    run,
)
from shim import matrix

from napari_flomo.corrections import CorrectionStore, default_store, identity
from napari_flomo.errors import FlomoError
from napari_flomo.session import (
    CorrectionKept,
    RunCancelled,
    RunFailed,
    SliceIndex,
    measure_messages,
)
from napari_flomo.session.overwrite import overwritten_by


def test_results_of_a_stack(segmented, oblique):
    logic, node, scene_image = segmented
    record = scene_image.results
    assert np.array_equal(painted(logic, scene_image)[0], expected(oblique))
    names = [
        record.segmentation.GetSegmentation().GetSegment(name).GetName()
        for name in record.segmentation.GetSegmentation().GetSegmentIDs()
    ]
    assert names == ["left ventricular myocardium", "left ventricle"]
    assert record.segmentation.GetName() == "heart labels"
    assert record.uncertainty.GetName() == "heart uncertainty"
    uncertainty = slicer.util.arrayFromVolume(record.uncertainty)
    assert uncertainty.dtype == np.float32
    assert np.array_equal(uncertainty, (expected(oblique) > 0).astype(np.float32))
    assert record.uncertainty.GetDisplayNode().GetColorNode().GetName() == "FLoMo uncertainty"
    values = [record.table.GetCellText(row, 2) for row in range(2)]
    ml = np.prod(oblique.geometry.spacing) / 1000
    assert values == [f"{(expected(oblique) == code).sum() * ml:.1f}" for code in (2, 3)]
    assert record.image is node
    assert record.node.GetHideFromEditors()
    assert record.proposed.GetHideFromEditors()


def test_results_have_the_parents_of_the_image(make_logic, oblique):
    scene = slicer.mrmlScene
    node = add_volume(oblique)
    moved = np.eye(4)
    moved[:3, :3], moved[:3, 3] = rotation(0.1, 0.5, -0.2), (3, 4, 5)
    parent = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "moved")
    parent.SetMatrixTransformToParent(matrix(moved))
    node.SetAndObserveTransformNodeID(parent.GetID())
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    study = hierarchy.CreateStudyItem(hierarchy.GetSceneItemID(), "study")
    hierarchy.SetItemParent(hierarchy.GetItemByDataNode(node), study)
    logic = make_logic()
    scene_image = run(logic, node)
    for result in (scene_image.results.segmentation, scene_image.results.uncertainty):
        assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(result)) == study
        assert result.GetTransformNodeID() == parent.GetID()
    assert np.array_equal(painted(logic, scene_image)[0], expected(oblique))


def test_results_of_a_cine_are_sequences(make_logic, program):
    cine = cine_of(oblique_heart())
    node, sequence, browser = add_cine(cine)
    logic = make_logic()
    scene_image = run(logic, sequence)
    record = scene_image.results
    assert browser.GetSequenceNode(record.segmentation) is not None
    assert browser.GetSequenceNode(record.uncertainty) is not None
    assert np.array_equal(painted(logic, scene_image), expected(cine))
    card = logic.session.image(scene_image.key).segmentation.card
    for frame in (2, 0, 1):  # what is on the screen follows the browser
        slice_views.jump(scene_image.nodes, SliceIndex(frame, 1))
        shown = segment_nodes.read_segments(record.segmentation, card, node)
        assert np.array_equal(shown, expected(cine)[frame])
        assert record.segmentation.GetName() == "cine labels"
    rows = record.table.GetNumberOfRows()
    texts = [[record.table.GetCellText(row, column) for column in (1, 2)] for row in range(rows)]
    assert ["end systole", "1"] in texts
    assert any(text[0] == "EF" for text in texts)


def test_table_shows_frames_that_jump(make_logic, program):
    cine = cine_of(oblique_heart(), frames=6)
    cine.data[1:] = cine.data[0]
    cine.data[3][cine.data[3] > 150] = 40
    logic = make_logic()
    _, sequence, _ = add_cine(cine)
    table = run(logic, sequence).results.table
    rows = range(table.GetNumberOfRows())
    texts = [[table.GetCellText(row, column) for column in range(4)] for row in rows]
    assert ["left ventricle", "does not fit the neighbouring frames", "4", "frame"] in texts


def test_table_shows_limits_of_agreement(make_logic, program):
    logic = make_logic()
    _, sequence, _ = add_cine(cine_of(oblique_heart()))
    scene_image = run(logic, sequence)
    image, heart = logic.session.image(scene_image.key), logic.session.measures(scene_image.key)
    found = {"EF": {"limits": [-18.2, 17.1], "unit": "%", "patients": 16}}
    card = replace(image.segmentation.card, metrics={"ventricles": {"left ventricle": found}})
    image.segmentation = replace(image.segmentation, card=card)
    rows = {(row.structure, row.measure): row for row in measures.rows_of(image, heart, 0)}
    assert rows["left ventricle", "EF"].agreement == "-18 to +17 %"
    assert rows["left ventricle", "EDV"].agreement == ""
    assert ("heart", measure_messages.agreement_text(card)) in rows
    table = measures.write_table(scene_image.results, "table", list(rows.values()))
    titles = [table.GetColumnName(column) for column in range(table.GetNumberOfColumns())]
    assert titles == list(measures.COLUMNS)


def test_edits_of_a_frame_stay_in_that_frame(make_logic, program):
    cine = cine_of(oblique_heart())
    _, sequence, _ = add_cine(cine)
    logic = make_logic()
    scene_image = run(logic, sequence)
    slice_views.jump(scene_image.nodes, SliceIndex(1, 2))
    where = np.zeros(cine.data.shape[1:], bool)
    where[2, :4, :5] = True
    paint(scene_image.results.segmentation, 3, where, scene_image.nodes.volume)
    slice_views.jump(scene_image.nodes, SliceIndex(2, 2))
    assert logic.report_edits(scene_image) == [SliceIndex(1, 2)]
    wanted = expected(cine)
    wanted[1][where] = 3
    image = logic.session.image(scene_image.key)
    assert np.array_equal(image.labels.data, wanted)
    assert np.array_equal(image.segmentation.labels.data, expected(cine)), "proposed stays"
    assert image.review.edits(SliceIndex(1, 2)) == where.sum()
    assert logic.report_edits(scene_image) == []
    run(logic, sequence, "slice")  # this slice of this frame only
    assert np.array_equal(painted(logic, scene_image), wanted), "other frames keep their labels"


def test_scopes(make_logic, program):
    cine = cine_of(oblique_heart())
    _, sequence, _ = add_cine(cine)
    logic = make_logic()
    scene_image = logic.images.open(sequence)
    slice_views.align(scene_image.nodes)
    slice_views.jump(scene_image.nodes, SliceIndex(1, 3))
    assert slice_views.slice_on_screen(scene_image.nodes) == (1, 3)
    assert logic.scope(scene_image, "slice").slices == (3,)
    assert logic.scope(scene_image, "slice").frames == (1,)
    assert logic.scope(scene_image, "stack").slices is None
    assert logic.scope(scene_image, "stack").frames == (1,)
    assert logic.scope(scene_image, "all").frames is None
    run(logic, sequence, "slice")
    wanted = np.zeros(cine.data.shape, int)
    wanted[1, 3] = expected(cine)[1, 3]
    assert np.array_equal(painted(logic, scene_image), wanted)


def test_another_run_keeps_completed_segments(segmented, oblique):
    logic, node, scene_image = segmented
    where = corner(oblique.data.shape, 1, 3)
    paint(scene_image.results.segmentation, 3, where, node)
    logic.report_edits(scene_image)
    found = overwritten_by(logic.session.image(scene_image.key), logic.scope(scene_image, "all"))
    assert (len(found.corrected), len(found.accepted)) == (1, 0)
    status = slicer.vtkSlicerSegmentationsModuleLogic
    ventricle = scene_image.results.segmentation.GetSegmentation().GetSegment("flomo_3")
    status.SetSegmentStatus(ventricle, status.Completed)
    run(logic, node)
    assert (painted(logic, scene_image)[0][where] == 3).all()
    status.SetSegmentStatus(ventricle, status.InProgress)
    run(logic, node)
    assert np.array_equal(painted(logic, scene_image)[0], expected(oblique))


@pytest.mark.parametrize("frames", [1, 3])
def test_undo_of_the_segment_editor_restores_all(make_logic, oblique, frames):
    class Editor:
        """The undo of the widget, with Slicer's own history."""

        def __init__(self):
            self.history = slicer.vtkSegmentationHistory()

        def saveStateForUndo(self):
            self.history.SaveState()

        def activeEffect(self):
            return None

    class Panel(HeadlessHost):
        def editor(self):
            return editor

    editor = Editor()
    logic = make_logic(host=Panel())
    node = add_volume(oblique) if frames == 1 else add_cine(cine_of(oblique, frames))[0]
    scene_image = run(logic, node)
    nodes, image = scene_image.nodes, logic.session.image(scene_image.key)
    slice_views.align(nodes)
    editor.history.SetSegmentation(scene_image.results.segmentation.GetSegmentation())
    for frame in range(frames):
        slice_views.jump(nodes, SliceIndex(frame, 2))
        where = corner(oblique.data.shape, 2, 3 + frame)
        paint(scene_image.results.segmentation, 2, where, nodes.volume)
    logic.report_edits(scene_image)
    logic.presenter.accept(scene_image.key)
    mine, review = painted(logic, scene_image), image.review.to_dict()
    run(logic, node)
    network = painted(logic, scene_image)
    assert not np.array_equal(network[frames - 1], mine[frames - 1])
    assert image.review.accepted == 0
    slice_views.jump(nodes, SliceIndex(0, 2))
    for step, labels, states in (
        (editor.history.RestorePreviousState, mine, review),
        (editor.history.RestoreNextState, network, None),
        (editor.history.RestorePreviousState, mine, review),
    ):
        assert step()
        logic.report_edits(scene_image)
        for frame in range(frames):
            slice_views.jump(nodes, SliceIndex(frame, 2))
        slice_views.jump(nodes, SliceIndex(0, 2))
        assert np.array_equal(painted(logic, scene_image), labels)
        assert np.array_equal(image.labels.data.reshape(labels.shape), labels)
        assert image.review.accepted == (0 if states is None else 1)
        assert states is None or image.review.to_dict() == states


def test_review_and_accept(make_logic, oblique):
    logic = make_logic()
    node = add_volume(oblique)
    kept = []
    logic.session.subscribe(kept.append)
    scene_image = run(logic, node)
    slice_views.align(scene_image.nodes)
    review = logic.session.image(scene_image.key).review
    first = logic.presenter.next(scene_image.key)
    assert first == review.order[0]
    assert slice_views.slice_on_screen(scene_image.nodes) == first
    where = corner(oblique.data.shape, first.slice, 3)
    paint(scene_image.results.segmentation, 3, where, node)
    second = logic.presenter.accept(scene_image.key)
    assert second == review.order[1]
    assert slice_views.slice_on_screen(scene_image.nodes) == second
    end = time.monotonic() + 30
    while not any(isinstance(event, CorrectionKept) for event in kept):
        assert time.monotonic() < end
        logic.queue.drain()
    store = CorrectionStore.open(default_store())
    (record,) = store.records()
    assert record.state == "accepted"
    assert record.places_seen == (tuple(first),)
    assert record.image.sha256 == identity(oblique)
    assert "slicer" in record.software
    correction = store.read(record.id)
    wanted = expected(oblique)
    assert np.array_equal(correction.proposed.data, wanted)
    wanted[where] = 3
    assert np.array_equal(correction.corrected.data, wanted)
    assert "heart" not in record.to_text(), "the name of a node is often that of a patient"


def test_images_of_a_dicom_patient_form_a_group(make_logic, program):
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    logic = make_logic()
    for number, patient in enumerate(("No 4711", "No 4711", "No 0815", "")):
        node = add_volume(oblique_heart(seed=number), f"series {number}")
        if patient:
            item = hierarchy.CreateSubjectItem(hierarchy.GetSceneItemID(), "somebody")
            hierarchy.SetItemAttribute(item, "DICOM.PatientID", patient)
            study = hierarchy.CreateStudyItem(item, "study")
            hierarchy.SetItemParent(hierarchy.GetItemByDataNode(node), study)
        scene_image = run(logic, node)
        slice_views.align(scene_image.nodes)
        logic.presenter.next(scene_image.key)
        logic.presenter.accept(scene_image.key)
    logic.close()  # writes what is left
    records = CorrectionStore.open(default_store()).records()
    groups = [record.group for record in records]
    assert len(groups) == 4
    assert len(set(groups)) == 3, groups
    by_image = {record.image.sha256: record.group for record in records}
    same = [by_image[identity(oblique_heart(seed=seed))] for seed in (0, 1)]
    assert same[0] == same[1]
    assert "No 4711" not in "".join(record.to_text() for record in records)


def test_cancel_leaves_the_scene_unchanged(make_logic, program):
    logic = make_logic()
    node = add_volume(oblique_heart(slices=60))
    events = []
    logic.session.subscribe(events.append)
    before = slicer.mrmlScene.GetNumberOfNodes()
    logic.segment(node, "slow", "cpu", "all")
    started = time.monotonic()
    logic.session.running.cancel()
    finish(logic)
    assert time.monotonic() - started < 3
    assert isinstance(events[-1], RunCancelled)
    assert slicer.mrmlScene.GetNumberOfNodes() == before


def test_run_after_a_killed_child_works(make_logic, oblique, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    logic = make_logic()
    node = add_volume(oblique_heart(slices=60))
    events = []
    logic.session.subscribe(events.append)
    logic.segment(node, "slow", "cpu", "all")
    while not logic.session.running.progress.done:
        logic.queue.drain()
    assert list(tmp_path.glob("flomo-job-*"))
    for child in psutil.Process(os.getpid()).children():
        if "tiny_child.py" in " ".join(child.cmdline()):
            child.kill()
    finish(logic)
    assert isinstance(events[-1], RunFailed)
    assert events[-1].problem.kind == "died"
    assert not list(tmp_path.glob("flomo-job-*")), "the folder is always removed"
    scene_image = run(logic, add_volume(oblique, "other"))
    assert np.array_equal(painted(logic, scene_image)[0], expected(oblique))


def test_failed_run_changes_nothing(make_logic, oblique):
    logic = make_logic()
    node = add_volume(oblique)
    events = []
    logic.session.subscribe(events.append)
    logic.segment(node, "gpu", "cuda", "all")
    finish(logic)
    assert events[-1].problem.kind == "out_of_gpu_memory"
    assert ResultNodes.of(node) is None
    with pytest.raises(FlomoError, match="nothing to review"):
        logic.presenter.next(logic.images.of(node).key)
