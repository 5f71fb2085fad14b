"""All panels: they fit into narrow docks, and there is one of each, in tabs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest

pytest.importorskip("napari", reason="napari is not installed")

from napari._app_model import get_app_model
from napari.settings import get_settings
from qtpy import QtWidgets
from qtpy.QtCore import Qt
from qtpy.QtGui import QAccessible
from superqt import QElidingLabel

from napari_flomo.session.learning import GateRow, GateSummary
from napari_flomo.volumes import Volume
from napari_flomo.widgets.docking import dock_of
from napari_flomo.widgets.fitting import FittingArea, controls
from napari_flomo.widgets.forms.review import CHANGES

NAMES = ("Segment", "Review", "Studies", "Learn", "Models")
NARROWEST = 280


@pytest.fixture
def appearance() -> Iterator[Any]:
    """The appearance settings of napari, which are restored after the test."""
    settings = get_settings().appearance
    before = settings.font_size
    yield settings
    settings.font_size = before


def cut_off(panel: Any) -> list[str]:
    """Describe the visible labels and buttons of a panel that do not show their whole text."""
    found = []
    for widget in panel.findChildren(QtWidgets.QWidget):
        has_text = isinstance(widget, QtWidgets.QLabel | QtWidgets.QAbstractButton)
        if not has_text or not widget.isVisible() or not widget.text():
            continue
        least = widget.minimumSizeHint() if _wraps(widget) else widget.sizeHint()
        height = widget.heightForWidth(widget.width()) if _wraps(widget) else least.height()
        elided = isinstance(widget, QElidingLabel) and widget.toolTip() == widget.text()
        if height > widget.height() or (least.width() > widget.width() and not elided):
            found.append(f"{type(widget).__name__} {widget.text()!r}")
    return found


def _wraps(widget: Any) -> bool:
    return isinstance(widget, QtWidgets.QLabel) and widget.wordWrap()


def test_nothing_is_cut_off(
    bench: Any, appearance: Any, make_volume: Callable[..., Volume]
) -> None:
    bench.add(make_volume(frames=12, slices=12), "a_long_name_without_any_gap_as_of_a_file")
    bench.segment.form.scope.value = "all"
    bench.run()
    panels = {name: bench.segment.open(name) for name in NAMES}
    panels["Learn"].gate.show_summary(
        GateSummary("candidate", "parent", "passed", ("Dice rose by 0.03.",), (row(),), (), ())
    )
    panels["Learn"].gate_group.setVisible(True)
    bench.review.compare.apply(CHANGES)
    path = "/a/long/folder/name/for/the/labels/of/this/patient/with/no/gap/labels.nii.gz"
    bench.viewer_state.post_message(f"Saved to {path}.", details="x")
    window, problems = bench.viewer.window, []
    for width, height in ((1280, 720), (1400, 900)):
        window.resize(width, height)
        for size in (9, 11, 14):
            appearance.font_size = size
            for name, panel in panels.items():
                bench.segment.open(name)
                dock = dock_of(panel)
                window._qt_window.resizeDocks([dock], [NARROWEST], Qt.Orientation.Horizontal)
                bench.settle()
                assert panel.width() == NARROWEST
                where = f"{name} at {width} x {height}, {size} pt: "
                problems += [where + one for one in cut_off(panel)]
                (area,) = panel.findChildren(FittingArea)
                if area.horizontalScrollBar().isVisible():
                    problems.append(f"{where} scrolls sideways")
    assert not problems, "\n".join(problems)
    numbers = ((panels["Review"].list, (1, 3)), (panels["Learn"].gate.table, (2, 3, 4)))
    for table, columns in numbers:
        assert all(table.columnWidth(one) >= table.sizeHintForColumn(one) for one in columns)


def row() -> GateRow:
    return GateRow("Reference patients", "left ventricle", "Dice", "0.800", "0.810", "+0.010")


def test_one_of_each_in_tabs(bench: Any) -> None:
    app, window = get_app_model(), bench.viewer.window._qt_window
    bench.settle()

    def docks() -> list[Any]:
        found = window.findChildren(QtWidgets.QDockWidget)
        return [one for one in found if one.isVisible() and one.windowTitle() in NAMES]

    assert {one.windowTitle() for one in docks()} == {"Segment", "Review"}
    for command in ("learn", "models", "review", "studies", "segment", "review"):
        app.commands.execute_command(f"napari-flomo.{command}").result()
        bench.qtbot.wait(50)
        (front,) = [one for one in docks() if not one.visibleRegion().isEmpty()]
        assert front.windowTitle().lower() == command
        assert len(window.tabifiedDockWidgets(front)) == len(docks()) - 1
    assert sorted(one.windowTitle() for one in docks()) == sorted(NAMES)
    learn = bench.segment.open("Learn")
    assert learn is bench.review.open("Learn"), "the same panel again"
    app.commands.execute_command("napari-flomo.learn").result()
    bench.qtbot.wait(50)
    assert not dock_of(learn).isVisible(), "the menu entry of the panel in front hides it"
    app.commands.execute_command("napari-flomo.learn").result()
    bench.qtbot.wait(50)
    assert not dock_of(learn).visibleRegion().isEmpty()


@pytest.mark.parametrize("moved", [False, True])
def test_the_image_keeps_two_thirds_of_a_narrow_window(bench: Any, moved: bool) -> None:
    window = bench.viewer.window._qt_window
    for panel in (bench.segment, bench.review):
        bench.viewer.window.remove_dock_widget(dock_of(panel))
    window.resize(1280, 720)
    bench.settle()
    first = dock_of(bench.segment.open("Segment"))
    bench.qtbot.wait(50)
    canvas = bench.viewer.window._qt_viewer.canvas.native
    assert canvas.width() > window.width() * 2 / 3
    assert window.dockWidgetArea(first) == Qt.DockWidgetArea.LeftDockWidgetArea
    if moved:  # as the user does who wants it on the right
        window.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, first)
    second = dock_of(bench.segment.open("Review"))
    bench.qtbot.wait(50)
    assert not second.visibleRegion().isEmpty()
    names = {one.objectName() for one in window.tabifiedDockWidgets(second)}
    assert (names >= {"layer controls", "layer list"}) is not moved
    assert first in window.tabifiedDockWidgets(second)


def test_every_control_by_keyboard_and_screen_reader(
    bench: Any, make_volume: Callable[..., Volume]
) -> None:
    bench.add(make_volume(frames=2, slices=4))
    bench.segment.form.scope.value = "all"
    bench.run()
    bench.viewer_state.post_message("It failed.", "warning", "Traceback")
    silent, unordered = [], []
    for name in NAMES:
        panel = bench.segment.open(name)
        bench.settle()
        reached = [one for one in controls(panel) if one.isVisible()]
        for widget in panel.findChildren(QtWidgets.QWidget):
            by_tab = widget.focusPolicy() & Qt.FocusPolicy.TabFocus and widget.isVisible()
            compound = isinstance(
                widget.parent(), QtWidgets.QAbstractSpinBox | QtWidgets.QComboBox
            ) or widget.objectName().startswith("qt_")
            if by_tab and not compound and not spoken(widget):
                silent.append(f"{name}: {type(widget).__name__}")
            if by_tab and not compound and widget not in reached:
                unordered.append(f"{name}: {type(widget).__name__} is in no layout")
        first, chain = reached[0], []
        widget = first
        while widget is not None and len(chain) < len(reached):
            if widget in reached:
                chain.append(widget)
            widget = widget.nextInFocusChain()
            if widget is first:
                break
        tops = [one.mapTo(panel, one.rect().center()).y() for one in chain]
        if chain != reached or any(up > down + 12 for up, down in pairwise(tops)):
            unordered.append(f"{name}: {[spoken(one) for one in chain]}")
    assert not silent + unordered, silent + unordered


def spoken(widget: Any) -> str:
    """Return what a screen reader calls a control; a sign is no name."""
    said = QAccessible.queryAccessibleInterface(widget).text(QAccessible.Text.Name)
    return said if any(sign.isalpha() for sign in said) else ""


def test_bars_by_keyboard(bench: Any, make_volume: Callable[..., Volume]) -> None:
    entry = bench.add(make_volume(slices=4))
    bench.run()
    bench.viewer.dims.current_step = (1, 0, 0)
    plot = bench.review.plot
    plot.setFocus()
    for key, place in ((Qt.Key.Key_End, 3), (Qt.Key.Key_Left, 2), (Qt.Key.Key_Left, 1)):
        bench.qtbot.keyClick(plot, key)
        interface = QAccessible.queryAccessibleInterface(plot)
        said = interface.text(QAccessible.Text.Description)
        assert said.startswith(f"Slice {place + 1}: uncertainty ")
    bench.qtbot.keyClick(plot, Qt.Key.Key_Home)
    assert bench.viewer_state.position(entry).slice == 1
    bench.qtbot.keyClick(plot, Qt.Key.Key_Return)
    assert bench.viewer_state.position(entry).slice == 0
