"""Stubs of Slicer's widgets, and the calling conventions of PythonQt, on PySide6.

The module's self test covers the real widgets and PythonQt.
"""

from __future__ import annotations

import os
import re
import sys
import types
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

if not os.environ.get("DISPLAY") and sys.platform == "linux":
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import slicer
from PySide6.QtCore import (
    Property,
    QBuffer,
    QByteArray,
    QEvent,
    QIODevice,
    QObject,
    QRectF,
    Qt,
    QTimer,
    Signal,
)
from PySide6.QtGui import (
    QAction,
    QBrush,
    QColor,
    QFontMetrics,
    QIcon,
    QKeySequence,
    QPainter,
    QPainterPath,
    QPen,
    QPixmap,
    QShortcut,
)
from PySide6.QtUiTools import QUiLoader
from PySide6.QtWidgets import (
    QApplication,
    QDoubleSpinBox,
    QHeaderView,
    QLabel,
    QLineEdit,
    QListWidgetItem,
    QMenu,
    QMessageBox,
    QPushButton,
    QStatusBar,
    QTableView,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)


class SceneWidget(QWidget):
    """qMRMLWidget: passes the scene to the widgets connected in the .ui file."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.scene: Any = None
        self.receivers: list[QWidget] = []

    def setMRMLScene(self, scene: Any) -> None:
        self.scene = scene
        for receiver in self.receivers:
            receiver.setMRMLScene(scene)

    def mrmlScene(self) -> Any:
        return self.scene


class NodeComboBox(SceneWidget):
    """qMRMLNodeComboBox with the node types of the .ui file."""

    currentNodeChanged = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.node: Any = None

    def currentNode(self) -> Any:
        if self.node is not None and not slicer.mrmlScene.IsNodePresent(self.node):
            self.node = None
        return self.node

    def setCurrentNode(self, node: Any) -> None:
        assert self.scene is slicer.mrmlScene, "the scene did not reach the selector"
        if node is not None:
            hidden = self.property("hideChildNodeTypes") or []
            kinds = self.property("nodeTypes")
            if not any(node.IsA(kind) for kind in kinds) or any(node.IsA(one) for one in hidden):
                return
        if node is not self.node:
            self.node = node
            self.currentNodeChanged.emit(node)


class SegmentEditor(SceneWidget):
    """qMRMLSegmentEditorWidget: its nodes, and undo by Slicer's own history."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.history = slicer.vtkSegmentationHistory()
        self.editor_node: Any = None
        self.shortcuts: list[QShortcut] = []
        self.effect: Any = None

    def setMRMLSegmentEditorNode(self, node: Any) -> None:
        self.editor_node = node

    def setSegmentationNode(self, node: Any) -> None:
        self.effect = None
        self.editor_node.SetAndObserveSegmentationNode(node)
        self.history.SetSegmentation(None if node is None else node.GetSegmentation())

    def segmentationNode(self) -> Any:
        return self.editor_node.GetSegmentationNode()

    def setSourceVolumeNode(self, node: Any) -> None:
        self.editor_node.SetAndObserveSourceVolumeNode(node)

    def sourceVolumeNode(self) -> Any:
        return self.editor_node.GetSourceVolumeNode()

    def setActiveEffect(self, effect: Any) -> None:
        self.effect = effect

    def activeEffect(self) -> Any:
        return self.effect

    def installKeyboardShortcuts(self) -> None:
        self.uninstallKeyboardShortcuts()
        for key, slot in (("Z", self.undo), (QKeySequence.StandardKey.Undo, self.undo)):
            shortcut = QShortcut(QKeySequence(key), self.window())
            shortcut.activated.connect(slot)
            self.shortcuts.append(shortcut)

    def uninstallKeyboardShortcuts(self) -> None:
        for shortcut in self.shortcuts:
            shortcut.setParent(None)
        self.shortcuts.clear()

    def saveStateForUndo(self) -> None:
        self.history.SaveState()

    def undo(self) -> None:
        self.history.RestorePreviousState()

    def redo(self) -> None:
        self.history.RestoreNextState()


