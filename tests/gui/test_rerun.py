"""Segment again: what is kept, and Ctrl+Z over several runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("napari", reason="napari is not installed")

from qtpy.QtCore import Qt

from napari_flomo.session import SliceIndex
from napari_flomo.volumes import Volume

CTRL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier
ANEW = "Segment everything anew"
KEEP = "Keep the 2 slices that you accepted"


@pytest.fixture
def accepted(bench: Any, make_heart: Callable[..., Volume]) -> Any:
    """A segmented heart of four slices, two of them accepted, without a stroke."""
    entry = bench.add(make_heart(slices=4, size=64))
    bench.run()
    for number in (1, 2):
        bench.viewer_state.presenter.go_to(entry.key, SliceIndex(0, number))
        bench.click(bench.review.accept_button)
    entry.labels.mode, entry.labels.brush_size = "paint", 5
    return entry


def again(bench: Any, answer: str) -> str:
    """Click Segment and an answer; wait for the end of the run and return the question."""
    bench.click(bench.segment.segment_button)
    assert bench.viewer_state.session.running is None
    message = bench.segment.message
    question = str(message.text.text())
    bench.click(next(button for button in message.buttons if button.text() == answer))
    assert not message.isVisible()
    assert not bench.review.message.isVisible()
    bench.wait_idle()
    return question


def state(bench: Any, entry: Any) -> tuple[bytes, dict[str, Any], Any]:
    image = bench.viewer_state.opened(entry)
    table = bench.review.list
    rows = [[table.item(row, column).text() for column in range(4)] for row in range(4)]
    assert np.array_equal(image.labels.data, entry.labels.data)
    return entry.labels.data.tobytes(), image.review.to_dict(), rows


def test_accepted_slices_are_kept_without_a_stroke(bench: Any, accepted: Any) -> None:
    before = state(bench, accepted)
    question = again(bench, KEEP)
    assert question.startswith("You accepted 2 slices.")
    assert "Ctrl+Z" in question
    assert [row[:2] for row in state(bench, accepted)[1]["states"] if row[2] == "accepted"] == [
        row[:2] for row in before[1]["states"] if row[2] == "accepted"
    ]
    bench.click(bench.segment.segment_button)
    bench.click(bench.segment.message.close_button)
    assert bench.viewer_state.session.running is None


def test_undo_of_a_run_that_changed_no_label(bench: Any, accepted: Any) -> None:
    before = state(bench, accepted)
    again(bench, ANEW)
    after = state(bench, accepted)
    assert after[0] == before[0]
    assert after[1]["states"] == []
    bench.press(Qt.Key.Key_Z, CTRL)
    assert state(bench, accepted) == before
    bench.press(Qt.Key.Key_Z, CTRL | SHIFT)
    assert state(bench, accepted) == after


def test_ctrl_z_over_runs_and_strokes(bench: Any, accepted: Any) -> None:
    layer = accepted.labels

    def stroke(slice_: int, code: int) -> None:
        bench.viewer.dims.current_step = (slice_, 0, 0)
        layer.selected_label = code
        bench.stroke(layer, (slice_, 5, 10), (slice_, 5, 30))

    states = [state(bench, accepted)]
    for slice_, model, answer in ((0, "toy", KEEP), (3, "toy", ANEW), (0, "swapped", ANEW)):
        stroke(slice_, 2)
        states.append(state(bench, accepted))
        bench.pick(model)
        again(bench, answer)
        states.append(state(bench, accepted))
    assert bench.viewer_state.opened(accepted).segmentation.card.name == "swapped"
    for wanted in states[-2::-1]:
        bench.press(Qt.Key.Key_Z, CTRL)
        assert state(bench, accepted) == wanted
    assert bench.viewer_state.opened(accepted).segmentation.card.name == "toy"
    assert layer.features["structure"].tolist()[1] == "left ventricular myocardium"
    for wanted in states[1:]:
        bench.press(Qt.Key.Key_Z, CTRL | SHIFT)
        labels, review, _rows = state(bench, accepted)
        assert (labels, review["states"]) == (wanted[0], wanted[1]["states"])
    for _ in range(6):  # held down
        layer.undo()
    assert state(bench, accepted) == states[0]
    stroke(0, 3)
    bench.press(Qt.Key.Key_Z, CTRL | SHIFT)
    image = bench.viewer_state.opened(accepted)
    assert image.review.edits(SliceIndex(0, 0)) > 0, "what was undone is gone"


def test_accepted_slices_of_an_earlier_day_come_back(bench: Any, accepted: Any) -> None:
    image = bench.viewer_state.opened(accepted)
    place = next(iter(image.confirmed))
    bench.viewer.dims.current_step = (place.slice, 0, 0)
    accepted.labels.selected_label = 2
    bench.stroke(accepted.labels, (place.slice, 5, 10), (place.slice, 5, 30))
    bench.click(bench.review.accept_button)
    bench.qtbot.waitUntil(lambda: image.kept is not None and image.kept.slices == 2)
    assert bench.viewer_state.session._writer.flush()
    mine, review = accepted.labels.data.copy(), image.review
    volume, edits = image.volume, [review.edits(index) for index in sorted(review.order)]
    bench.viewer.layers.clear()

    again = bench.add(volume, "again")
    bench.run()
    message = bench.review.message
    bench.qtbot.waitUntil(lambda: "as you left them" in message.text.text())
    assert message.text.text().startswith("2 slices that you accepted earlier today are shown")
    image = bench.viewer_state.opened(again)
    wanted = state(bench, again)
    np.testing.assert_array_equal(again.labels.data, mine)
    assert image.confirmed == {index for index in review.order if review.state(index) == "accepted"}
    assert [image.review.edits(index) for index in sorted(review.order)] == edits
    bench.viewer.layers.selection.active = again.labels
    bench.press(Qt.Key.Key_Z, CTRL)
    np.testing.assert_array_equal(again.labels.data, image.segmentation.labels.data)
    assert image.review.accepted == 0
    bench.press(Qt.Key.Key_Z, CTRL | SHIFT)
    assert state(bench, again) == wanted
    bench.click(bench.segment.segment_button)
    assert "Keep the 2 slices that you accepted" in [one.text() for one in message.buttons]


def test_a_run_that_ends_leaves_the_tools_to_the_user(
    bench: Any, accepted: Any, make_heart: Callable[..., Volume]
) -> None:
    """Neither layer nor tool nor slice change for a user who went on to another image."""
    viewer = bench.viewer
    other = bench.add(make_heart(slices=9, size=48), "other")
    bench.start(progress=True)
    viewer.layers.selection.active = accepted.labels
    viewer.dims.current_step = (3, 0, 0)
    accepted.labels.selected_label = 2
    bench.stroke(accepted.labels, (3, 5, 10), (3, 5, 20), before_release=bench.wait_idle)
    assert other.labels is not None
    assert viewer.layers.selection.active is accepted.labels
    assert set(viewer.layers.selection) == {accepted.labels}
    assert str(accepted.labels.mode) == "paint"
    assert viewer.dims.current_step[0] == 3
    assert bench.viewer_state.current is accepted
    assert set(accepted.labels.data[3, 5, 10:21]) == {2}
    image = bench.viewer_state.opened(accepted)
    bench.qtbot.waitUntil(lambda: image.review.edits(SliceIndex(0, 3)) > 0)

    viewer.layers.selection.active = other.image
    bench.start("slow")
    bench.wait_idle()
    assert viewer.layers.selection.active is other.labels, "nothing was changed since the click"
