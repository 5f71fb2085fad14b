"""One piece of work of a session."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from napari_flomo.errors import Cancelled
from napari_flomo.jobs import Job, JobFailed, Problem, Progress, State
from napari_flomo.session.scope import Scope


class Run:
    """Work under way or done: a segmentation, a download, a look at the devices.

    Attributes
    ----------
    task
        ``"segment"``, ``"pull"`` or ``"devices"``.
    key
        The image; None for other tasks.
    model, device, scope
        What was asked for; None where the task has none.
    only_maps
        Whether only uncertainty maps were asked for: labels, scores and review stay as they are.
    """

    def __init__(
        self,
        job: Job,
        *,
        key: str | None = None,
        model: str | None = None,
        device: str | None = None,
        scope: Scope | None = None,
        only_maps: bool = False,
    ) -> None:
        self._job = job
        self._settled = threading.Event()
        self._problem: Problem | None = None
        self._state = State.WAITING
        self.task = job.task
        self.key = key
        self.model = model
        self.device = device
        self.scope = scope
        self.only_maps = only_maps

    @property
    def state(self) -> State:
        """How far it is. It is final only when the session has taken the end in."""
        if not self._settled.is_set():
            return State.WAITING if self._job.state is State.WAITING else State.RUNNING
        return self._state

    @property
    def progress(self) -> Progress:
        """Slices or bytes done and in total, and the seconds left."""
        return self._job.progress

    @property
    def problem(self) -> Problem | None:
        """Why it failed, or None."""
        return self._problem

    @property
    def cancelling(self) -> bool:
        """Whether `cancel` was called."""
        return self._job.cancelling

    def cancel(self) -> None:
        """Ask it to stop, and return at once; it ends within a second and changes nothing."""
        self._job.cancel()

    def result(self, timeout: float | None = None) -> Any:
        """Wait until the session has taken it in; return what the child returned, unmerged.

        For scripts and tests. Not for the thread that `Session` dispatches to: it would wait for
        itself.

        Returns
        -------
        Segmentation, str or mapping
            The `Segmentation` of the scope, the folder of a pulled model, or the devices.

        Raises
        ------
        JobFailed
            If it failed.
        Cancelled
            If it was cancelled or its image was closed.
        TimeoutError
            If it still runs.
        """
        if not self._settled.wait(timeout):
            raise TimeoutError(f"The task {self.task!r} still runs after {timeout} seconds.")
        if self._problem is not None:
            raise JobFailed(self._problem)
        if self._state is State.CANCELLED:
            raise Cancelled
        return self._job.result(0)

    # What follows is for the session.

    def _follow(
        self, on_progress: Callable[[Progress], None], on_end: Callable[[Job], None]
    ) -> None:
        """Pass on what the job reports, from another thread."""
        self._job.on_progress(on_progress)
        self._job.on_end(on_end)

    def _settle(self, state: State, problem: Problem | None = None) -> None:
        """Note how it ended for the session."""
        self._state, self._problem = state, problem
        self._settled.set()
