"""The module on PySide6, operated by clicks."""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
import slicer
import widget_stubs
from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QContextMenuEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QMessageBox

from napari_flomo.jobs import Worker


class ModuleDriver:
    """The module as Slicer opens it."""

    def __init__(self, worker: Worker, patch: pytest.MonkeyPatch) -> None:
        self.application = widget_stubs.install()
        self.asked: list[str] = []
        patch.setattr(slicer.app, "testingEnabled", lambda: False)
        patch.setattr(slicer.util, "confirmYesNoDisplay", self.ask, raising=False)
        sys.modules.pop("FLoMoSegmentation", None)
        self.code = importlib.import_module("FLoMoSegmentation")
        self.parent = widget_stubs.make_parent()
        window = widget_stubs.PythonQt(self.parent.window)
        patch.setattr(slicer.util, "mainWindow", lambda: window)
        worker_process = importlib.import_module("FLoMoSegmentationLib.worker_process")
        patch.setattr(worker_process, "make_worker", lambda: worker)
        self.module = self.code.FLoMoSegmentationWidget(self.parent)
        self.parent.window.resize(420, 1000)
        self.parent.window.show()
        self.module.setup()
        self.module.enter()
        self.answer: Any = True
        self.timer = QTimer()
        self.timer.timeout.connect(self.answer_dialog)
        self.timer.start(20)
        self.application.processEvents()  # sections that were just added are shown now

    @property
    def panel(self) -> Any:
        return self.module.panel

    def ask(self, text: str, *_args: Any, **_options: Any) -> bool:
        self.asked.append(text)
        return self.answer

    def answer_dialog(self) -> None:
        """Click a button of the dialog that is open: by its title, the first, or Cancel."""
        dialog = self.application.activeModalWidget()
        if not isinstance(dialog, QMessageBox):
            return
        self.asked.append(dialog.text())
        buttons = {button.text(): button for button in dialog.buttons()}
        choices = [text for text in buttons if text.replace("&", "") != "Cancel"]
        if self.answer is True:
            text = dialog.defaultButton().text()
        else:
            text = next((one for one in choices if one == self.answer), "Cancel")
        button = next(one for title, one in buttons.items() if title.replace("&", "") == text)
        QTest.mouseClick(button, Qt.MouseButton.LeftButton)

    def click(self, button: Any) -> None:
        widget = button.wrapped
        assert widget.isEnabled(), widget.objectName()
        assert widget.isVisibleTo(self.parent.window), widget.objectName()
        QTest.mouseClick(widget, Qt.MouseButton.LeftButton)

    def press(self, key: Qt.Key, modifier: Any = Qt.KeyboardModifier.NoModifier) -> None:
        """Press a key while no control of the module has the focus."""
        self.parent.window.activateWindow()
        self.application.setActiveWindow(self.parent.window)
        QTest.keyClick(self.parent.window, key, modifier)
        self.application.processEvents()

    def open_menu(self, table: Any, row: int) -> Any:
        """Click a row with the right button, and return the menu."""
        widget = table.wrapped
        at = widget.visualItemRect(widget.item(row, 0)).center()
        QTest.mouseClick(widget.viewport(), Qt.MouseButton.RightButton, pos=at)
        reason = QContextMenuEvent.Reason.Mouse
        event = QContextMenuEvent(reason, at, widget.viewport().mapToGlobal(at))
        self.application.sendEvent(widget.viewport(), event)
        return self.application.activePopupWidget()

    def wait(self, done: Callable[[], bool], seconds: float = 90) -> None:
        end = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < end, self.panel.segment.ui.message.text
            self.application.processEvents()
            time.sleep(0.005)

    def choose(self, node: Any) -> None:
        self.panel.segment.ui.imageSelector.setCurrentNode(node)

    def run(self, node: Any) -> None:
        self.choose(node)
        self.click(self.panel.segment.ui.segmentButton)
        self.wait(lambda: self.panel.logic.session.running is None)

    def pick_model(self, name: str) -> None:
        box = self.panel.segment.ui.modelBox
        if box.findData(name) < 0:
            box.addItem(name, name)
        box.setCurrentIndex(box.findData(name))

    def close(self) -> None:
        """Cancel a run and close the module."""
        self.timer.stop()
        if self.panel is not None:
            if self.panel.logic.session.running is not None:
                self.panel.logic.session.running.cancel()
                self.wait(lambda: self.panel.logic.session.running is None)
            self.module.cleanup()
        self.parent.window.close()
