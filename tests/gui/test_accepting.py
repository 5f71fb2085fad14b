"""Accept slices that are seen, take acceptances back, and say why a key does nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("napari", reason="napari is not installed")

from qtpy.QtCore import QEvent, Qt
from qtpy.QtGui import QContextMenuEvent, QKeyEvent
from qtpy.QtWidgets import QApplication

from napari_flomo.session import SliceIndex, SliceState
from napari_flomo.session.review_queue import queue_of
from napari_flomo.volumes import Volume

CTRL = Qt.KeyboardModifier.ControlModifier


@pytest.fixture
def reviewed(bench: Any, make_volume: Callable[..., Volume]) -> Iterator[Any]:
    """A cine with a review that has begun at its first slice."""
    entry = bench.add(make_volume(frames=2, slices=4), "cine")
    bench.segment.form.scope.value = "all"
    bench.run()
    bench.press(Qt.Key.Key_N)
    yield entry
    bench.viewer.dims.ndisplay = 2  # vispy crashes under Mesa when a window closes in 3-D


def review_of(bench: Any, entry: Any) -> Any:
    return bench.viewer_state.opened(entry).review


def show_3d(bench: Any, entry: Any) -> None:
    bench.viewer.dims.ndisplay = 3


def show_coronal(bench: Any, entry: Any) -> None:
    bench.viewer.dims.order = (0, 2, 1, 3)


def show_frames_as_rows(bench: Any, entry: Any) -> None:
    bench.viewer.dims.order = (1, 2, 0, 3)


def hide_image(bench: Any, entry: Any) -> None:
    entry.image.visible = False


def make_labels_clear(bench: Any, entry: Any) -> None:
    entry.labels.opacity = 0


def delete_labels(bench: Any, entry: Any) -> None:
    bench.viewer.layers.remove(entry.labels)


def cover(bench: Any, entry: Any) -> None:
    """Put another image on top, but work on this one."""
    image = entry.image
    bench.viewer.add_image(np.ones(image.data.shape), scale=image.scale, units=image.units)
    bench.viewer.layers.selection.active = entry.labels


def leave_the_image(bench: Any, entry: Any) -> None:
    """Move the slider to slices that only another image has."""
    image = entry.image
    far = (0, 10 * image.scale[1] * image.data.shape[1], 0, 0)
    bench.viewer.add_image(
        image.data, scale=image.scale, units=image.units, translate=far, name="far"
    )
    bench.viewer.layers.selection.active = entry.labels
    bench.viewer.dims.set_point(1, far[1])


@pytest.mark.parametrize(
    ("hide", "why"),
    [
        (show_3d, "shown in 3-D"),
        (show_coronal, "another plane"),
        (show_frames_as_rows, "frames side by side"),
        (hide_image, "cine is hidden"),
        (make_labels_clear, "labels of cine cannot be seen"),
        (delete_labels, "labels of cine were deleted"),
        (cover, "covered by another image"),
        (leave_the_image, "outside cine"),
    ],
)
def test_keys_act_on_what_is_shown_or_say_why_not(
    bench: Any, reviewed: Any, hide: Callable[[Any, Any], None], why: str
) -> None:
    before = review_of(bench, reviewed).to_dict()
    hide(bench, reviewed)
    message = bench.review.message
    for key in (Qt.Key.Key_A, Qt.Key.Key_N)[: 1 if hide is leave_the_image else 2]:
        bench.viewer_state.board.acted(reviewed.key)
        bench.press(key)
        assert why in message.text.text()
        assert review_of(bench, reviewed).to_dict() == before
    (button,) = message.buttons
    bench.click(button)
    assert bench.viewer_state.adapter.not_shown(reviewed.key) is None
    bench.press(Qt.Key.Key_A)
    assert review_of(bench, reviewed).accepted == 1


@pytest.mark.parametrize(
    ("hide", "why", "keys"),
    [
        (show_frames_as_rows, "frames side by side", [Qt.Key.Key_Right]),
        (hide_image, "cine is hidden", [Qt.Key.Key_Right]),
        (cover, "covered by another image", [Qt.Key.Key_Right]),
        (make_labels_clear, "labels of cine cannot be seen", [Qt.Key.Key_Period, Qt.Key.Key_Comma]),
        (cover, "labels of cine cannot be seen", [Qt.Key.Key_Period]),
        (leave_the_image, "outside cine", [Qt.Key.Key_Period, Qt.Key.Key_U]),
        (cover, "uncertainty of cine cannot be seen", [Qt.Key.Key_U]),
        (show_3d, "shown in 3-D", [Qt.Key.Key_U]),
        (make_labels_clear, "No labels can be seen", [Qt.Key.Key_C]),
        (show_3d, "No labels can be seen", [Qt.Key.Key_C]),
    ],
)
def test_other_keys_say_why_nothing_is_seen(
    bench: Any, reviewed: Any, hide: Callable[[Any, Any], None], why: str, keys: list[Any]
) -> None:
    labels, position = reviewed.labels, bench.viewer_state.position(reviewed)
    hide(bench, reviewed)
    outside = hide is leave_the_image
    for key in keys:
        bench.viewer_state.board.acted(reviewed.key)
        shift = Qt.KeyboardModifier.ShiftModifier
        code = labels.selected_label
        bench.press(key, shift if key in (Qt.Key.Key_Right, Qt.Key.Key_C) else None)
        assert why in bench.review.message.text.text()
        assert labels.selected_label == code
        assert not reviewed.uncertainty.visible
        assert outside or bench.viewer_state.position(reviewed) == position


def test_other_keys_work_in_another_plane_that_shows_the_layers(bench: Any, reviewed: Any) -> None:
    show_coronal(bench, reviewed)
    before = reviewed.labels.selected_label
    bench.viewer.layers.selection.active = reviewed.image
    for key in (Qt.Key.Key_U, Qt.Key.Key_Period):
        bench.press(key)
    bench.press(Qt.Key.Key_Right, Qt.KeyboardModifier.ShiftModifier)
    assert reviewed.uncertainty.visible
    assert bench.viewer.layers.selection.active is reviewed.labels, "whose controls show the label"
    after = reviewed.labels.selected_label
    assert after != before
    brushes = bench.review.structures.brushes
    assert [code for code, brush in brushes.items() if brush.isChecked()] == [after] * (after > 0)
    assert bench.viewer_state.position(reviewed).frame == 1
    assert not bench.review.message.isVisible()


def test_tools_undo_and_brushes_act_on_what_is_seen(bench: Any, reviewed: Any) -> None:
    review, message = review_of(bench, reviewed), bench.review.message.text
    bench.press(Qt.Key.Key_A)
    before = reviewed.labels.data.copy()
    show_3d(bench, reviewed)
    bench.review.tools.form.tool.value = "grow"
    bench.click(bench.review.tools.apply_button)
    assert "shown in 3-D" in message.text()
    np.testing.assert_array_equal(reviewed.labels.data, before)
    bench.press(Qt.Key.Key_Z, CTRL)
    assert review.accepted == 1
    bench.viewer.dims.ndisplay = 2
    make_labels_clear(bench, reviewed)
    bench.viewer.layers.selection.active = reviewed.image
    bench.click(bench.review.structures.brushes[3])
    assert "labels of cine cannot be seen" in message.text()
    assert bench.viewer.layers.selection.active is reviewed.image


def test_this_slice_is_the_one_that_is_seen(bench: Any, make_volume: Any) -> None:
    entry = bench.add(make_volume(slices=4), "stack")
    bench.segment.form.scope.value = "slice"
    bench.viewer.dims.ndisplay = 3
    bench.click(bench.segment.segment_button)
    assert "shown in 3-D" in bench.segment.message.text.text()
    assert bench.viewer_state.session.running is None
    bench.click(bench.segment.message.buttons[0])
    assert bench.viewer.dims.ndisplay == 2
    bench.run()
    assert entry.labels is not None


def test_rows_and_columns_may_be_swapped(bench: Any, reviewed: Any) -> None:
    bench.viewer.dims.order = (0, 1, 3, 2)
    bench.press(Qt.Key.Key_A)
    assert review_of(bench, reviewed).accepted == 1


def test_the_chosen_image_is_meant(bench: Any, reviewed: Any, make_heart: Any) -> None:
    bench.add(make_heart(), "other")
    before = review_of(bench, reviewed).to_dict()
    bench.press(Qt.Key.Key_A)
    assert "nothing to review" in bench.review.message.text.text()
    assert review_of(bench, reviewed).to_dict() == before


def test_accept_starts_at_the_most_uncertain_slice(
    bench: Any, make_volume: Callable[..., Volume]
) -> None:
    for moved in (False, True):
        bench.viewer.layers.clear()
        entry = bench.add(make_volume(slices=5), f"heart {moved}")
        bench.run()
        review = review_of(bench, entry)
        last = review.order[-1]
        if moved:
            bench.viewer.dims.current_step = (last.slice, 0, 0)
        assert bench.viewer_state.position(entry) != review.order[0]
        bench.press(Qt.Key.Key_A)
        if moved:
            assert review.is_accepted(last), "the slice that the user went to"
        else:
            assert bench.viewer_state.position(entry) == review.order[0]
            assert review.accepted == 0
            assert "The review starts here" in bench.review.message.text.text()


def test_an_acceptance_can_be_taken_back(bench: Any, reviewed: Any) -> None:
    review, button = review_of(bench, reviewed), bench.review.accept_button
    first, second = queue_of(bench.viewer_state.opened(reviewed))[:2]
    bench.press(Qt.Key.Key_A)
    bench.press(Qt.Key.Key_N, Qt.KeyboardModifier.ShiftModifier)
    assert button.text() == "Take back"
    bench.press(Qt.Key.Key_A)
    assert review.state(first) is SliceState.SEEN
    assert bench.viewer_state.position(reviewed) == first
    assert "is no longer accepted" in bench.review.message.text.text()
    assert button.text() == "✓ Accept"

    for active in (reviewed.labels, reviewed.image):
        bench.viewer.layers.selection.active = active
        bench.press(Qt.Key.Key_A)
        bench.press(Qt.Key.Key_A)
        assert (review.is_accepted(first), review.is_accepted(second)) == (True, True)
        bench.press(Qt.Key.Key_Z, CTRL)
        assert bench.viewer_state.position(reviewed) == second
        bench.press(Qt.Key.Key_Z, CTRL)
        assert bench.viewer_state.position(reviewed) == first
        assert review.accepted == 0


def test_undo_means_the_stroke_after_an_acceptance(bench: Any, reviewed: Any) -> None:
    layer, review = reviewed.labels, review_of(bench, reviewed)
    bench.press(Qt.Key.Key_A)
    before, place = layer.data.copy(), bench.viewer_state.position(reviewed)
    other = 5 - int(before[*place, 2, 5])  # 2 or 3, or else an unknown label
    layer.mode, layer.selected_label, layer.brush_size = "paint", other, 3
    bench.stroke(layer, (*place, 2, 2), (*place, 2, 8))
    assert review.edits(place) > 0
    bench.press(Qt.Key.Key_Z, CTRL)
    np.testing.assert_array_equal(layer.data, before)
    assert review.accepted == 1
    bench.qtbot.waitUntil(lambda: review.edits(place) == 0)


def test_the_menu_of_the_list(bench: Any, reviewed: Any) -> None:
    table, review = bench.review.list, review_of(bench, reviewed)
    index = table.slices[3]
    for title, accepted in (("✓ Accept", True), ("Take back", False)):
        spot = table.visualItemRect(table.item(3, 0)).center()
        at = table.viewport().mapToGlobal(spot)
        event = QContextMenuEvent(QContextMenuEvent.Reason.Mouse, spot, at)
        QApplication.sendEvent(table.viewport(), event)
        assert bench.viewer_state.position(reviewed) == index
        menu = QApplication.activePopupWidget()
        (action,) = menu.actions()
        assert action.text() == title
        bench.qtbot.mouseClick(
            menu, Qt.MouseButton.LeftButton, pos=menu.actionGeometry(action).center()
        )
        assert review.is_accepted(index) is accepted


def test_a_double_click_and_a_held_key_accept_one_slice(bench: Any, reviewed: Any) -> None:
    review, button = review_of(bench, reviewed), bench.review.accept_button
    bench.qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    bench.qtbot.mouseDClick(button, Qt.MouseButton.LeftButton)
    assert review.accepted == 1
    for repeated in (False, True, True):
        event = QKeyEvent(
            QEvent.Type.KeyPress, Qt.Key.Key_A, Qt.KeyboardModifier.NoModifier, "a", repeated
        )
        QApplication.sendEvent(bench.viewer.window._qt_viewer.canvas.native, event)
    assert review.accepted == 2


def test_the_slice_is_that_of_the_press(bench: Any, reviewed: Any) -> None:
    button = bench.review.accept_button
    bench.qtbot.mousePress(button, Qt.MouseButton.LeftButton)
    bench.press(Qt.Key.Key_N)
    bench.qtbot.mouseRelease(button, Qt.MouseButton.LeftButton)
    assert review_of(bench, reviewed).accepted == 0


def test_sliders_count_as_the_panels_do(bench: Any, reviewed: Any) -> None:
    dims = bench.viewer.dims
    dims.current_step = (1, 2, 0, 0)
    assert dims.axis_labels == ("frame 2 of 2", "slice 3 of 4", "rows", "columns")
    assert bench.viewer_state.position(reviewed) == SliceIndex(1, 2)
    dims.order = (0, 2, 1, 3)
    assert dims.axis_labels == ("frame 2 of 2", "slices", "rows", "columns")
    dims.order = (0, 1, 2, 3)
    bench.viewer.layers.remove(reviewed.uncertainty)
    assert dims.axis_labels[1] == "slice 3 of 4"
    bench.viewer.layers.clear()
    bench.add(bench_volume := reviewed.image.metadata["flomo"], "again")
    assert dims.axis_labels == bench_volume.axes
