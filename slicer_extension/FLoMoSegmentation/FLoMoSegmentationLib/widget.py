"""The module's widget: assembles the panels and runs the timer."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import qt
import slicer

from FLoMoSegmentationLib import dialogs, installer, parameters
from FLoMoSegmentationLib.panels.install import InstallPanel

if TYPE_CHECKING:
    from FLoMoSegmentationLib.logic import Logic
    from FLoMoSegmentationLib.panels.cine import CinePanel
    from FLoMoSegmentationLib.panels.learn import LearnPanel
    from FLoMoSegmentationLib.panels.measures import MeasuresPanel
    from FLoMoSegmentationLib.panels.restore import RestorePanel
    from FLoMoSegmentationLib.panels.review import ReviewPanel
    from FLoMoSegmentationLib.panels.segment import SegmentPanel
    from FLoMoSegmentationLib.panels.studies import StudiesPanel
    from FLoMoSegmentationLib.scene_image import SceneImage
    from FLoMoSegmentationLib.shortcuts import Shortcuts
    from napari_flomo.session import Message, MessageBoard

IDLE_INTERVAL_MS = 400
"""Interval of the timer while nothing runs."""

HINT_MS = 4000
"""How long a passing hint stays in the status bar."""

EDIT_INTERVAL_SECONDS = 0.3
"""Shortest time between two reports of edits. Less than the idle interval, which varies a little,
so that no edit waits for two ticks."""


class Widget:
    """The module's widget, `Host` of the scene adapter and `PanelHost` of the panels.

    Parameters
    ----------
    layout
        Layout of the module's panel.
    load_ui
        Loads a file in ``Resources`` and returns its widget.
    parameter_node
        Returns the module's parameter node, which is replaced when the scene is closed.

    Attributes
    ----------
    logic, restore, segment, cine, review, measures, studies, learn, board, shortcuts
        Logic, panels, messages and keys; only available once all packages are installed.
    current
        The chosen image if it is open; else None.
    """

    logic: Logic
    restore: RestorePanel
    segment: SegmentPanel
    cine: CinePanel
    review: ReviewPanel
    measures: MeasuresPanel
    studies: StudiesPanel
    learn: LearnPanel
    board: MessageBoard
    shortcuts: Shortcuts

    def __init__(
        self,
        layout: Any,
        load_ui: Callable[[str], Any],
        parameter_node: Callable[[], Any],
    ) -> None:
        self.layout = layout
        self.parameter_node = parameter_node
        self.current: SceneImage | None = None
        self.timer = qt.QTimer()
        self.timer.connect("timeout()", self.tick)
        self._load_ui = load_ui
        self._started = False
        self._tags: list[int] = []
        self._next_poll = 0.0
        self.install = InstallPanel(self._add_page("Install"), self.start)
        if not installer.missing():
            self.start()

    def start(self) -> None:
        """Add the panels that need ``napari_flomo``, once it is installed."""
        from FLoMoSegmentationLib import worker_process
        from FLoMoSegmentationLib.logic import Logic
        from FLoMoSegmentationLib.panels.cine import CinePanel
        from FLoMoSegmentationLib.panels.learn import LearnPanel
        from FLoMoSegmentationLib.panels.measures import MeasuresPanel
        from FLoMoSegmentationLib.panels.restore import RestorePanel
        from FLoMoSegmentationLib.panels.review import ReviewPanel
        from FLoMoSegmentationLib.panels.segment import SegmentPanel
        from FLoMoSegmentationLib.panels.studies import StudiesPanel
        from FLoMoSegmentationLib.shortcuts import Shortcuts
        from napari_flomo.session import MessageBoard, messages

        if self._started:
            return
        queue = worker_process.CallQueue()
        self.logic = Logic(worker_process.make_worker(), queue, host=self)
        self.board = MessageBoard(self.logic.session)
        self.restore = RestorePanel(self._add_page("Restore"), self)
        page_of_studies = self._add_page("Studies")
        self.segment = SegmentPanel(self._add_page("Segment"), self)
        self.cine = CinePanel(self._add_page("Cine"), self)
        self.review = ReviewPanel(self._add_page("Review"), self)
        self.measures = MeasuresPanel(
            self._add_page("Measures"), self, lambda: self._load_ui("UI/Report.ui")
        )
        self.shortcuts = Shortcuts(self.review.ui.editor, self.review.on_undo)
        self.learn = LearnPanel(self._add_page("Learn"), self, self.segment, self.install)
        self._started = True
        self.studies = StudiesPanel(page_of_studies, self)
        self.layout.addWidget(qt.QLabel(messages.DISCLAIMER))
        if hasattr(self.layout, "addStretch"):
            self.layout.addStretch(1)
        scene = slicer.mrmlScene
        for event in (scene.EndImportEvent, scene.EndCloseEvent):
            self._tags.append(scene.AddObserver(event, lambda *_: self.refresh()))
        self.refresh()
        self.segment.warm_up()
        self.timer.start(IDLE_INTERVAL_MS)

    def refresh(self, *, views: bool = True) -> None:
        """Show the choices of the parameter node, after a scene was loaded or closed."""
        if self._started:
            self.restore.refresh()
            self.segment.refresh()
            self.show_current(views=views)

    def show_current(self, *, views: bool = True) -> None:
        """Show the chosen image with its results, with ``views`` also in the slice views."""
        from FLoMoSegmentationLib import slice_views
        from napari_flomo.errors import FlomoError

        self.current = None
        self.board.choose(self._chosen_key())
        try:
            self.current = self.logic.images.open_segmented(self.chosen_image())
        except FlomoError as error:
            self.say(str(error), "warning")
        self.board.choose(self._chosen_key())
        if self.current is not None and views:
            slice_views.show_image(self.current.nodes)
        self.cine.refresh()
        self.review.refresh()
        self.measures.refresh()

    def tick(self) -> None:
        """Handle reports of the child process, and report edits; called by the timer."""
        if not self._started:
            return
        self.logic.queue.drain()
        if self.current is not None and self.current not in self.logic.images.opened:
            self.show_current()  # the image or its labels were deleted
            self.restore.refresh()
        if time.monotonic() >= self._next_poll:
            self.logic.poll()
            self._next_poll = time.monotonic() + EDIT_INTERVAL_SECONDS
            self.review.update_accept_button()
            self.cine.curve.show_frame()
        restoring = self.logic.presenter.unsaved.restoring
        if (
            self.logic.session.running is None
            and not self.learn.learning.running
            and (restoring is None or restoring.ended)
        ):
            self.timer.start(IDLE_INTERVAL_MS)

    def enter(self) -> None:
        """Install the shortcuts; called when the module is opened."""
        if self._started:
            self.refresh()
            self.shortcuts.install()

    def leave(self) -> None:
        """Deactivate the effect and the shortcuts; called when another module is opened."""
        if self._started:
            self.review.ui.editor.setActiveEffect(None)
            self.shortcuts.uninstall()

    def close(self) -> None:
        """Write what was accepted, end the child process and remove the observers."""
        self.timer.stop()
        for tag in self._tags:
            slicer.mrmlScene.RemoveObserver(tag)
        self._tags.clear()
        if self._started:
            self._started = False
            self.shortcuts.uninstall()
            self.learn.close()
            self.studies.close()
            self.logic.close()

    def _chosen_key(self) -> str | None:
        """Return the key of the chosen image if it is open, whether or not it is segmented."""
        node = self.chosen_image()
        opened = None if node is None else self.logic.images.of(node)
        return None if opened is None else opened.key

    def _add_page(self, name: str) -> Any:
        """Load a .ui file, add it to the panel and return its widgets by name."""
        page = self._load_ui(f"UI/{name}.ui")
        self.layout.addWidget(page)
        page.setMRMLScene(slicer.mrmlScene)
        return slicer.util.childWidgetVariables(page)

    # PanelHost

    @property
    def chosen_model(self) -> str:
        """Name or folder of the chosen model."""
        return self.segment.model

    def say(self, text: str, level: str = "info") -> None:
        """Show one sentence at the top until the next action of the user."""
        self.segment.say(text, level)

    def acted(self) -> None:
        """Report an action of the user, which ends passing messages."""
        self.board.acted(self._chosen_key())

    def poll_often(self) -> None:
        """Handle reports of the child process more often while something runs."""
        from FLoMoSegmentationLib.worker_process import DRAIN_INTERVAL_MS

        self.timer.start(DRAIN_INTERVAL_MS)

    # Host

    def editor(self) -> Any:
        """Return the Segment Editor widget; None while it is not built."""
        return self.review.ui.editor if self._started else None

    def notify(self, message: Message) -> None:
        """Show a message in Slicer's status bar and, unless it is a passing hint, at the top."""
        from napari_flomo.session import Until

        slicer.util.showStatusMessage(message.text, HINT_MS)
        if message.until is not Until.MOMENT:
            self.board.choose(self._chosen_key())  # it may have been opened since
            self.board.post(message)

    def ask(self, question: Message) -> None:
        """Ask a question in a dialog; call the action of the chosen choice."""
        if question.level == "error":
            self.say(question.text, question.level)
        dialogs.ask(question)

    def chosen_image(self) -> Any:
        """Return the node of the chosen image; None without one."""
        return parameters.image(self.parameter_node())

    def choose_image(self, node: Any) -> None:
        """Choose another image."""
        parameters.choose_image(self.parameter_node(), node)
