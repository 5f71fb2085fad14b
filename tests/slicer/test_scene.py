"""Nodes and scenes that are closed, deleted, changed, saved and loaded."""

from __future__ import annotations

import json

import numpy as np
import pytest
import slicer
from FLoMoSegmentationLib.result_nodes import ResultNodes
from helpers import (
    add_cine,
    add_volume,
    corner,
    expected,
    finish,
    oblique_heart,
    paint,
    painted,
    right_handed,
    run,
    save_and_load,
)

from napari_flomo.session import RunCancelled
from napari_flomo.volumes import Volume


@pytest.mark.parametrize("how", ["scene", "image"])
def test_closing_during_a_run_discards_the_result(make_logic, program, oblique, how):
    logic = make_logic()
    node = add_volume(oblique_heart(slices=60))
    events = []
    logic.session.subscribe(events.append)
    logic.segment(node, "slow", "cpu", "all")
    if how == "scene":
        program.close_scene()
    else:
        slicer.mrmlScene.RemoveNode(node)
    finish(logic)
    assert any(isinstance(event, RunCancelled) for event in events)
    assert logic.images.opened == ()
    assert not slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode")
    scene_image = run(logic, add_volume(oblique))
    assert np.array_equal(painted(logic, scene_image)[0], expected(oblique))


def test_segment_after_deleting_the_labels(segmented, oblique):
    logic, node, scene_image = segmented
    slicer.mrmlScene.RemoveNode(scene_image.results.segmentation)
    assert logic.images.of(node) is None
    assert ResultNodes.of(node) is None, "unreferenced nodes are removed"
    scene_image = run(logic, node)
    assert np.array_equal(painted(logic, scene_image)[0], expected(oblique))


def test_several_images(make_logic, program):
    logic = make_logic()
    hearts = [oblique_heart(seed=seed, columns=40 + seed) for seed in range(3)]
    nodes = [add_volume(heart, f"heart {number}") for number, heart in enumerate(hearts)]
    for node in nodes:
        run(logic, node)
    assert len({logic.images.of(node).results.segmentation.GetID() for node in nodes}) == 3
    for node, heart in zip(nodes, hearts, strict=True):
        assert np.array_equal(painted(logic, logic.images.of(node))[0], expected(heart))
    slicer.mrmlScene.RemoveNode(nodes[1])
    assert [scene_image.nodes.volume for scene_image in logic.images.opened] == [nodes[0], nodes[2]]


def test_changed_image_is_read_again(make_logic, oblique):
    logic = make_logic()
    node = add_volume(oblique)
    run(logic, node)
    other = oblique.with_data(np.roll(oblique.data, 4, axis=2))
    slicer.util.updateVolumeFromArray(node, other.data)
    scene_image = run(logic, node)
    assert np.array_equal(painted(logic, scene_image)[0], expected(other))


@pytest.mark.parametrize("handed", ["left", "right"])
@pytest.mark.parametrize("moving", [False, True])
def test_save_and_load_a_scene(make_logic, program, oblique, tmp_path, moving, handed):
    logic = make_logic()
    if handed == "right":
        oblique = right_handed(oblique)
    volume = oblique
    if moving:
        frames = [np.roll(oblique.data, 3 * number, axis=2) for number in range(3)]
        volume = Volume(np.stack(frames), oblique.geometry, ("frames", *oblique.axes))
    node = add_cine(volume)[0] if moving else add_volume(volume)
    name = node.GetName()
    scene_image = run(logic, node)
    logic.compute_map(scene_image, "variance", "cpu")
    finish(logic)
    first = logic.presenter.next(scene_image.key)
    where = corner(oblique.data.shape, first.slice, 3)
    paint(scene_image.results.segmentation, 3, where, scene_image.nodes.volume)
    logic.presenter.accept(scene_image.key)
    before = logic.session.image(scene_image.key)
    labels, proposed = before.labels.data.copy(), before.segmentation.labels.data.copy()
    maps = {one: found.data.copy() for one, found in before.segmentation.uncertainty.items()}
    review = before.review.to_dict()
    assert not np.array_equal(labels, proposed)
    loaded = save_and_load(program, tmp_path / "scene.mrb", name)
    assert logic.images.opened == ()
    scene_image = logic.images.open_segmented(loaded)
    after = logic.session.image(scene_image.key)
    step = before.volume.geometry.affine_ras()[:3, 2] @ after.volume.geometry.affine_ras()[:3, 2]
    order = slice(None, None, 1 if step > 0 else -1)  # Slicer may turn the slices round
    assert handed == "left" or step > 0
    assert np.array_equal(after.volume.data, before.volume.data[..., order, :, :])
    assert np.array_equal(after.labels.data, labels[..., order, :, :])
    assert np.array_equal(after.segmentation.labels.data, proposed[..., order, :, :])
    assert after.segmentation.uncertainty.keys() == maps.keys() == {"entropy", "variance"}
    for one, data in maps.items():
        found = after.segmentation.uncertainty[one].data
        assert np.allclose(found, data[..., order, :, :]), one
    assert (scene_image.results.shown_map, scene_image.results.map_maximum) == ("variance", 0.5)
    logic.show_map(scene_image, "entropy")
    shown = slicer.util.arrayFromVolume(scene_image.results.uncertainty)
    frame = maps["entropy"][scene_image.nodes.frame] if moving else maps["entropy"]
    assert np.array_equal(shown, frame[order])
    where = {(frame, number if step > 0 else 3 - number) for frame, number, _ in review["states"]}
    assert {tuple(row[:2]) for row in after.review.to_dict()["states"]} == where
    assert after.review.accepted == 1
    scores = before.segmentation.slice_scores[:, order]
    assert np.allclose(after.segmentation.slice_scores, scores, equal_nan=True)
    assert logic.presenter.next(scene_image.key) is not None, "the review goes on"
    assert run(logic, loaded, "all") is scene_image
    assert "heart" not in json.dumps(scene_image.results.state)


def test_damaged_state_is_removed(segmented):
    logic, node, scene_image = segmented
    scene_image.results.node.SetParameter("note", "{not json")
    logic.images.clear()
    scene_image = logic.images.open_segmented(node)
    assert scene_image.results is None
    assert ResultNodes.of(node) is None
