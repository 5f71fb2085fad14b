"""The Cine section: the volume-time curve by mouse and keys, end diastole and end systole."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import add_volume, paint

from napari_flomo.measures import Conventions
from napari_flomo.session import SliceIndex

pytest.importorskip("PySide6.QtUiTools", reason="the panels need PySide6")

from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QMouseEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

LEFT = Qt.MouseButton.LeftButton


def hover(label, pos):
    """Move the mouse over a label by an event: other windows may move the real pointer."""
    event = QMouseEvent(
        QEvent.Type.MouseMove,
        QPointF(pos),
        QPointF(label.mapToGlobal(pos)),
        Qt.MouseButton.NoButton,
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
    )
    QApplication.sendEvent(label, event)


def colours_in(label):
    """Return the colours of the picture in a label."""
    image = label.pixmap().toImage()
    places = ((x, y) for x in range(image.width()) for y in range(image.height()))
    return {image.pixelColor(x, y).name() for x, y in places}


def test_a_click_or_an_arrow_goes_to_a_frame(driver, reviewed_cine):
    label, curve = driver.panel.cine.ui.volumePlot.wrapped, driver.panel.cine.curve
    adapter, key = driver.panel.logic.adapter, reviewed_cine.key
    driver.panel.logic.presenter.go_to(key, SliceIndex(0, 1))
    middle = label.height() // 2
    QTest.mouseClick(label, LEFT, pos=QPoint(round(curve.chart.x_of(2)) - 3, middle))
    assert adapter.position(key) == SliceIndex(2, 1), "the slice stays"
    QTest.keyClick(label, Qt.Key.Key_Left)
    assert adapter.position(key) == SliceIndex(1, 1)
    driver.panel.current.nodes.browser.SetSelectedItemNumber(0)  # as Slicer's own slider does
    driver.wait(lambda: curve.chart.current == 0)
    hover(label, QPoint(round(curve.chart.x_of(1)), middle))
    driver.wait(lambda: label.toolTip().startswith("Frame 2"))
    assert set(curve.chart.colours.values()) & colours_in(label)


def test_marks_are_dragged(driver, reviewed_cine):
    label, curve = driver.panel.cine.ui.volumePlot.wrapped, driver.panel.cine.curve
    marks = [(mark.phase, mark.frame) for mark in curve.chart.marks]
    assert marks == [("ED", 1), ("ES", 2)]
    start, end = (QPoint(round(curve.chart.x_of(frame)), 8) for frame in (2, 0))
    QTest.mousePress(label, LEFT, pos=start)
    QTest.mouseMove(label, end)
    QTest.mouseRelease(label, LEFT, pos=end)
    assert reviewed_cine.phases.left.es == 0
    assert reviewed_cine.phases.left.pinned == {"ES"}
    assert [mark.frame for mark in curve.chart.marks] == [1, 0]
    QTest.mouseClick(label, LEFT, pos=QPoint(round(curve.chart.x_of(1)), 8))
    assert driver.panel.logic.adapter.position(reviewed_cine.key).frame == 1
    assert reviewed_cine.phases.left.ed == 1, "a click on a mark moves nothing"
    assert driver.panel.cine.ui.systoleButton.text == "ES 1*"


def test_the_curve_follows_strokes_and_conventions(driver, reviewed_cine):
    chart, scene_image = driver.panel.cine.curve.chart, driver.panel.current
    frame = scene_image.nodes.frame
    before = chart.curves[0].volumes[frame]
    where = np.zeros(reviewed_cine.volume.spatial_shape, bool)
    where[:, :3] = True  # darker than the wall
    paint(scene_image.segmentation, 3, where, scene_image.nodes.volume)
    driver.wait(lambda: chart.curves[0].volumes[frame] > before)
    painted = chart.curves[0].volumes[frame]
    conventions = Conventions(papillary_muscles="myocardium")
    driver.panel.logic.presenter.report(reviewed_cine.key, conventions)
    assert chart.curves[0].volumes[frame] < painted, "dark pixels are no cavity"


def test_only_a_cine_has_the_section(driver, oblique):
    driver.run(add_volume(oblique))
    assert not driver.panel.cine.ui.cineBox.wrapped.isVisibleTo(driver.parent.window)
