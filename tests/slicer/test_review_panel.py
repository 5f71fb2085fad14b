"""The list of slices in the Review section: undo, menu, filters and order, by mouse and keys."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import add_volume, corner, paint, painted

from napari_flomo.session import SliceIndex, messages

pytest.importorskip("PySide6.QtUiTools", reason="the panels need PySide6")

from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest

CONTROL = Qt.KeyboardModifier.ControlModifier


@pytest.fixture
def reviewed(driver, oblique):
    """The module with a segmented stack of four slices; its `OpenImage`."""
    driver.run(add_volume(oblique))
    return driver.panel.logic.session.image(driver.panel.current.key)


def test_undo_takes_back_acceptances_strokes_and_runs(driver, reviewed):
    review, image = driver.panel.review.ui, reviewed
    proposed = image.labels.data.copy()
    scene_image, logic = driver.panel.current, driver.panel.logic
    review.editor.saveStateForUndo()  # as every effect does
    paint(scene_image.segmentation, 3, corner(proposed.shape, 1), scene_image.nodes.volume)
    logic.presenter.go_to(image.key, SliceIndex(0, 1))
    driver.click(review.acceptButton)
    assert image.review.is_accepted(SliceIndex(0, 1))
    driver.press(Qt.Key.Key_Z, CONTROL)
    assert image.review.accepted == 0
    assert logic.adapter.position(image.key) == SliceIndex(0, 1)
    assert image.labels.data.sum() != proposed.sum(), "the stroke is still there"
    driver.press(Qt.Key.Key_Z)
    driver.wait(lambda: np.array_equal(image.labels.data, proposed))
    driver.click(review.acceptButton)
    driver.answer = "Segment everything anew"
    driver.click(driver.panel.segment.ui.segmentButton)
    driver.wait(lambda: logic.session.running is None)
    assert image.review.accepted == 0
    driver.press(Qt.Key.Key_Z, CONTROL)
    driver.wait(lambda: image.review.accepted == 1)
    driver.module.exit()
    driver.click(review.acceptButton)
    driver.press(Qt.Key.Key_Z, CONTROL)
    assert image.review.accepted == 2, "in another module the keys are not ours"
    driver.module.enter()
    driver.press(Qt.Key.Key_Z, CONTROL)
    assert image.review.accepted == 1
    assert (painted(logic, scene_image)[0] == proposed).all()


def test_menu_of_a_row(driver, reviewed):
    review = driver.panel.review.ui
    table = review.reviewTable
    index = driver.panel.review.slices[2]
    for title, accepted in ((messages.ACCEPT[0], True), (messages.TAKE_BACK[0], False)):
        menu = driver.open_menu(table, 2)
        assert driver.panel.logic.adapter.position(reviewed.key) == index
        (action,) = menu.actions()
        assert action.text() == title
        QTest.mouseClick(menu, Qt.MouseButton.LeftButton, pos=menu.actionGeometry(action).center())
        assert reviewed.review.is_accepted(index) == accepted
        assert review.progressLine.text == f"{int(accepted)} of 4 accepted"
    assert review.reviewMessage.text == "Slice 4 of 4 is no longer accepted."


def test_filters_and_order_of_a_cine(driver, reviewed_cine):
    panel, ui, cine = driver.panel.review, driver.panel.review.ui, reviewed_cine
    assert [box.wrapped.isVisibleTo(driver.parent.window) for box in panel.queue.boxes.values()]
    assert len(panel.slices) == 6, "end diastole and end systole"
    pick(ui.framesBox)
    assert panel.slices == cine.review.order
    driver.panel.logic.presenter.go_to(cine.key, SliceIndex(1, 2))
    driver.click(ui.acceptButton)
    pick(ui.statesBox)
    assert set(panel.slices) == set(cine.review.order) - {SliceIndex(1, 2)}
    pick(ui.statesBox, Qt.Key.Key_Up)
    pick(ui.structureBox)
    code = cine.segmentation.card.labels[1].code
    assert cine.queue.structure == code
    assert all(cine.counts.slice_voxels(code, *index) for index in panel.slices)
    pick(ui.structureBox, Qt.Key.Key_Up)
    header = ui.reviewTable.wrapped.horizontalHeader()
    shown = []
    for _click in range(3):
        spot = QPoint(header.sectionViewportPosition(0) + 10, header.height() // 2)
        QTest.mouseClick(header.viewport(), Qt.MouseButton.LeftButton, pos=spot)
        shown.append(panel.slices)
    by_slice = sorted(cine.review.order, key=lambda index: (index.slice, index.frame))
    assert shown == [tuple(by_slice), tuple(by_slice[::-1]), cine.review.order]
    assert not header.isSortIndicatorShown()


def pick(box, key=Qt.Key.Key_Down):
    """Choose the entry below or above in a list."""
    QTest.keyClick(box.wrapped, key)
