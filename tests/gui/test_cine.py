"""The volume-time curve of a cine, operated with mouse and keyboard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("napari", reason="napari is not installed")

from qtpy.QtCore import QPoint, Qt, QTimer

from napari_flomo.session import SliceIndex
from napari_flomo.volumes import Volume

SHIFT = Qt.KeyboardModifier.ShiftModifier
LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def cine(bench: Any, make_cine: Callable[..., Volume]) -> Any:
    """A segmented cine whose cavity is largest in frame 2 and smallest in frame 3 of 3."""
    entry = bench.add(make_cine(), "cine")
    bench.segment.form.scope.value = "all"
    bench.run()
    return entry


def test_a_click_or_an_arrow_goes_to_a_frame(bench: Any, cine: Any) -> None:
    plot = bench.review.cine.plot
    bench.viewer.dims.current_step = (0, 1, 0, 0)
    bench.qtbot.mouseClick(
        plot, LEFT, pos=QPoint(round(plot.chart.x_of(2)) - 3, plot.height() // 2)
    )
    assert bench.viewer_state.position(cine) == SliceIndex(2, 1), "the slice stays"
    bench.qtbot.keyClick(plot, Qt.Key.Key_Left)
    assert bench.viewer_state.position(cine) == SliceIndex(1, 1)
    for key, frame in ((Qt.Key.Key_Right, 2), (Qt.Key.Key_Right, 2), (Qt.Key.Key_Left, 1)):
        bench.press(key, SHIFT)
        assert bench.viewer_state.position(cine) == SliceIndex(frame, 1)


def test_marks_are_dragged(bench: Any, cine: Any) -> None:
    plot, image = bench.review.cine.plot, bench.viewer_state.opened(cine)
    assert [(mark.phase, mark.frame, mark.pinned) for mark in plot.chart.marks] == [
        ("ED", 1, False),
        ("ES", 2, False),
    ]
    places = [QPoint(round(plot.chart.x_of(frame)), 8) for frame in (2, 0)]
    bench.qtbot.mousePress(plot, LEFT, pos=places[0])
    bench.qtbot.mouseMove(plot, places[1])
    bench.qtbot.mouseRelease(plot, LEFT, pos=places[1])
    bench.qtbot.waitUntil(lambda: image.phases.left.es == 0)
    assert image.phases.left.pinned == image.phases.right.pinned == {"ES"}
    assert [(mark.phase, mark.frame, mark.pinned) for mark in plot.chart.marks] == [
        ("ED", 1, False),
        ("ES", 0, True),
    ]
    bench.qtbot.mouseClick(plot, LEFT, pos=QPoint(round(plot.chart.x_of(1)), 8))
    assert bench.viewer_state.position(cine).frame == 1, "a click on a mark goes there"
    assert image.phases.left.ed == 1


def test_the_curve_follows_the_brush(bench: Any, cine: Any) -> None:
    plot = bench.review.cine.plot
    (curve, _wall) = plot.chart.curves
    before = plot.chart.point(curve, 2)[1]
    bench.viewer.dims.current_step = (2, 1, 0, 0)
    labels = cine.labels
    labels.mode, labels.brush_size, labels.selected_label = "paint", 9, 3
    bench.stroke(labels, (2, 1, 24, 10), (2, 1, 24, 38))
    assert plot.chart.point(plot.chart.curves[0], 2)[1] < before - 1
    assert plot.chart.curves[0].volumes[2] > curve.volumes[2]


def test_only_a_cine_has_a_curve(bench: Any, make_heart: Callable[..., Volume]) -> None:
    bench.add(make_heart(), "stack")
    bench.run()
    assert not bench.review.cine.isVisible()


def test_the_list_shows_end_diastole_and_end_systole(bench: Any, cine: Any) -> None:
    table, button = bench.review.list, bench.review.cine.queue_button
    assert [table.item(row, 0).text() for row in (0, 3)] == ["1, frame 2", "1, frame 3"]
    assert bench.review.title.text().startswith("0 of 6 accepted")
    bench.click(bench.review.next_button)
    assert bench.viewer_state.position(cine) == SliceIndex(1, 0)

    def choose() -> None:
        bench.qtbot.keyClick(button.choices, Qt.Key.Key_Down)
        bench.qtbot.keyClick(button.choices, Qt.Key.Key_Down)
        bench.qtbot.keyClick(button.choices, Qt.Key.Key_Return)

    QTimer.singleShot(100, choose)
    bench.click(button)
    bench.qtbot.waitUntil(lambda: table.rowCount() == 9)
    assert bench.review.title.text().startswith("0 of 9 accepted")
