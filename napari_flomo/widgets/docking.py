"""Panels in the window: one of each, together in tabs, and raised where they are open already."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from npe2 import PluginManager
from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget

from napari_flomo.widgets.delayed import delayed

if TYPE_CHECKING:
    from napari import Viewer

PLUGIN = "napari-flomo"

NARROW = 1366
"""In windows up to this width, in pixels, the panels are tabs of napari's layer docks: columns on
both sides of the image would leave it half of the window."""
LAYER_DOCKS = ("layer controls", "layer list")
"""Names of napari's docks on the left."""


class PanelDocks(QObject):
    """The docks of the panels of one window.

    napari's menu knows a dock by its title, such as "Review (FLoMo)"; a script that calls
    ``add_plugin_dock_widget`` gets a dock of another title. Both are one panel here: the last that
    was opened replaces the one before.
    """

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._panels: dict[str, QWidget] = {}

    def open(self, viewer: Viewer, name: str) -> QWidget:
        """Open a panel by the name in the manifest, or raise it, and return it."""
        panel = self._panels.get(name)
        if panel is None or dock_of(panel) is None:
            manager = PluginManager.instance()
            command = f"{PLUGIN}.{name.lower()}"
            panel = manager.commands.execute(command, kwargs={"napari_viewer": viewer})
            title = f"{name} ({manager.get_manifest(PLUGIN).display_name})"
            viewer.window.add_dock_widget(panel, name=title)
        self.arrange(viewer, name, panel)
        return panel

    def arrange(self, viewer: Viewer, name: str, panel: QWidget) -> None:
        """Put a panel in front of the others, in place of another of the same name."""
        dock = dock_of(panel)
        if dock is None:
            return
        before, self._panels[name] = self._panels.get(name), panel
        if before is not None and before is not panel:
            if (old := dock_of(before)) is not None:
                viewer.window.remove_dock_widget(old)
            before.deleteLater()
        dock.setWindowTitle(name)  # of the tab; the title bar has napari's longer title
        main, new = dock.parentWidget(), dock.findChild(_Raised) is None
        if new:
            _Raised(dock)
        docks = [found for one in self._panels.values() if (found := dock_of(one)) is not None]
        others = [other for other in docks if other is not dock]
        if isinstance(main, QMainWindow):
            if new and not others and main.width() <= NARROW:
                _share_left_side(main, dock)
            for other in others:
                if _stacked(main, other, dock) or (new and _docked(main, other, dock)):
                    main.tabifyDockWidget(other, dock)
                    break
        dock.show()
        dock.raise_()


class _Raised(QObject):
    """Raises a dock when it is shown, also by the menu entry that would hide a tab behind others.

    napari's menu entries show a hidden dock and hide a shown one, and a tab that is behind others
    counts as shown.
    """

    def __init__(self, dock: QDockWidget) -> None:
        super().__init__(dock)
        self._dock = dock
        self._in_front = True
        self._raise_later = delayed(self, 0, self._raise)
        dock.visibilityChanged.connect(self._on_visibility)
        dock.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        """Raise the dock that is shown, or that is hidden while it is behind another."""
        shown = event.type() == QEvent.Type.ShowToParent
        if shown or (event.type() == QEvent.Type.HideToParent and not self._in_front):
            self._raise_later.start()
        return bool(super().eventFilter(watched, event))

    def _on_visibility(self, visible: bool) -> None:
        if visible or not self._dock.isHidden():  # hiding is no change of tabs
            self._in_front = visible

    def _raise(self) -> None:
        main = self._dock.parentWidget()
        docked = isinstance(main, QMainWindow) and (
            main.dockWidgetArea(self._dock) != Qt.DockWidgetArea.NoDockWidgetArea
        )
        if docked and self._dock.widget() is not None:  # else it was closed for good
            self._dock.show()
            self._dock.raise_()


def dock_of(panel: QWidget) -> QDockWidget | None:
    """Return the dock that a panel is in; None if it was closed."""
    widget = panel.parentWidget()
    while widget is not None and not isinstance(widget, QDockWidget):
        widget = widget.parentWidget()
    return widget


def _stacked(main: QMainWindow, other: QDockWidget, dock: QDockWidget) -> bool:
    """Return True if two docks share one side of the window and are not tabs of each other."""
    return (
        other is not dock
        and not (other.isFloating() or dock.isFloating())
        and main.dockWidgetArea(other) == main.dockWidgetArea(dock)
        and other not in main.tabifiedDockWidgets(dock)
    )


def _docked(main: QMainWindow, *docks: QDockWidget) -> bool:
    nowhere = Qt.DockWidgetArea.NoDockWidgetArea
    return not any(one.isFloating() or main.dockWidgetArea(one) == nowhere for one in docks)


def _share_left_side(main: QMainWindow, dock: QDockWidget) -> None:
    """Make a dock and napari's docks on the left tabs of one another, as high as the window."""
    left, right = Qt.DockWidgetArea.LeftDockWidgetArea, Qt.DockWidgetArea.RightDockWidgetArea
    if dock.isFloating() or main.dockWidgetArea(dock) not in (left, right):
        return
    layers = [
        one
        for name in LAYER_DOCKS
        if (one := main.findChild(QDockWidget, name)) is not None
        and not (one.isFloating() or one.isHidden())
        and main.dockWidgetArea(one) == left
    ]
    for one, following in pairwise([*layers, dock]):
        main.tabifyDockWidget(one, following)
