"""A job of a session, with its image, model, device and scope."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from napari_flomo.errors import Problem
from napari_flomo.jobs import Job, State
from napari_flomo.session.review import SliceIndex
from napari_flomo.session.scope import Scope


@dataclass(frozen=True, eq=False)
class Outcome:
    """How the child process ended a run: final state, and result or problem."""

    state: State
    result: Any = None
    problem: Problem | None = None


class Run(Job):
    """A job of a session, which ends only when the session has merged its result.

    Its result is the `Segmentation` of the scope before it was merged, or the folder of a
    downloaded model.

    Parameters
    ----------
    task
        ``"segment"``, ``"learn_study"`` or ``"pull"``.
    key
        Key of the image; None for other tasks.
    model, device, scope
        As requested; None where the task has none.
    only_maps
        Whether only uncertainty maps are computed: labels, scores and review do not change.
    consented
        Corrected and accepted slices that may be overwritten, see `kept_slices`.

    Attributes
    ----------
    options
        Further arguments of the task.
    """

    def __init__(
        self,
        task: str,
        *,
        key: str | None = None,
        model: str | None = None,
        device: str | None = None,
        scope: Scope | None = None,
        only_maps: bool = False,
        consented: Mapping[SliceIndex, int] | None = None,
    ) -> None:
        super().__init__(task)
        self.key = key
        self.model = model
        self.device = device
        self.scope = scope
        self.only_maps = only_maps
        self.consented = consented
        self.options: dict[str, Any] = {}
        self._outcome: Outcome | None = None
        self._outcome_callback: Callable[[Run, Outcome], None] | None = None

    # The rest is for the session.

    def _on_outcome(self, callback: Callable[[Run, Outcome], None]) -> None:
        """Call ``callback(run, outcome)`` when the child is done, from another thread."""
        with self._changed:
            self._outcome_callback, outcome = callback, self._outcome
        if outcome is not None:
            callback(self, outcome)

    def _end(self, state: State, result: Any = None, problem: Problem | None = None) -> None:
        """Take the outcome from the worker; the run itself ends with `_settle`."""
        with self._changed:
            outcome = self._outcome = Outcome(state, result, problem)
            callback = self._outcome_callback
        if callback is not None:
            callback(self, outcome)

    def _settle(self, state: State, problem: Problem | None = None) -> None:
        result = self._outcome.result if self._outcome is not None else None
        super()._end(state, result, problem)
