"""Runs and trainings in napari's activity dock, with a button to cancel each."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from napari.utils import cancelable_progress
from qtpy.QtCore import QObject, QTimer

from napari_flomo.session import Event, Run, RunStarted, State, messages

if TYPE_CHECKING:
    from napari_flomo.session.learning import Learning, TrainingRun
    from napari_flomo.widgets.viewer_images import ViewerImages

REFRESH_MS = 300
"""napari draws the whole window for every step of a bar."""


class Activity(QObject):
    """Shows what is under way, and nothing when nothing is.

    ``learning`` returns the state of the training, or None if no panel has asked for it.
    """

    def __init__(self, images: ViewerImages, learning: Callable[[], Learning | None]) -> None:
        super().__init__(images)
        self._session = images.session
        self._learning = learning
        self._closed = False
        self._bars: dict[Run | TrainingRun, _Bar] = {}
        self._timer = QTimer(self)
        self._timer.setInterval(REFRESH_MS)
        self._timer.timeout.connect(self._refresh)
        self._session.subscribe(self._on_event)

    def watch(self) -> None:
        """Look for work until there is none; called when some was started."""
        if not (self._timer.isActive() or self._closed):
            self._timer.start()

    def close(self) -> None:
        """Show nothing any more."""
        self._closed = True
        self._timer.stop()
        while self._bars:
            self._bars.popitem()[1].close()

    def _on_event(self, event: Event) -> None:
        if isinstance(event, RunStarted):
            self.watch()

    def _refresh(self) -> None:
        under_way = self._under_way()
        for job in [job for job in self._bars if job not in under_way]:
            self._bars.pop(job).close()
        for job, title in under_way.items():
            # A bar calls what waits in the event queue, so that the work may end meanwhile.
            if job.state.final:
                continue
            if job not in self._bars:
                self._bars[job] = _Bar(job, title)
            else:
                self._bars[job].follow()
        if not under_way:
            self._timer.stop()

    def _under_way(self) -> dict[Run | TrainingRun, str]:
        found: dict[Run | TrainingRun, str] = {}
        run, learning = self._session.running, self._learning()
        if run is not None and run.state is not State.DONE:
            found[run] = self._title(run)
        if learning is not None and learning.training is not None and learning.running:
            found[learning.training] = f"Train {learning.training.request.base}"
        return found

    def _title(self, run: Run) -> str:
        if run.key is None:
            return f"Download {run.model}"
        open_images = {image.key: image.name for image in self._session.images}
        name = open_images.get(run.key, "")  # it may be closed until the run has stopped
        if run.task == "segment" and not run.only_maps:
            return f"Segment {name}".rstrip()
        return messages.run_name(run, name).rstrip()


class _Bar(cancelable_progress):
    """The bar of a run."""

    def __init__(self, job: Run | TrainingRun, title: str) -> None:
        self._job = job
        self._shown = job.progress.total
        super().__init__(desc=title, total=job.progress.total or None)

    def follow(self) -> None:
        """Show how far the run is."""
        progress = self._job.progress
        if progress.total != self._shown:
            self.total = self._shown = progress.total
        if progress.done > self.n:
            self.update(progress.done - self.n)

    def cancel(self) -> None:
        """Cancel the run; napari calls back only where it iterates itself."""
        super().cancel()
        self._job.cancel()
