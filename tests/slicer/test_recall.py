"""Labels that were accepted on an earlier day are offered again."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from FLoMoSegmentationLib import slice_views
from helpers import (
    add_cine,
    add_volume,
    autosave_of,
    cine_of,
    corner,
    expected,
    oblique_heart,
    paint,
    painted,
    run,
)

from napari_flomo.corrections import default_store, replay
from napari_flomo.session import SliceIndex


@pytest.fixture
def yesterday(driver, oblique, program):
    """Slice 1 was corrected and accepted, slice 2 only accepted; the scene was closed."""
    driver.run(add_volume(oblique))
    logic, scene_image = driver.panel.logic, driver.panel.current
    paint(
        scene_image.results.segmentation, 3, corner(oblique.data.shape, 1), scene_image.nodes.volume
    )
    for number in (1, 2):
        slice_views.jump(scene_image.nodes, SliceIndex(0, number))
        driver.click(driver.panel.review.ui.acceptButton)
    kept = driver.panel.review.ui.keptLine
    driver.wait(lambda: kept.text == "2 accepted slices are kept for learning.")
    wanted = painted(logic, scene_image)[0]
    program.close_scene()
    driver.wait(lambda: driver.panel.restore.ui.restoreBox.visible)
    driver.click(driver.panel.restore.ui.discardButton)
    program.slice_view("Red")
    return wanted


def test_accepted_slices_come_back(driver, oblique, yesterday):
    ui, review = driver.panel.segment.ui, driver.panel.review.ui
    driver.run(add_volume(oblique, "today"))
    logic, scene_image = driver.panel.logic, driver.panel.current
    driver.wait(lambda: "2 slices that you accepted earlier today are shown" in ui.message.text)
    image = logic.session.image(scene_image.key)
    assert np.array_equal(painted(logic, scene_image)[0], yesterday)
    assert np.array_equal(image.labels.data, yesterday)
    assert [review.reviewTable.item(row, 2).text() for row in range(4)].count("accepted") == 2
    review.editor.undo()
    driver.wait(lambda: not scene_image.painted_frames)
    assert np.array_equal(painted(logic, scene_image)[0], expected(oblique))
    assert image.review.accepted == 0
    review.editor.redo()
    driver.wait(lambda: not scene_image.painted_frames)
    assert np.array_equal(painted(logic, scene_image)[0], yesterday)
    assert image.review.accepted == 2


def test_nothing_comes_back_for_another_image(driver, oblique, yesterday):
    driver.run(add_volume(oblique_heart(seed=1), "another"))
    for _ in range(20):
        driver.wait(lambda: True)
        driver.panel.tick()
    assert not driver.panel.segment.ui.messageButton.visible
    assert driver.panel.segment.ui.message.text == ""


def test_reports_an_unreadable_store(driver, oblique, yesterday):
    (default_store() / "store.json").write_text("{")
    driver.run(add_volume(oblique, "today"))
    message = driver.panel.segment.ui.message
    driver.wait(lambda: "earlier cannot be read" in message.text)


def test_restored_frame_of_a_cine_is_in_the_journal(make_logic, program):
    cine = cine_of(oblique_heart())
    _, sequence, _ = add_cine(cine)
    logic = make_logic()
    scene_image = run(logic, sequence)
    slice_views.align(scene_image.nodes)
    slice_views.jump(scene_image.nodes, SliceIndex(2, 1))
    paint(scene_image.results.segmentation, 3, corner(cine.data.shape, 1), scene_image.nodes.volume)
    logic.presenter.accept(scene_image.key)
    wanted = painted(logic, scene_image)
    assert logic.session._writer.flush()
    program.close_scene()
    program.slice_view("Red")
    _, sequence, _ = add_cine(cine, "today")
    scene_image = run(logic, sequence)
    slice_views.jump(scene_image.nodes, SliceIndex(0, 2))
    paint(scene_image.results.segmentation, 2, corner(cine.data.shape, 2), scene_image.nodes.volume)
    while not logic.session.image(scene_image.key).confirmed:
        logic.queue.drain()
    wanted[0][corner(cine.data.shape, 2)] = 2
    assert np.array_equal(painted(logic, scene_image), wanted)
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSequenceBrowserNode") == 1
    assert autosave_of(logic, scene_image).flush()
    found = replay(autosave_of(logic, scene_image)._journal.folder)
    assert np.array_equal(found.labels.data, wanted)
    assert found.accepted == {(2, 1)}
