"""Insertion points of the right ventricle, dragged on the screen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("napari", reason="napari is not installed")

from napari_flomo.session import SliceIndex, measure_messages, wall_insertions
from napari_flomo.volumes import Volume

RV = 1


@pytest.fixture
def cine(bench: Any, make_ventricles: Callable[..., Volume]) -> Any:
    """A segmented cine; end diastole is frame 1, end systole frame 2."""
    entry = bench.add(make_ventricles(), "cine")
    bench.segment.form.scope.value = "all"
    bench.run("heart")
    return entry


def test_points_are_dragged_and_put_back(bench: Any, cine: Any) -> None:
    image, button = bench.viewer_state.opened(cine), bench.review.wall_button
    points = bench.viewer_state.wall_points
    bench.viewer.dims.current_step = (0, 1, 0, 0)
    button.show_action.trigger()
    layer = points.layer
    assert bench.viewer_state.position(cine) == SliceIndex(1, 1), "a frame that is measured"
    assert bench.viewer.layers.selection.active is layer
    assert bench.viewer_state.current is cine
    assert len(layer.data) == 12, "two in each slice of both frames"
    number = next(i for i, one in enumerate(layer.data) if tuple(one[:2]) == (1, 1))
    start = layer.data[number].copy()
    bench.stroke(layer, *(start + np.array([0, 0, *by]) for by in ((0, 0), (0, 3), (-4, 6))))
    index = SliceIndex(1, 1)
    assert set(image.insertions) == {index}
    assert image.insertions[index].anterior == pytest.approx(start[2:] + np.array([-4, 6]), abs=1)
    assert "slice 2 moved" in bench.viewer_state.board.shown.text

    layer.selected_data = {number}
    layer.remove_selected()
    bench.qtbot.waitUntil(lambda: len(layer.data) == 12)
    assert layer.data[number][2:] == pytest.approx(image.insertions[index].anterior)

    bench.viewer_state.board.shown.choices[0].action()
    assert image.insertions == {}
    bench.qtbot.waitUntil(lambda: np.allclose(layer.data[number], start))
    layer.data = layer.data + np.array([0, 0, 1, 1])
    assert len(image.insertions) == 6
    button.automatic_action.trigger()
    assert image.insertions == {}
    bench.qtbot.waitUntil(lambda: np.allclose(layer.data[number], start))

    button.show_action.trigger()
    assert points.layer is None
    assert layer not in bench.viewer.layers
    assert bench.viewer.layers.selection.active is cine.labels


def test_points_follow_the_labels_and_end_with_them(bench: Any, cine: Any) -> None:
    image, points = bench.viewer_state.opened(cine), bench.viewer_state.wall_points
    bench.review.wall_button.show_action.trigger()
    layer = points.layer
    labels = cine.labels
    where = np.nonzero(labels.data[:, 0] == RV)
    labels.data_setitem((where[0], np.zeros_like(where[0]), *where[1:]), 0)
    assert len(wall_insertions(image)) == 4
    bench.qtbot.waitUntil(lambda: len(layer.data) == 8)
    assert set(layer.features["end"]) == set(measure_messages.INSERTION_ENDS)
    bench.viewer.layers.remove(labels)
    assert points.layer is None
    assert layer not in bench.viewer.layers
    assert not bench.review.wall_button.show_action.isChecked()


def test_a_stack_without_points_says_so(bench: Any, make_heart: Callable[..., Volume]) -> None:
    bench.add(make_heart(), "stack")
    bench.run()
    bench.review.wall_button.show_action.trigger()
    assert bench.viewer_state.wall_points.layer is None
    assert not bench.review.wall_button.show_action.isChecked()
    assert "No insertion points" in bench.viewer_state.board.shown.text
