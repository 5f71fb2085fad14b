"""Edits are written to disk immediately, and restored after a crash."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import slicer
from FLoMoSegmentationLib import scene_sync, segment_nodes, slice_views
from FLoMoSegmentationLib.scene_adapter import HeadlessHost
from helpers import (
    add_cine,
    add_volume,
    autosave_of,
    cine_of,
    corner,
    oblique_heart,
    paint,
    painted,
    restore,
    run,
)

from napari_flomo.corrections import journals_folder, replay, unfinished
from napari_flomo.errors import FlomoError
from napari_flomo.session import SliceIndex, SliceState

PAINTER = Path(__file__).with_name("painter.py")

CHILD = Path(__file__).parents[1] / "session" / "tiny_child.py"


class Chosen(HeadlessHost):
    """A host with a chosen image."""

    node = None

    def chosen_image(self):
        return self.node


def labels_in_scene(logic, scene_image):
    labels = painted(logic, scene_image)
    return labels if scene_image.nodes.sequence is not None else labels[0]


def stroke(logic, scene_image, code=3, number=1, size=4):
    where = corner(logic.session.image(scene_image.key).volume.data.shape, number, size)
    paint(scene_image.results.segmentation, code, where, scene_image.nodes.volume)


def restore_first(driver):
    """Wait for the list, click Restore for its first row and wait for the end."""
    ui = driver.panel.restore.ui
    driver.wait(lambda: ui.restoreBox.visible)
    assert " stroke" in ui.restoreList.item(0).text()
    assert not ui.restoreList.item(0).icon().isNull()
    driver.click(ui.restoreButton)
    driver.wait(lambda: driver.panel.logic.presenter.unsaved.restoring.ended)


def journals():
    folder = journals_folder()
    return [path for path in folder.iterdir() if path.is_dir()] if folder.exists() else []


@pytest.fixture
def killed(tmp_path, program):
    """Labels and image of a Slicer that was killed while painting."""
    progress = tmp_path / "progress"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with (tmp_path / "said").open("w+") as said:
        process = subprocess.Popen(
            [sys.executable, str(PAINTER), str(CHILD), str(progress)],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=said,
        )
        deadline = time.monotonic() + 120
        while not progress.exists() or int(progress.read_text() or 0) < 12:
            assert process.poll() is None, (tmp_path / "said").read_text()[-2000:]
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
    return np.load(f"{progress}.npy"), oblique_heart()


@pytest.fixture
def unsaved(make_logic, oblique, program):
    """Logic and host after a scene with an edit was closed without saving."""
    chosen = Chosen()
    logic = make_logic(host=chosen)
    stroke(logic, run(logic, add_volume(oblique)))
    program.close_scene()
    return logic, chosen


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
@pytest.mark.parametrize("loaded", [False, True], ids=["nothing loaded", "the image loaded"])
def test_restore_after_kill(killed, driver, program, tmp_path, loaded):
    drawn, volume = killed
    panel = driver.panel
    if loaded:
        node = add_volume(volume, "loaded")
        driver.choose(node)
    panel.refresh()
    ui = panel.restore.ui
    restore_first(driver)
    scene_image = panel.current
    assert (
        (scene_image.nodes.volume is node)
        if loaded
        else (scene_image.nodes.volume.GetName() != "loaded")
    )
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 1
    assert np.array_equal(slicer.util.arrayFromVolume(scene_image.nodes.volume), volume.data)
    brought = labels_in_scene(panel.logic, scene_image)
    assert (brought != drawn).sum() <= 1, "no more than the last stroke of the killed one"
    image = panel.logic.session.image(scene_image.key)
    assert np.array_equal(image.labels.data, brought)
    assert image.review.state(SliceIndex(0, 2)) is SliceState.ACCEPTED
    assert image.review.edits(SliceIndex(0, 1)) > 0
    assert image.locked == {3}
    assert segment_nodes.completed(scene_image.results.segmentation, image.segmentation.card) == {3}
    assert panel.segment.ui.message.text.startswith("Restored ")
    assert "Compute under Review" in panel.segment.ui.message.text
    assert panel.review.ui.editor.segmentationNode() is scene_image.results.segmentation
    driver.wait(lambda: not ui.restoreBox.visible)
    assert unfinished() == [], "it is open again, here"
    (folder,) = journals()

    stroke(panel.logic, scene_image, code=2, number=3)
    driver.wait(lambda: not scene_image.painted_frames)
    assert autosave_of(panel.logic, scene_image).flush()
    assert np.array_equal(replay(folder).labels.data, labels_in_scene(panel.logic, scene_image))
    assert slicer.mrmlScene.WriteToMRB(str(tmp_path / "saved.mrb"))
    driver.wait(lambda: autosave_of(panel.logic, scene_image) is None)
    assert journals() == [], "what is saved needs no journal"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_discard_asks(killed, driver):
    driver.panel.refresh()
    ui = driver.panel.restore.ui
    driver.wait(lambda: ui.restoreBox.visible)
    driver.answer = False
    driver.click(ui.discardButton)
    assert "This cannot be undone." in driver.asked[-1]
    assert len(journals()) == 1
    driver.answer = True
    driver.click(ui.discardButton)
    driver.wait(lambda: not ui.restoreBox.visible)
    assert journals() == []


def test_no_journal_before_the_first_edit(driver, oblique):
    assert not driver.panel.restore.ui.restoreBox.visible
    driver.run(add_volume(oblique))
    driver.panel.logic.poll()
    assert journals() == []


def test_restore_after_closing_an_unsaved_scene(driver, oblique, program):
    driver.run(add_volume(oblique))
    logic = driver.panel.logic
    scene_image = driver.panel.current
    stroke(logic, scene_image)  # not reported yet
    wanted = labels_in_scene(logic, scene_image)
    program.close_scene()
    restore_first(driver)
    assert np.array_equal(labels_in_scene(logic, driver.panel.current), wanted)
    assert driver.panel.segment.ui.imageSelector.currentNode() is driver.panel.current.nodes.volume


def test_restore_deleted_labels(driver, oblique):
    node = add_volume(oblique)
    driver.run(node)
    scene_image = driver.panel.current
    stroke(driver.panel.logic, scene_image)
    wanted = labels_in_scene(driver.panel.logic, scene_image)
    slicer.mrmlScene.RemoveNode(scene_image.results.segmentation)
    restore_first(driver)
    assert driver.panel.current.nodes.volume is node
    assert np.array_equal(labels_in_scene(driver.panel.logic, driver.panel.current), wanted)


def test_edit_after_saving_starts_a_new_journal(make_logic, oblique, program, tmp_path):
    logic = make_logic()
    node = add_volume(oblique)
    scene_image = run(logic, node)
    stroke(logic, scene_image)
    logic.poll()
    assert autosave_of(logic, scene_image).flush()
    (first,) = journals()
    slicer.mrmlScene.AddNode(storage := scene_image.results.segmentation.CreateDefaultStorageNode())
    scene_image.results.segmentation.SetAndObserveStorageNodeID(storage.GetID())
    storage.SetFileName(str(tmp_path / "labels.seg.nrrd"))
    assert storage.WriteData(scene_image.results.segmentation)
    logic.poll()
    assert autosave_of(logic, scene_image) is None
    assert journals() == []
    stroke(logic, scene_image, number=2)
    logic.poll()
    assert autosave_of(logic, scene_image).flush()
    (second,) = journals()
    assert second != first
    found = replay(second)
    assert found.strokes == 1
    assert np.array_equal(found.labels.data, labels_in_scene(logic, scene_image))
    assert (found.proposed.data[corner(oblique.data.shape, 1)] == 3).all(), "from what was saved on"


def test_journal_contains_a_run_between_edits(make_logic, oblique):
    logic = make_logic()
    node = add_volume(oblique)
    scene_image = run(logic, node)
    stroke(logic, scene_image, number=1)
    logic.poll()
    run(logic, node)  # overwrites the edit
    stroke(logic, scene_image, number=2)
    logic.poll()
    assert autosave_of(logic, scene_image).flush()
    (folder,) = journals()
    labels = labels_in_scene(logic, scene_image)
    assert not (labels[corner(oblique.data.shape, 1)] == 3).any()
    assert (labels[corner(oblique.data.shape, 2)] == 3).all()
    assert np.array_equal(replay(folder).labels.data, labels)


def test_restore_a_cine(make_logic, program):
    logic = make_logic()
    cine = cine_of(oblique_heart())
    _, sequence, _ = add_cine(cine)
    scene_image = run(logic, sequence)
    slice_views.jump(scene_image.nodes, SliceIndex(1, 2))
    stroke(logic, scene_image, number=2)
    assert scene_image.painted_frames >= {1}
    logic.poll()
    slice_views.jump(scene_image.nodes, SliceIndex(2, 1))
    stroke(logic, scene_image, number=1)
    wanted = labels_in_scene(logic, scene_image)
    program.close_scene()
    (left,) = unfinished()
    assert left.strokes == 2
    again = restore(logic)
    assert again.nodes.n_frames == 3
    assert np.array_equal(labels_in_scene(logic, again), wanted)
    for frame in range(3):
        slice_views.jump(again.nodes, SliceIndex(frame, 0))
        shown = slicer.util.arrayFromVolume(again.nodes.volume)
        assert np.array_equal(shown, cine.data[frame])
    stroke(logic, again, number=3)
    logic.poll()
    assert autosave_of(logic, again).flush()
    assert np.array_equal(replay(left.folder).labels.data, labels_in_scene(logic, again))


def test_timer_reads_only_selected_frames(make_logic, program, monkeypatch):
    logic = make_logic()
    _, sequence, _ = add_cine(cine_of(oblique_heart()))
    scene_image = run(logic, sequence)
    slice_views.jump(scene_image.nodes, SliceIndex(2, 2))
    logic.poll()
    stroke(logic, scene_image, number=2)
    read, asked = scene_sync.read_labels, []

    def spy(nodes, node, card, frame=None):
        asked.append(frame)
        return read(nodes, node, card, frame)

    monkeypatch.setattr(scene_sync, "read_labels", spy)
    logic.poll()
    assert asked == [2]
    assert logic.session.image(scene_image.key).review.edits(SliceIndex(2, 2)) > 0


def test_restore_ignores_another_chosen_image(unsaved):
    logic, chosen = unsaved
    other = add_volume(oblique_heart(seed=1), "other")
    chosen.node = other
    scene_image = restore(logic)
    assert scene_image.nodes.volume is not other
    assert logic.images.of(other).results is None


def test_restore_does_not_overwrite_new_edits(unsaved, oblique):
    logic, chosen = unsaved
    node = add_volume(oblique, "loaded again")
    scene_image = run(logic, node)
    stroke(logic, scene_image, number=3)
    mine = labels_in_scene(logic, scene_image)
    chosen.node = node
    again = restore(logic)
    assert again is not scene_image
    assert np.array_equal(labels_in_scene(logic, scene_image), mine)
    assert (labels_in_scene(logic, again)[corner(oblique.data.shape, 1)] == 3).all()


def test_restore_keeps_uncertainty_of_the_same_model(unsaved, oblique):
    logic, chosen = unsaved
    node = add_volume(oblique, "loaded again")
    scene_image = run(logic, node)
    chosen.node = node
    again = restore(logic)
    assert again is scene_image
    assert "entropy" in logic.session.image(scene_image.key).segmentation.uncertainty
    assert scene_image.results.uncertainty is not None


def test_failed_restore_leaves_the_scene_unchanged(make_logic, oblique, program, monkeypatch):
    logic = make_logic()
    _, sequence, _ = add_cine(cine_of(oblique))
    stroke(logic, run(logic, sequence))
    program.close_scene()

    def refuse(_key, _restored, _journal):
        raise FlomoError("The model toy is not on this computer.")

    monkeypatch.setattr(logic.session, "restore", refuse)
    said = []
    monkeypatch.setattr(logic.adapter, "notify", said.append)
    before = slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLVolumeNode")
    assert restore(logic) is None
    assert "toy is not on this computer" in said[-1].text
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLVolumeNode") == before
    assert logic.images.opened == ()
    assert len(unfinished()) == 1


def test_reports_an_unwritable_journal(driver, oblique, data_home):
    driver.run(add_volume(oblique))
    journals_folder().parent.mkdir(parents=True, exist_ok=True)
    journals_folder().write_text("no folder")
    stroke(driver.panel.logic, driver.panel.current)
    message = driver.panel.segment.ui.message
    driver.wait(lambda: message.text.startswith("Your strokes could not be saved to disk: "))
    journals_folder().unlink()
    stroke(driver.panel.logic, driver.panel.current, number=2)
    driver.wait(lambda: message.text == "Strokes are being saved to disk again.")
    assert autosave_of(driver.panel.logic, driver.panel.current).flush()
    (folder,) = journals()
    assert replay(folder).strokes == 2


def test_edits_are_written_during_another_run(driver, oblique):
    node = add_volume(oblique)
    driver.run(node)
    scene_image = driver.panel.current
    driver.pick_model("slow")
    driver.choose(add_volume(oblique_heart(slices=60), "other"))
    driver.click(driver.panel.segment.ui.segmentButton)
    stroke(driver.panel.logic, scene_image)
    driver.wait(lambda: autosave_of(driver.panel.logic, scene_image) is not None, 5)
    assert driver.panel.logic.session.running is not None
    assert autosave_of(driver.panel.logic, scene_image).flush()
    assert len(journals()) == 1


def test_painting_reopens_an_accepted_slice(make_logic, oblique):
    logic = make_logic()
    node = add_volume(oblique)
    scene_image = run(logic, node)
    slice_views.align(scene_image.nodes)
    stroke(logic, scene_image, number=1)
    slice_views.jump(scene_image.nodes, SliceIndex(0, 1))
    logic.presenter.accept(scene_image.key)
    slice_views.jump(scene_image.nodes, SliceIndex(0, 2))
    logic.presenter.accept(scene_image.key)
    stroke(logic, scene_image, number=1, size=6)
    logic.poll()
    assert autosave_of(logic, scene_image).flush()
    (folder,) = journals()
    assert replay(folder).accepted == {(0, 2)}
