"""The scene around the logic: what is closed, deleted, changed, saved and loaded."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import slicer
from FLoMoSegmentationLib.record import Record
from helpers import (
    add_cine,
    add_volume,
    cine_of,
    expected,
    finish,
    oblique_heart,
    paint,
    painted,
    run,
)

from napari_flomo.session import RunCancelled


@pytest.mark.parametrize("how", ["scene", "image"])
def test_what_is_closed_during_a_run_is_dropped(make_logic, program, oblique, how):
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
    assert logic.entries == ()
    assert not slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode")
    entry = run(logic, add_volume(oblique))
    assert np.array_equal(painted(logic, entry)[0], expected(oblique))


def test_deleted_labels_start_anew(make_logic, oblique):
    logic = make_logic()
    node = add_volume(oblique)
    entry = run(logic, node)
    slicer.mrmlScene.RemoveNode(entry.record.segmentation)
    assert logic.entry_of(node) is None
    assert Record.of(node) is None, "what nobody refers to is gone"
    entry = run(logic, node)
    assert np.array_equal(painted(logic, entry)[0], expected(oblique))


def test_several_images_keep_apart(make_logic, program):
    logic = make_logic()
    hearts = [oblique_heart(seed=seed, columns=40 + seed) for seed in range(3)]
    nodes = [add_volume(heart, f"heart {number}") for number, heart in enumerate(hearts)]
    for node in nodes:
        run(logic, node)
    assert len({logic.entry_of(node).record.segmentation.GetID() for node in nodes}) == 3
    for node, heart in zip(nodes, hearts, strict=True):
        assert np.array_equal(painted(logic, logic.entry_of(node))[0], expected(heart))
    slicer.mrmlScene.RemoveNode(nodes[1])
    assert [entry.source.node for entry in logic.entries] == [nodes[0], nodes[2]]


def test_an_image_that_was_changed_is_taken_anew(make_logic, oblique):
    logic = make_logic()
    node = add_volume(oblique)
    run(logic, node)
    other = oblique.with_data(np.roll(oblique.data, 4, axis=2))
    slicer.util.updateVolumeFromArray(node, other.data)
    entry = run(logic, node)
    assert np.array_equal(painted(logic, entry)[0], expected(other))


@pytest.mark.parametrize("handed", ["left", "right"])
@pytest.mark.parametrize("moving", [False, True])
def test_a_scene_that_was_saved_and_loaded_knows_everything(
    make_logic, program, oblique, tmp_path, moving, handed
):
    scene = slicer.mrmlScene
    logic = make_logic()
    if handed == "right":
        axes = oblique.geometry.direction_matrix @ np.diag([1, 1, -1])
        turned = replace(oblique.geometry, direction=tuple(axes.ravel().tolist()))
        oblique = replace(oblique, geometry=turned)
    volume = cine_of(oblique) if moving else oblique
    node = add_cine(volume)[0] if moving else add_volume(volume)
    name = node.GetName()
    entry = run(logic, node)
    first = logic.presenter.next(entry.key)
    where = np.zeros(oblique.data.shape, bool)
    where[first.slice, :3, :3] = True
    paint(entry.record.segmentation, 3, where, entry.source.node)
    logic.presenter.accept(entry.key)
    before = logic.session.image(entry.key)
    labels, proposed = before.labels.data.copy(), before.segmentation.labels.data.copy()
    review, uncertainty = (
        before.review.to_dict(),
        before.segmentation.uncertainty["entropy"].data.copy(),
    )
    assert not np.array_equal(labels, proposed)
    path = tmp_path / "scene.mrb"
    assert scene.WriteToMRB(str(path))
    program.close_scene()
    assert logic.entries == ()
    program.slice_view("Red")
    assert scene.ReadFromMRB(str(path))
    loaded = slicer.util.getFirstNodeByName(name, "vtkMRMLScalarVolumeNode")
    entry = logic.known(loaded)
    after = logic.session.image(entry.key)
    step = before.volume.geometry.affine_ras()[:3, 2] @ after.volume.geometry.affine_ras()[:3, 2]
    order = slice(None, None, 1 if step > 0 else -1)  # Slicer may turn the slices round
    assert handed == "left" or step > 0
    assert np.array_equal(after.volume.data, before.volume.data[..., order, :, :])
    assert np.array_equal(after.labels.data, labels[..., order, :, :])
    assert np.array_equal(after.segmentation.labels.data, proposed[..., order, :, :])
    assert np.allclose(
        after.segmentation.uncertainty["entropy"].data, uncertainty[..., order, :, :]
    )
    where = {(frame, number if step > 0 else 3 - number) for frame, number, _ in review["states"]}
    assert {tuple(row[:2]) for row in after.review.to_dict()["states"]} == where
    assert after.review.accepted == 1
    scores = before.segmentation.slice_scores[:, order]
    assert np.allclose(after.segmentation.slice_scores, scores, equal_nan=True)
    assert logic.presenter.next(entry.key) is not None, "the review goes on"
    assert run(logic, loaded, "all") is entry
    assert "heart" not in json.dumps(entry.record.note)


def test_a_record_that_is_damaged_is_left_out(make_logic, oblique):
    logic = make_logic()
    node = add_volume(oblique)
    entry = run(logic, node)
    entry.record.node.SetParameter("note", "{not json")
    logic.clear()
    entry = logic.known(node)
    assert entry.record is None
    assert Record.of(node) is None