class TableView(QTableView):
    """qMRMLTableView."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.table: Any = None

    def setMRMLScene(self, scene: Any) -> None:
        pass

    def setMRMLTableNode(self, node: Any) -> None:
        self.table = node


class CollapsibleButton(QWidget):
    """ctkCollapsibleButton."""

    toggled = Signal(bool)


class PathLineEdit(QWidget):
    """ctkPathLineEdit."""

    currentPathChanged = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.line = QLineEdit(self)
        self.line.textChanged.connect(self.currentPathChanged)

    def setCurrentPath(self, text: str) -> None:
        self.line.setText(text)

    currentPath = Property(str, lambda self: self.line.text(), lambda self, t: self.line.setText(t))


CUSTOM: dict[str, type[QWidget]] = {
    "qMRMLWidget": SceneWidget,
    "qMRMLNodeComboBox": NodeComboBox,
    "qMRMLSegmentEditorWidget": SegmentEditor,
    "qMRMLTableView": TableView,
    "ctkCollapsibleButton": CollapsibleButton,
    "ctkPathLineEdit": PathLineEdit,
    "ctkSliderWidget": QDoubleSpinBox,
}


WRAPPED = (QPushButton, QHeaderView, QAction)
"""Classes of results on which the module connects signals or reads properties."""


class PythonQt:
    """An object as in PythonQt: properties are values, signals are connected by signature."""

    def __init__(self, wrapped: Any) -> None:
        object.__setattr__(self, "wrapped", wrapped)

    def connect(self, signature: str, slot: Callable[..., Any]) -> None:
        name = signature.partition("(")[0]
        count = len([one for one in re.findall(r"[^(),]+", signature)[1:] if one])
        getattr(self.wrapped, name).connect(lambda *given: slot(*given[:count]))

    def __getattr__(self, name: str) -> Any:
        if name == "className":
            return self.wrapped.metaObject().className
        if self.wrapped.metaObject().indexOfProperty(name) >= 0:
            return self.wrapped.property(name)
        found = getattr(self.wrapped, name)
        if not callable(found):
            return found

        def call(*given: Any) -> Any:
            result = found(*(getattr(one, "wrapped", one) for one in given))
            if isinstance(result, list):
                return [PythonQt(one) if isinstance(one, QObject) else one for one in result]
            return PythonQt(result) if isinstance(result, WRAPPED) else result

        return call

    def __setattr__(self, name: str, value: Any) -> None:
        raise AssertionError(f"set {name} by its method, so that a typing error is an error")


class _MessageBoxes:
    """The class QMessageBox."""

    def __call__(self, parent: Any = None) -> PythonQt:
        return PythonQt(QMessageBox(getattr(parent, "wrapped", parent)))

    def __getattr__(self, name: str) -> Any:
        return getattr(QMessageBox, name)


class FileDialog:
    """The class QFileDialog; the user always chooses ``path``."""

    path = ""

    @classmethod
    def getSaveFileName(cls, _parent: Any, _title: str, _name: str, _filters: str) -> str:
        return cls.path


class _Loader(QUiLoader):
    def createWidget(self, kind: str, parent: QWidget | None = None, name: str = "") -> QWidget:
        if kind not in CUSTOM:
            return super().createWidget(kind, parent, name)
        widget = CUSTOM[kind](parent)
        widget.setObjectName(name)
        return widget


def load_ui(path: str) -> PythonQt:
    """Load a .ui file and make its connections."""
    root = ET.fromstring(Path(path).read_text(encoding="utf-8"))
    connections = root.find("connections")
    assert connections is not None
    wanted = [
        {child.tag: child.text for child in one if child.tag != "hints"} for one in connections
    ]
    root.remove(connections)
    buffer = QBuffer()
    buffer.setData(QByteArray(ET.tostring(root)))
    buffer.open(QIODevice.OpenModeFlag.ReadOnly)
    widget = _Loader().load(buffer)
    assert widget is not None, path
    for one in wanted:
        assert one["sender"] == widget.objectName()
        assert one["signal"] == "mrmlSceneChanged(vtkMRMLScene*)"
        receiver = widget.findChild(QWidget, one["receiver"])
        assert receiver is not None, one
        assert hasattr(receiver, str(one["slot"]).partition("(")[0])
        widget.receivers.append(receiver)
    return PythonQt(widget)


def child_widgets(page: PythonQt) -> Any:
    """Return the named children of a widget, as ``slicer.util.childWidgetVariables``."""
    named = types.SimpleNamespace()
    for widget in page.wrapped.findChildren(QWidget):
        name = widget.objectName()
        if name and not name.startswith("qt_"):
            setattr(named, name, PythonQt(widget))
    return named


def install() -> QApplication:
    """Install the module ``qt`` and return the application."""
    application = QApplication.instance() or QApplication([])
    qt: Any = types.ModuleType("qt")
    qt.QTimer = lambda: PythonQt(QTimer(application))
    qt.QMessageBox = _MessageBoxes()
    qt.QLabel = lambda text: PythonQt(QLabel(text))
    qt.QTableWidgetItem, qt.QListWidgetItem = QTableWidgetItem, QListWidgetItem
    qt.QPixmap, qt.QIcon, qt.QPainter, qt.QPainterPath = QPixmap, QIcon, QPainter, QPainterPath
    qt.QPen, qt.QBrush, qt.QColor, qt.QRectF = QPen, QBrush, QColor, QRectF
    qt.QFontMetrics, qt.QHeaderView = QFontMetrics, QHeaderView
    qt.QWidget, qt.QEvent, qt.Qt, qt.QKeySequence = QWidget, QEvent, Qt, QKeySequence
    qt.QApplication, qt.QFileDialog = QApplication, FileDialog
    qt.QMenu = lambda parent: PythonQt(QMenu(parent.wrapped))
    qt.QShortcut = lambda parent: PythonQt(QShortcut(parent.wrapped))
    sys.modules["qt"] = qt
    slicer.util.loadUI = load_ui
    slicer.util.childWidgetVariables = child_widgets
    assert isinstance(application, QApplication)
    return application


class MainWindow(QWidget):
    """Slicer's main window, with nothing but the module's panel and a status bar."""

    def __init__(self) -> None:
        super().__init__()
        self.status = QStatusBar(self)
        self.status.hide()

    def statusBar(self) -> QStatusBar:
        return self.status


def make_parent() -> Any:
    """Return a parent widget with a layout, as passed to a module."""
    widget = MainWindow()
    layout = QVBoxLayout(widget)

    class Parent:
        window = widget

        def layout(self) -> PythonQt:
            return PythonQt(layout)

    return Parent()
