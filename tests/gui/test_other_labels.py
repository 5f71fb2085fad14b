"""Strokes on a duplicate of the labels, and on other labels layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("napari", reason="napari is not installed")

from napari_flomo.session import SliceIndex
from napari_flomo.volumes import Volume
from napari_flomo.widgets.layers import SAVED

PLACE = SliceIndex(0, 1)


@pytest.fixture
def reviewed(bench: Any, make_volume: Callable[..., Volume]) -> Any:
    """A stack whose second slice is accepted."""
    entry = bench.add(make_volume(slices=4), "heart")
    bench.run()
    bench.viewer_state.presenter.go_to(entry.key, PLACE)
    bench.click(bench.review.accept_button)
    bench.viewer_state.presenter.go_to(entry.key, PLACE)
    return entry


def paint(bench: Any, layer: Any) -> int:
    """Draw on the second slice; return how many pixels that changed."""
    before = layer.data.copy()
    layer.mode, layer.brush_size = "paint", 3
    layer.selected_label = 5 - int(before[1, 2, 5])
    bench.stroke(layer, (1, 2, 2), (1, 2, 8))
    return int((layer.data != before).sum())


def test_a_duplicate_can_be_reviewed(bench: Any, reviewed: Any) -> None:
    review, original = bench.viewer_state.opened(reviewed).review, reviewed.labels
    bench.viewer.layers.selection.active = original
    from napari.layers._layer_actions import _duplicate_layer

    _duplicate_layer(bench.viewer.layers)  # the action of the menu
    copy = bench.viewer.layers["heart labels copy"]
    assert SAVED not in copy.metadata, "saving the copy does not save what is reviewed"
    before, message = original.data.copy(), bench.review.message
    changed = paint(bench, copy)
    assert "strokes on it do not count" in message.text.text()
    assert (review.edits(PLACE), review.accepted) == (0, 1)

    (button,) = message.buttons
    bench.click(button)
    assert reviewed.labels is copy
    assert (review.edits(PLACE), review.accepted) == (changed, 0)
    assert not original.visible
    np.testing.assert_array_equal(original.data, before)
    for undo, edits in ((copy.undo, 0), (copy.redo, changed)):
        undo()
        bench.qtbot.waitUntil(lambda edits=edits: review.edits(PLACE) == edits)
    assert paint(bench, copy) > 0
    assert message.text.text() == ""


@pytest.mark.parametrize("same_grid", [True, False])
def test_a_layer_of_ones_own_is_only_mentioned(
    bench: Any, reviewed: Any, *, same_grid: bool
) -> None:
    labels, message = reviewed.labels, bench.review.message
    step = labels.scale if same_grid else 2 * labels.scale
    own = bench.viewer.add_labels(np.zeros(labels.data.shape, int), scale=step, units=labels.units)
    bench.viewer_state.board.acted(reviewed.key)
    own.paint((1, 2, 2), 1)
    assert ("do not count" in message.text.text()) is same_grid
    assert message.buttons == []
    bench.viewer_state.board.acted(reviewed.key)
    own.paint((1, 2, 4), 1)
    assert message.text.text() == "", "once is enough"
