"""The state of one napari window: its images, the presenter and the training.

Panels come and go; the state stays as long as the window. Everything here happens in the window's
thread.
"""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QWidget

from napari_flomo.session import Preferences, Presenter, Worker, messages, model_to_use
from napari_flomo.widgets import close_guard, closing, warming_up
from napari_flomo.widgets.activity import Activity
from napari_flomo.widgets.close_guard import CloseGuard
from napari_flomo.widgets.docking import PanelDocks
from napari_flomo.widgets.forms.tools import ToolOptions
from napari_flomo.widgets.lazy_image import LazyQueue
from napari_flomo.widgets.napari_adapter import NapariAdapter
from napari_flomo.widgets.other_labels import OtherLabels
from napari_flomo.widgets.slice_numbers import SliceNumbers
from napari_flomo.widgets.viewer_images import ViewerImages
from napari_flomo.widgets.wall_points import WallPoints

if TYPE_CHECKING:
    from napari import Viewer

    from napari_flomo.session import Problem
    from napari_flomo.session.learning import Learning
    from napari_flomo.session.worklist import Studies


class ViewerState(ViewerImages):
    """The state that the panels of one window share; see `ViewerImages` for the parameters."""

    session_changed = Signal(object)
    """An `Event` of the session; layers are up to date already."""
    models_changed = Signal(str)
    """Another model was chosen; carries its name."""
    studies_changed = Signal()
    """The work list or the study that is open changed."""
    computing_changed = Signal()
    """The computation of a lazy image started or ended, or waits."""

    def __init__(
        self,
        viewer: Viewer,
        worker: Worker | None = None,
        preferences: Preferences | None = None,
    ) -> None:
        super().__init__(viewer, worker, preferences)
        self.adapter = NapariAdapter(self)
        self.presenter = Presenter(self.session, self.adapter, self.preferences)
        self.image_removing.connect(self.presenter.removed.removing)
        self.docks = PanelDocks(self)
        self.activity = Activity(self, lambda: self.learning)
        self._slice_numbers = SliceNumbers(self)
        self.wall_points = WallPoints(self, self.presenter)
        self._other_labels = OtherLabels(self, self.adapter.notify)
        self._unsubscribe = self.session.subscribe(self.session_changed.emit)
        self.lazy = LazyQueue(
            lambda action: self.in_main_thread(lambda: None if self.closed else action()),
            lambda entry: entry in self._entries,
            self.computing_changed.emit,
            self._on_lazy_problem,
        )
        self.tool_options = ToolOptions()
        self.learning: Learning | None = None
        self.studies: Studies | None = None
        self.closed = False
        self._has_window = False  # without a reference, so that the window can be deleted

    def close_with(self, window: QObject) -> None:
        """Close this state together with a window."""
        if not self._has_window:
            self._has_window = True
            window.destroyed.connect(self.close)
            if isinstance(window, QWidget):
                CloseGuard(window, self._may_close, self)

    def _may_close(self, window: QWidget) -> bool:
        return self.closed or (
            closing.may_close(self, self.adapter, self.studies, window)
            and close_guard.may_close(self.learning, window)
        )

    def get_learning(self) -> Learning:
        """Return the state of the Learn panel; the first call looks for an earlier training."""
        if self.learning is None:
            from napari_flomo.session.learning import Learning

            self.learning = Learning(self.in_main_thread)
            self.learning.subscribe(self.activity.watch)
            self.activity.watch()
        return self.learning

    def get_studies(self) -> Studies:
        """Return the work list of the window."""
        if self.studies is None:
            from napari_flomo.session.worklist import Studies
            from napari_flomo.widgets.series_dialog import ask_for_series

            self.studies = Studies(self.session, self.adapter, self.preferences, ask_for_series)
            self.studies.subscribe(self.studies_changed.emit)
        return self.studies

    def use_model(self, name: str) -> None:
        """Segment with a model that was promoted, or is in use again, from now on."""
        name = model_to_use(name)
        self.preferences.model = name
        self.models_changed.emit(name)

    def warm_up(self, model: str) -> None:
        """Load a model in the worker, and what napari needs for the first labels, before a run."""
        threading.Thread(target=warming_up.warm_up).start()
        if model:
            self.session.warm_up(model, self.preferences.device)

    def close(self) -> None:
        """End all work; unsaved strokes are offered at the next start."""
        if self.closed:
            return
        self.closed = True
        self.activity.close()
        self._unsubscribe()
        for entry in self._entries:  # the viewer may be deleted already
            self.release_labels(entry)
        self.remembered.close()
        if self.studies is not None:
            self.studies.close()
        if self.learning is not None:
            self.learning.close()
        self.session.close()

    def _on_lazy_problem(self, problem: Problem | None) -> None:
        if problem is None:
            self.post_message(messages.CANCELLED)
        else:
            self.post_message(problem.sentence, "error", problem.details)


_STATES: weakref.WeakKeyDictionary[Any, ViewerState] = weakref.WeakKeyDictionary()


def viewer_state_of(viewer: Viewer, worker: Worker | None = None) -> ViewerState:
    """Return the state of a viewer, which is created when the first panel opens.

    napari passes only the viewer to panels and commands, so this is how they share a state.
    """
    viewer = getattr(viewer, "__wrapped__", viewer)
    viewer_state = _STATES.get(viewer)
    if viewer_state is None or viewer_state.closed:
        viewer_state = _STATES[viewer] = ViewerState(viewer, worker)
    return viewer_state
