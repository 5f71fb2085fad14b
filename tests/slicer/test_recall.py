"""What was accepted of an image on an earlier day is offered again."""

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
from napari_flomo.session import SliceIndex, SliceState


@pytest.fixture
def yesterday(bench, oblique, program):
    """Slice 1 was corrected and accepted, slice 2 accepted as it was; the scene was closed."""
    bench.run(add_volume(oblique))
    logic, scene_image = bench.panel.logic, bench.panel.current
    paint(
        scene_image.results.segmentation, 3, corner(oblique.data.shape, 1), scene_image.nodes.volume
    )
    for number in (1, 2):
        slice_views.jump(scene_image.nodes, SliceIndex(0, number))
        bench.click(bench.panel.review.ui.acceptButton)
    kept = bench.panel.review.ui.keptLine
    bench.wait(lambda: kept.text == "2 accepted slices are kept for learning.")
    wanted = painted(logic, scene_image)[0]
    program.close_scene()
    bench.click(bench.panel.restore.ui.discardButton)
    program.slice_view("Red")
    return wanted


def test_brought_back_by_click_and_taken_back_by_undo(bench, oblique, yesterday):
    ui, review = bench.panel.segment.ui, bench.panel.review.ui
    bench.run(add_volume(oblique, "today"))
    logic, scene_image = bench.panel.logic, bench.panel.current
    bench.wait(lambda: ui.message.text == "You corrected a slice of this image before.")
    image = logic.session.image(scene_image.key)
    assert image.review.state(SliceIndex(0, 2)) is SliceState.ACCEPTED, "its labels are the same"
    assert image.review.state(SliceIndex(0, 1)) is not SliceState.ACCEPTED
    assert np.array_equal(painted(logic, scene_image)[0], expected(oblique))
    bench.click(ui.messageButton)
    assert np.array_equal(painted(logic, scene_image)[0], yesterday)
    assert np.array_equal(image.labels.data, yesterday)
    assert image.review.state(SliceIndex(0, 1)) is SliceState.ACCEPTED
    assert [review.reviewTable.item(row, 2).text() for row in range(4)].count("accepted") == 2
    assert not ui.messageButton.visible
    review.editor.undo()
    bench.wait(lambda: not scene_image.painted_frames)
    assert np.array_equal(painted(logic, scene_image)[0], expected(oblique))
    assert image.review.state(SliceIndex(0, 1)) is not SliceState.ACCEPTED


def test_it_is_offered_as_long_as_its_image_is_chosen(bench, oblique, yesterday):
    ui = bench.panel.segment.ui
    node = add_volume(oblique, "today")
    bench.run(node)
    bench.wait(lambda: ui.messageButton.visible)
    bench.run(add_volume(oblique_heart(seed=1), "another"))
    bench.panel.segment.say("Something else.")
    assert not ui.messageButton.visible
    bench.choose(node)
    assert ui.messageButton.visible
    bench.run(node)
    assert bench.panel.logic.session.image(bench.panel.current.key).earlier is None, (
        "another run was asked for instead"
    )


def test_nothing_is_offered_of_an_image_nobody_corrected(bench, oblique, yesterday):
    bench.run(add_volume(oblique_heart(seed=1), "another"))
    for _ in range(20):
        bench.wait(lambda: True)
        bench.panel.tick()
    assert not bench.panel.segment.ui.messageButton.visible
    assert bench.panel.segment.ui.message.text == ""


def test_a_store_that_cannot_be_read_is_told(bench, oblique, yesterday):
    (default_store() / "store.json").write_text("{")
    bench.run(add_volume(oblique, "today"))
    message = bench.panel.segment.ui.message
    bench.wait(lambda: "earlier cannot be read" in message.text)


def test_a_frame_of_a_cine_comes_back_into_the_journal_too(make_logic, program):
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
    while logic.session.image(scene_image.key).earlier is None:
        logic.queue.drain()
    slice_views.jump(scene_image.nodes, SliceIndex(0, 2))
    paint(scene_image.results.segmentation, 2, corner(cine.data.shape, 2), scene_image.nodes.volume)
    logic.presenter.bring_back(scene_image.key)
    wanted[0][corner(cine.data.shape, 2)] = 2
    assert np.array_equal(painted(logic, scene_image), wanted)
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSequenceBrowserNode") == 1
    assert autosave_of(logic, scene_image).flush()
    found = replay(autosave_of(logic, scene_image)._journal.folder)
    assert np.array_equal(found.labels.data, wanted)
    assert found.accepted == {(2, 1)}
