"""One piece of work of a session."""

from __future__ import annotations

from typing import Any

from napari_flomo.jobs import Job, Problem, Progress, State
from napari_flomo.session.merging import Scope


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
    """

    def __init__(
        self,
        job: Job,
        *,
        key: str | None = None,
        model: str | None = None,
        device: str | None = None,
        scope: Scope | None = None,
    ) -> None:
        self._job = job
        self.task = job.task
        self.key = key
        self.model = model
        self.device = device
        self.scope = scope

    @property
    def state(self) -> State:
        """How far it is. When it is done, the session may still be about to take the result in."""
        return self._job.state

    @property
    def progress(self) -> Progress:
        """Slices or bytes done and in total, and the seconds left."""
        return self._job.progress

    @property
    def problem(self) -> Problem | None:
        """Why it failed, or None."""
        return self._job.problem

    @property
    def cancelling(self) -> bool:
        """Whether `cancel` was called."""
        return self._job.cancelling

    def cancel(self) -> None:
        """Ask it to stop, and return at once; it ends within a second and changes nothing."""
        self._job.cancel()

    def result(self, timeout: float | None = None) -> Any:
        """Wait and return what the child returned, before any merging. For scripts and tests.

        A `Segmentation` of the scope, the folder of a pulled model, or the devices.

        Raises
        ------
        JobFailed, Cancelled, TimeoutError
            As `Job.result`.
        """
        return self._job.result(timeout)
