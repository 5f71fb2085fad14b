"""The module's panel as a whole: sections, timer, scene; everything else is done elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import qt
import slicer

from FLoMoSegmentationLib import installer, parameters
from FLoMoSegmentationLib.panels.install import InstallPanel

if TYPE_CHECKING:
    from FLoMoSegmentationLib.logic import Logic
    from FLoMoSegmentationLib.panels.restore import RestorePanel
    from FLoMoSegmentationLib.panels.review import ReviewPanel
    from FLoMoSegmentationLib.panels.segment import SegmentPanel
    from FLoMoSegmentationLib.scene_image import SceneImage
    from napari_flomo.session import Message, Worker

IDLE_MS = 400
"""How often the timer ticks while nothing runs."""

LOOK_SECONDS = 0.3
"""Strokes are taken up no more often, for the disk, the measures and the review. Less than a tick,
which may come a little early, so that no stroke waits for two of them."""


class Widget:
    """What the user sees of the module.

    Parameters
    ----------
    layout
        Of the module's panel.
    load
        Loads a file of ``Resources/UI`` and returns its widget.
    parameter_node
        Returns the module's parameter node; called each time, because scenes are closed.
    make_worker
        Makes what does the long work; by default a child of PythonSlicer.
    """

    def __init__(
        self,
        layout: Any,
        load: Callable[[str], Any],
        parameter_node: Callable[[], Any],
        make_worker: Callable[[], Worker] | None = None,
    ) -> None:
        self.layout = layout
        self.parameter_node = parameter_node
        self._load = load
        self._make_worker = make_worker
        self._logic: Logic | None = None
        self._segment: SegmentPanel | None = None
        self._review: ReviewPanel | None = None
        self._restore: RestorePanel | None = None
        self._learn: Any = None
        self._tags: list[int] = []
        self._next_look = 0.0
        self.entry: SceneImage | None = None
        self.timer = qt.QTimer()
        self.timer.connect("timeout()", self.tick)
        self.install = InstallPanel(self._page("Install"), self.start)
        if not installer.missing():
            self.start()

    @property
    def logic(self) -> Logic:
        """The logic; there only when everything is installed."""
        assert self._logic is not None
        return self._logic

    @property
    def restore(self) -> RestorePanel:
        """The offer of what was not saved."""
        assert self._restore is not None
        return self._restore

    @property
    def segment(self) -> SegmentPanel:
        """The Segment section."""
        assert self._segment is not None
        return self._segment

    @property
    def review(self) -> ReviewPanel:
        """The Review, Correct and Measures sections."""
        assert self._review is not None
        return self._review

    def start(self) -> None:
        """Build the sections that need ``napari_flomo``, once it is installed."""
        from FLoMoSegmentationLib.logic import Logic
        from FLoMoSegmentationLib.panels.learn import LearnPanel
        from FLoMoSegmentationLib.panels.restore import RestorePanel
        from FLoMoSegmentationLib.panels.review import ReviewPanel
        from FLoMoSegmentationLib.panels.segment import SegmentPanel
        from FLoMoSegmentationLib.runner import CallQueue, make_worker
        from napari_flomo.session import messages

        if self._logic is not None:
            return
        worker = (self._make_worker or make_worker)()
        self._logic = Logic(worker, CallQueue(), host=self)
        self._restore = RestorePanel(self._page("Restore"), self)
        self._segment = SegmentPanel(self._page("Segment"), self)
        self._review = ReviewPanel(self._page("Review"), self)
        self._learn = LearnPanel(self._page("Learn"), self)
        label = qt.QLabel(messages.DISCLAIMER)
        self.layout.addWidget(label)
        if hasattr(self.layout, "addStretch"):
            self.layout.addStretch(1)
        scene = slicer.mrmlScene
        for event in (scene.EndImportEvent, scene.EndCloseEvent):
            self._tags.append(scene.AddObserver(event, lambda *_: self.refresh()))
        self.refresh()
        self.timer.start(IDLE_MS)

    def refresh(self) -> None:
        """Show what the parameter node says, as after a scene was loaded or closed."""
        if self._logic is None:
            return
        self.logic.threshold = parameters.read(self.parameter_node()).threshold
        self.restore.refresh()
        self.segment.refresh()
        self.show_current()

    def show_current(self) -> None:
        """Show the chosen image with its results in the slice views."""
        from FLoMoSegmentationLib import views
        from napari_flomo.errors import FlomoError

        node = parameters.image(self.parameter_node())
        self.entry = None
        try:
            self.entry = self.logic.known(node)
        except FlomoError as error:
            self.segment.say(str(error), "warning")
        if self.entry is not None:
            views.show_image(self.entry.source)
            self.segment.offer_earlier()
        self.review.refresh()

    def tick(self) -> None:
        """Take in what other threads report; take up strokes now and then."""
        if self._logic is None:
            return
        self.logic.queue.drain()
        if self.entry is not None and self.entry not in self.logic.entries:
            self.show_current()  # its image, or its labels, were deleted
            self.restore.refresh()
        if time.monotonic() >= self._next_look:
            self.logic.look()
            self._next_look = time.monotonic() + LOOK_SECONDS
        if self.logic.session.running is None and not self._learn.running:
            self.timer.start(IDLE_MS)

    def hurry(self) -> None:
        """Look for reports often, while something runs."""
        from FLoMoSegmentationLib.runner import EVERY_MS

        self.timer.start(EVERY_MS)

    def enter(self) -> None:
        """Turn the shortcuts on: the module was opened."""
        if self._review is not None:
            self.refresh()
            self.review.ui.editor.installKeyboardShortcuts()

    def leave(self) -> None:
        """Put the brush down: another module was opened."""
        if self._review is not None:
            self.review.ui.editor.setActiveEffect(None)
            self.review.ui.editor.uninstallKeyboardShortcuts()

    def close(self) -> None:
        """End the child process, write what was accepted, listen no more."""
        self.timer.stop()
        for tag in self._tags:
            slicer.mrmlScene.RemoveObserver(tag)
        self._tags.clear()
        if self._logic is not None:
            self._learn.close()
            self._logic.close()
            self._logic = None

    def _page(self, name: str) -> Any:
        """Load a section, add it to the panel and return its widgets by name."""
        page = self._load(f"UI/{name}.ui")
        self.layout.addWidget(page)
        page.setMRMLScene(slicer.mrmlScene)
        return slicer.util.childWidgetVariables(page)

    # What the logic asks of the panel

    def editor(self) -> Any:
        """Return the Segment Editor widget; None while it is not built."""
        return None if self._review is None else self._review.ui.editor

    def notify(self, message: Message) -> None:
        """Show a message in the Segment section."""
        self.segment.show_message(message)

    def ask(self, question: Message) -> None:
        """Put a question in a dialog; do what its choice says if the user agrees."""
        if question.level == "error":
            self.segment.say(question.text, question.level)
        (choice,) = question.choices
        if slicer.util.confirmOkCancelDisplay(f"{question.text}\n{choice.title}?"):
            choice.action()

    def chosen_image(self) -> Any:
        """Return the node of the chosen image; None without one."""
        return parameters.image(self.parameter_node())

    def choose_image(self, node: Any) -> None:
        """Choose another image."""
        parameters.choose_image(self.parameter_node(), node)
