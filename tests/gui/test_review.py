"""The Review panel: list, bars, keys, overlay, comparison, remembered choices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("napari", reason="napari is not installed")

from qtpy import QtWidgets
from qtpy.QtCore import QPoint, Qt, QTimer

from napari_flomo.session import QueueFilter, SliceIndex, SliceState
from napari_flomo.volumes import Volume
from napari_flomo.widgets import overlay
from napari_flomo.widgets.keys import SHORTCUTS


@pytest.fixture
def reviewed(bench: Any, make_volume: Callable[..., Volume]) -> Any:
    """A cine whose frame 1 is all structure, so that its slices are the most uncertain."""
    volume = make_volume(frames=3, slices=4)
    data = np.zeros(volume.data.shape, np.int16)
    for frame in range(3):
        for number in range(4):
            rows = 2 + (frame == 1) * 10 + number
            data[frame, number, :rows, 4:20] = 200
    entry = bench.add(volume.with_data(data), "cine")
    bench.segment.form.scope.value = "all"
    bench.run()
    bench.viewer_state.session.set_queue(entry.key, QueueFilter("all"))
    return entry


def test_the_most_uncertain_first(bench: Any, reviewed: Any) -> None:
    table = bench.review.list
    assert table.rowCount() == 12
    assert [table.item(row, 0).text() for row in range(2)] == ["4, frame 2", "3, frame 2"]
    scores = [float(table.item(row, 1).text()) for row in range(12)]
    assert scores == sorted(scores, reverse=True)
    bench.click(bench.review.next_button)
    assert bench.viewer_state.position(reviewed) == SliceIndex(1, 3)
    assert tuple(bench.viewer.dims.current_step[:2]) == (1, 3)
    assert table.item(0, 2).text() == "seen"


def test_a_click_on_a_column_sorts(bench: Any, reviewed: Any) -> None:
    table, header = bench.review.list, bench.review.list.horizontalHeader()
    by_uncertainty = table.slices
    for wanted in (sorted(by_uncertainty, key=lambda index: (index.slice, index.frame)), None):
        column = 1 if wanted is None else 0
        spot = QPoint(header.sectionViewportPosition(column) + 8, header.height() // 2)
        bench.qtbot.mouseClick(header.viewport(), Qt.MouseButton.LeftButton, pos=spot)
        assert list(table.slices) == list(by_uncertainty if wanted is None else wanted)
        assert header.sortIndicatorSection() == column


def test_the_list_follows_clicks_and_the_slider(bench: Any, reviewed: Any) -> None:
    table = bench.review.list
    item = table.item(5, 0)
    table.scrollToItem(item)
    spot = table.visualItemRect(item).center()
    bench.qtbot.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=spot)
    assert bench.viewer_state.position(reviewed) == table.slices[5]
    assert table.currentRow() == 5
    bench.viewer.dims.current_step = (2, 1, 0, 0)
    assert table.slices[table.currentRow()] == SliceIndex(2, 1)


def test_a_click_on_a_bar_goes_there(bench: Any, reviewed: Any) -> None:
    bench.viewer.dims.current_step = (1, 0, 0, 0)
    plot = bench.review.plot
    bar = plot.bar(2)
    bench.qtbot.mouseClick(
        plot, Qt.MouseButton.LeftButton, pos=QPoint(int(bar.center().x()), plot.height() // 2)
    )
    assert bench.viewer_state.position(reviewed) == SliceIndex(1, 2)
    assert plot.bar(3).height() > plot.bar(0).height()
    picture = plot.grab().toImage()
    inside = picture.pixelColor(int(plot.bar(3).center().x()), int(plot.bar(3).bottom()) - 3)
    assert inside.red() > 150, "an open slice has an amber bar"


def test_accept_to_the_end(bench: Any, reviewed: Any) -> None:
    review, button = bench.viewer_state.opened(reviewed).review, bench.review.accept_button
    bench.click(button)
    assert bench.viewer_state.position(reviewed) == review.order[0], "it starts there"
    assert (review.accepted, review.current) == (0, review.order[0])
    for _ in range(12):
        bench.click(button)
    assert review.finished
    assert "12 of 12 accepted" in bench.review.title.text()
    assert "All slices in the list are accepted" in bench.review.message.text.text()


def test_keys(bench: Any, reviewed: Any) -> None:
    review = bench.viewer_state.opened(reviewed).review
    bench.press(Qt.Key.Key_N)
    assert bench.viewer_state.position(reviewed) == review.order[0]
    bench.press(Qt.Key.Key_N)
    assert bench.viewer_state.position(reviewed) == review.order[1]
    bench.press(Qt.Key.Key_N, Qt.KeyboardModifier.ShiftModifier)
    assert bench.viewer_state.position(reviewed) == review.order[0]
    bench.press(Qt.Key.Key_A)
    assert review.state(review.order[0]) is SliceState.ACCEPTED
    assert bench.viewer_state.position(reviewed) == review.order[1]
    bench.press(Qt.Key.Key_U)
    assert reviewed.uncertainty.visible
    assert bench.review.uncertainty.form.overlay.value
    assert reviewed.labels.selected_label == 2
    bench.press(Qt.Key.Key_Period)
    assert reviewed.labels.selected_label == 3
    bench.press(Qt.Key.Key_Comma)
    bench.press(Qt.Key.Key_Comma)
    assert reviewed.labels.selected_label == 0


def test_keys_reach_the_viewer_from_the_list(bench: Any, reviewed: Any) -> None:
    bench.review.list.setFocus()
    bench.qtbot.keyClick(bench.review.list, Qt.Key.Key_N)
    assert (
        bench.viewer_state.position(reviewed) == bench.viewer_state.opened(reviewed).review.order[0]
    )


def test_no_key_is_taken_from_napari() -> None:
    from napari.utils.key_bindings import coerce_keybinding
    from napari.utils.shortcuts import default_shortcuts

    ours = {str(coerce_keybinding(key)) for key, _, _ in SHORTCUTS}
    for name, keys in default_shortcuts.items():
        if name.split(":")[1].startswith(("activate_", "select_", "copy", "paste", "move", "del")):
            continue  # of points and shapes, where they keep their meaning
        assert not ours & {str(coerce_keybinding(key)) for key in keys}, name


def test_uncertainty_above_a_threshold(bench: Any, reviewed: Any) -> None:
    bench.viewer.dims.current_step = (1, 3, 0, 0)
    box = bench.review.uncertainty
    assert box.form.map.current_choice == "Entropy"
    reviewed.labels.visible = False
    reviewed.image.visible = False
    inside = bench.on_canvas(reviewed.image, (1, 3, 5, 12))
    outside = bench.on_canvas(reviewed.image, (1, 3, 18, 2))
    bench.click(box.form.overlay.native)
    picture = bench.picture()
    assert picture[inside.y(), inside.x()].min() > 100, "full uncertainty glows"
    assert picture[outside.y(), outside.x()].max() == 0, "certainty is clear"
    reviewed.uncertainty.data = reviewed.uncertainty.data * np.float32(0.4)
    box.form.threshold.value = 0.3
    assert bench.picture()[inside.y(), inside.x()].max() > 60
    box.form.threshold.value = 0.6
    assert bench.picture()[inside.y(), inside.x()].max() == 0
    assert box.legend.threshold == pytest.approx(0.6)


def test_compute_another_map(bench: Any, reviewed: Any) -> None:
    box = bench.review.uncertainty
    assert not box.compute_button.isVisible()
    box.form.map.value = "mutual_information"
    assert box.form.map.current_choice == "Mutual information (not computed)"
    assert "8 times as long as Segment" in box.offer.text()
    before = reviewed.labels.data.copy(), bench.viewer_state.opened(reviewed).review.to_dict()
    entropy = reviewed.uncertainty.data.copy()
    bench.click(box.compute_button)
    bench.wait_idle()
    assert reviewed.uncertainty.visible
    assert box.form.map.current_choice == "Mutual information"
    assert not box.compute_button.isVisible()
    np.testing.assert_array_equal(reviewed.uncertainty.data, entropy / 2)
    assert tuple(reviewed.uncertainty.contrast_limits) == (0, 0.5), (
        "else a faint map is not seen at all"
    )
    assert box.legend.texts == ("0 certain", "most in this image 0.5")
    np.testing.assert_array_equal(reviewed.labels.data, before[0])
    assert bench.viewer_state.opened(reviewed).review.to_dict() == before[1]
    box.form.map.value = "entropy"
    np.testing.assert_array_equal(reviewed.uncertainty.data, entropy)
    assert box.legend.texts == ("0 certain", "1 uncertain")


def test_colours_of_uncertainty() -> None:
    table = overlay.colours(0.5)
    assert (table[:127, 3] == 0).all()
    assert (table[129:, 3] > 0.5).all()
    brightness = table[:, :3] @ (0.3, 0.59, 0.11)
    assert (np.diff(brightness) > 0).all()


def test_before_and_after(bench: Any, reviewed: Any) -> None:
    box = bench.review.compare
    labels = reviewed.labels
    before = labels.data.copy()
    box.form.compare_with.value = "changes"
    changes = reviewed.comparison
    assert not changes.data.any()
    bench.viewer.dims.current_step = (1, 3, 0, 0)
    labels.mode, labels.brush_size, labels.selected_label = "paint", 3, 2
    bench.stroke(labels, (1, 3, 18, 3), (1, 3, 18, 20))
    labels.mode = "erase"
    bench.stroke(labels, (1, 3, 5, 6), (1, 3, 5, 16))
    added, removed = (before == 0) & (labels.data > 0), (before > 0) & (labels.data == 0)
    assert added.any()
    assert removed.any()
    # The comparison follows the brush after a moment.
    bench.qtbot.waitUntil(lambda: np.array_equal(changes.data == 2, removed))
    np.testing.assert_array_equal(changes.data == 1, added)
    assert f"added&nbsp;{(changes.data == 1).sum()}" in box.key.text()
    box.form.compare_with.value = "contours"
    np.testing.assert_array_equal(reviewed.comparison.data, before)
    assert reviewed.comparison.contour == 1
    box.form.compare_with.value = "off"
    assert reviewed.comparison is None
    assert len(bench.viewer.layers) == 3


def test_ejection_fraction_follows_the_brush(bench: Any, reviewed: Any) -> None:
    text = bench.review.structures.heart
    assert "EF" in text.text()
    assert "ED frame 2, ES frame 1" in text.text()
    before = text.text()
    bench.viewer.dims.current_step = (1, 3, 0, 0)
    labels = reviewed.labels
    labels.mode, labels.brush_size, labels.selected_label = "paint", 9, 3
    bench.stroke(labels, (1, 3, 17, 3), (1, 3, 17, 20))
    assert text.text() != before
    assert "agreement with a reader" not in text.text(), "this model was not measured"
    image = bench.viewer_state.opened(reviewed)
    limits = {"EF": {"limits": [-9.0, 8.0], "unit": "%", "patients": 5}}
    card = replace(image.segmentation.card, metrics={"ventricles": {"left ventricle": limits}})
    image.segmentation = replace(image.segmentation, card=card)
    bench.review.structures.refresh()
    assert "5 patients not seen in training): left -9 to +8 %" in text.text()


def test_buttons_of_the_phases(bench: Any, reviewed: Any) -> None:
    box, image = bench.review.cine, bench.viewer_state.opened(reviewed)
    diastole, systole = box.buttons["ED"], box.buttons["ES"]
    bench.viewer.dims.current_step = (2, 3, 0, 0)
    assert (diastole.text(), systole.text()) == ("ED 2", "ES 1")
    bench.click(diastole)
    assert bench.viewer_state.position(reviewed) == SliceIndex(1, 3), "the slice stays"
    assert (diastole.isChecked(), systole.isChecked()) == (True, False)

    def choose(rows: int) -> None:
        """Open the menu with the mouse, and choose by keyboard."""
        chosen: list[int] = []

        def keys() -> None:
            for _ in range(rows):
                bench.qtbot.keyClick(box.menu, Qt.Key.Key_Down)
            bench.qtbot.keyClick(box.menu, Qt.Key.Key_Return)
            chosen.append(rows)

        QTimer.singleShot(100, keys)
        bench.click(box.set_button)
        bench.qtbot.waitUntil(lambda: bool(chosen))

    bench.viewer.dims.current_step = (2, 3, 0, 0)
    choose(2)
    assert image.phases.left.es == image.phases.right.es == 2
    assert systole.text() == "ES 3*"
    assert systole.isChecked()
    assert "ES frame 3 (set by you)" in bench.review.structures.heart.text()
    assert "Frame 3 is end systole now." in bench.review.message.text.text()
    choose(5)
    assert (image.phases.left.ed, image.phases.right.ed) == (1, 2)
    assert "right: ED frame 3 (set by you)" in bench.review.structures.heart.text()
    choose(7)
    assert systole.text() == "ES 1"
    assert not image.phases.pinned


def test_contours_by_key(bench: Any, reviewed: Any, make_heart: Callable[..., Volume]) -> None:
    bench.press(Qt.Key.Key_C, Qt.KeyboardModifier.ShiftModifier)
    assert reviewed.labels.contour == 1
    assert bench.viewer_state.preferences.contours
    another = bench.add(make_heart(), "another")
    bench.run()
    assert another.labels.contour == 1
    bench.press(Qt.Key.Key_C, Qt.KeyboardModifier.ShiftModifier)
    assert (reviewed.labels.contour, another.labels.contour) == (0, 0)


def test_remembered_choices(bench: Any, reviewed: Any, data_home: Path) -> None:
    volume = bench.viewer_state.opened(reviewed).volume
    bench.segment.form.update(device="cpu", mirrored=True)
    bench.run()
    assert bench.viewer_state.opened(reviewed).segmentation.manifest["views"] == "mirrored"
    assert (bench.viewer_state.preferences.model, bench.viewer_state.preferences.device) == (
        "toy",
        "cpu",
    )
    assert bench.viewer_state.preferences.mirrored
    bench.click(bench.review.next_button)
    bench.click(bench.review.accept_button)
    here = bench.viewer_state.position(reviewed)
    reviewed.image.contrast_limits = (0, 150)
    bench.qtbot.waitUntil(lambda: bench.viewer_state.preferences.contrast("toy") is not None)
    bench.viewer.layers.clear()
    again = bench.add(volume, "again")
    again.image.contrast_limits = (0, 200)
    bench.segment.form.scope.value = "all"
    bench.run()
    bench.qtbot.waitUntil(lambda: bench.viewer_state.opened(again).review.accepted == 1)
    assert bench.viewer_state.position(again) == here
    low, high = bench.viewer_state.preferences.contrast("toy")
    assert again.image.contrast_limits != [0, 200]
    assert (low, high) != (0, 100)
    kept = "".join(path.read_text() for path in data_home.rglob("*.json"))
    assert "toy" in kept
    assert "cine" not in kept


def test_no_panel_is_cut_off_at_its_sides(bench: Any, reviewed: Any) -> None:
    bench.viewer.window.resize(1280, 720)
    learn = bench.segment.open("Learn")
    for panel in (bench.review, learn):
        (scroll,) = panel.findChildren(QtWidgets.QScrollArea)
        needed = scroll.widget().minimumSizeHint
        bench.qtbot.waitUntil(lambda s=scroll, n=needed: s.viewport().width() >= n().width())


CONTROLS = (
    QtWidgets.QAbstractButton,
    QtWidgets.QAbstractSpinBox,
    QtWidgets.QComboBox,
    QtWidgets.QLineEdit,
    QtWidgets.QPlainTextEdit,
    QtWidgets.QProgressBar,
    QtWidgets.QSlider,
    QtWidgets.QTableWidget,
)


def test_every_control_has_a_tooltip(bench: Any, reviewed: Any) -> None:
    models, learn = (bench.segment.open(name) for name in ("Models", "Learn"))
    silent = []
    for panel in (bench.segment, bench.review, models, learn):
        for widget in panel.findChildren(QtWidgets.QWidget):
            inner = widget.objectName().startswith("qt_") or isinstance(
                widget.parent(),
                QtWidgets.QAbstractSpinBox | QtWidgets.QTableWidget | QtWidgets.QComboBox,
            )
            if isinstance(widget, CONTROLS) and not inner and not widget.toolTip():
                silent.append(f"{type(panel).__name__}: {type(widget).__name__}")
    assert not silent, silent
