"""Messages at the top of every panel, in the status bar and as notifications; work in progress."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("napari", reason="napari is not installed")

from napari._qt.dialogs.qt_notification import NapariQtNotification
from napari._qt.widgets.qt_progress_bar import QtLabeledProgressBar
from qtpy.QtCore import Qt

from napari_flomo.session import messages
from napari_flomo.volumes import Volume

PANELS = ("Segment", "Review", "Studies", "Learn", "Models")


def test_one_message_at_the_top_of_every_panel(
    bench: Any, make_volume: Callable[..., Volume]
) -> None:
    other, entry = (bench.add(make_volume(slices=3), name) for name in ("two", "one"))
    window, state = bench.viewer.window, bench.viewer_state
    window.resize(1280, 720)
    for one in (other, entry):
        bench.viewer.layers.selection.active = one.image
        bench.run()
    bench.viewer.mouse_over_canvas = False  # else the status bar shows what is under the mouse
    bench.press(Qt.Key.Key_N)
    for _ in range(3):
        bench.press(Qt.Key.Key_A)
    for name in PANELS:
        panel = bench.segment.open(name)
        bench.settle()
        bar = panel.message
        assert bar.text.text() == messages.ALL_ACCEPTED
        assert bar.isVisible()
        assert bar.mapTo(panel, bar.rect().topLeft()).y() == 0
    assert bench.viewer.status == messages.ALL_ACCEPTED, "also where no panel is open"

    bench.viewer.layers.selection.active = other.image
    assert bar.isHidden(), "it is about the other image"
    bench.viewer.layers.selection.active = entry.image
    assert bar.text.text() == messages.ALL_ACCEPTED
    bench.press(Qt.Key.Key_N, Qt.KeyboardModifier.ShiftModifier)
    assert bar.isHidden(), "the user does something else"
    for _ in range(3):
        bench.press(Qt.Key.Key_N, Qt.KeyboardModifier.ShiftModifier)
    assert bench.viewer.status == messages.FIRST_IN_REVIEW
    assert bar.isHidden(), "a passing hint"

    state.post_message("It failed.", "error", "Traceback")
    (toast,) = window._qt_window.findChildren(NapariQtNotification)
    assert toast.message.text() == "It failed."
    bar.close_button.setFocus()
    bench.qtbot.keyClick(bar.close_button, Qt.Key.Key_Space)
    assert all(bench.segment.open(name).message.isHidden() for name in PANELS)


def test_work_in_the_activity_dock(bench: Any, make_volume: Callable[..., Volume]) -> None:
    bench.add(make_volume(slices=60))
    dialog = bench.viewer.window._qt_window._activity_dialog
    bench.start("slow", progress=True)
    bench.qtbot.waitUntil(lambda: len(dialog.findChildren(QtLabeledProgressBar)) == 1)
    (bar,) = dialog.findChildren(QtLabeledProgressBar)
    assert bar.description_label.text() == "Segment heart: "
    bench.qtbot.waitUntil(lambda: bar._get_value() > 0, timeout=20_000)
    bench.click(bar.cancel_button)
    bench.wait_idle()
    assert bench.review.message.text.text() == messages.CANCELLED
    bench.qtbot.waitUntil(lambda: not dialog.findChildren(QtLabeledProgressBar))
