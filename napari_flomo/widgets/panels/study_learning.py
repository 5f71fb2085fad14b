"""The button that learns from the open study, with its progress."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QHBoxLayout, QWidget

from napari_flomo.session import (
    RunEvent,
    RunProgressed,
    can_learn_study,
    suggestion_messages,
)
from napari_flomo.widgets.panels.panel import ProgressBar, button

if TYPE_CHECKING:
    from napari_flomo.session import Event, Run
    from napari_flomo.widgets.viewer_state import ViewerState


class StudyLearning(QWidget):
    """Suggests labels learnt from the accepted slices of the current image; can be cancelled."""

    def __init__(self, viewer_state: ViewerState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer_state = viewer_state
        title, tip = suggestion_messages.LEARN_STUDY
        self.button = button(title, tip, self._click)
        self.progress = ProgressBar()
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.progress, 3)
        layout.addWidget(self.button, 1)
        viewer_state.session_changed.connect(self._on_event)
        self.refresh()

    def refresh(self) -> None:
        """Offer to learn from the current image, or show how far that is."""
        run, image = self._run, self._viewer_state.current_image
        self.progress.setVisible(run is not None)
        title, _tip = suggestion_messages.LEARN_STUDY
        self.button.setText(title if run is None else "Cancel")
        if run is not None:
            self.progress.show_run(run, self._viewer_state.session.runs.index(run))
        self.button.setEnabled(run is not None or (image is not None and can_learn_study(image)))

    @property
    def _run(self) -> Run | None:
        """The run that learns from the current image, also while it waits."""
        state = self._viewer_state
        mine = (run for run in state.session.runs if run.key == state.key)
        return next((run for run in mine if run.task == "learn_study"), None)

    def _click(self) -> None:
        state = self._viewer_state
        if self._run is not None:
            self._run.cancel()
        else:
            state.attempt(lambda: state.presenter.learn_study(state.key))

    def _on_event(self, event: Event) -> None:
        if not isinstance(event, RunEvent) or event.run.task != "learn_study":
            return
        if isinstance(event, RunProgressed) and event.run is self._run:
            self.progress.show_progress(event.progress)
        else:
            self.refresh()
