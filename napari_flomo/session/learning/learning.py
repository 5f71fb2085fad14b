"""The way from accepted slices to a model in use, without any window."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from napari_flomo import DEFAULT_MODEL
from napari_flomo.corrections import default_store
from napari_flomo.errors import FlomoError
from napari_flomo.jobs import Job, State, Worker, detached
from napari_flomo.models import base_of, in_use, promote, promoted_for, promotions, rollback
from napari_flomo.session.learning.training import (
    Request,
    Training,
    all_trainings,
    trainings_folder,
)
from napari_flomo.session.learning.waiting import Readiness, Waiting, card_of, count_waiting
from napari_flomo.session.observers import Observers

USED, KEPT_OLD, DROPPED = "used", "kept old", "dropped"

_NEEDED = ("flomo_training", "lightning", "monai")

Dispatch = Callable[[Callable[[], None]], None]
Observer = Callable[[], None]


class Learning:
    """What waits to be learnt, the training that runs or was not decided about yet, and its fate.

    A training is a program of its own in a folder of its own: it goes on when the viewer closes,
    and is found again by the next one.

    Parameters
    ----------
    dispatch
        As in `Session`: hands a function over to the viewer's thread. Observers are called there.
    store, folder
        Asked for the store of corrections and for the folder of trainings; the user's own by
        default.
    worker
        Makes a worker that counts with the training package; it is closed after each answer.
    executable
        The Python to train with; this one by default.
    """

    def __init__(
        self,
        dispatch: Dispatch | None = None,
        *,
        store: Callable[[], Path] = default_store,
        folder: Callable[[], Path] = trainings_folder,
        worker: Callable[[], Worker] = Worker,
        executable: str | None = None,
    ) -> None:
        self._dispatch = dispatch or _at_once
        self._store = store
        self._folder = folder
        self._make_worker = worker
        self._executable = executable
        self._observers = Observers[[]]()
        self._checking: tuple[str, Worker] | None = None
        self._stale = False
        self._closed = False
        self.readiness: Readiness | None = None
        self.training: Training | None = None
        self.find_again()

    # What is there

    @property
    def obstacle(self) -> str | None:
        """Why nothing can be learnt on this computer, and what to do; None if all is there."""
        missing = [name for name in _NEEDED if find_spec(name) is None]
        if self._executable is not None or not missing:
            return None
        return (
            "Learning needs the training package; install it with: pip install "
            '"napari-flomo[train]".'
        )

    @property
    def running(self) -> bool:
        """Whether a training is under way."""
        return self.training is not None and not self.training.state.final

    @staticmethod
    def base(chosen: str | None = None) -> str:
        """Return the model to teach: what stands for the chosen one, or for the default, now.

        Of a tuned model that was taken back it is what stands for its base.
        """
        return in_use(_root(chosen or DEFAULT_MODEL))

    def waiting(self, base: str) -> Waiting:
        """Count the accepted slices that a model can learn from; reads records only.

        Raises
        ------
        FlomoError
            If the model or the store cannot be read.
        """
        return count_waiting(self._store(), card_of(base), self._learnt_until())

    def check(self, base: str) -> None:
        """Ask the training package whether that is enough, in a process of its own.

        Returns at once; `readiness` is None until the answer is there, then the observers are told.
        """
        if self.obstacle is not None or self._closed:
            return
        if self._checking is not None:
            if self._checking[0] == base:
                self._stale = True  # something came meanwhile: ask again after this answer
                return
            self._checking[1].close()
        self._stale = False
        self.readiness = None
        worker = self._make_worker()
        self._checking = base, worker
        arguments = {"store": str(self._store()), "base": base}
        job = worker.submit("readiness", arguments)
        job.on_end(lambda job: self._dispatch(lambda: self._checked(worker, job)))

    # Training

    def train(
        self,
        base: str,
        *,
        replay: str | None = None,
        reference: str | None = None,
        device: str = "auto",
        settings: str | None = None,
    ) -> Training:
        """Start a training; see `Request` for what it is told.

        Raises
        ------
        FlomoError
            If one runs already, nothing waits, a folder is missing, or it cannot be started.
        """
        if self.obstacle is not None:
            raise FlomoError(self.obstacle)
        self._check_none_runs()
        waiting = self.waiting(base)
        if not waiting.slices:
            raise FlomoError(waiting.sentence)
        for path, what in ((replay, "to rehearse"), (reference, "to be judged on")):
            if path and not Path(path).expanduser().exists():
                raise FlomoError(f"There is no {path}; choose the data {what} again.")
        request = Request(
            base,
            str(self._store()),
            waiting.sequence,
            replay or None,
            reference or None,
            device,
            settings,
        )
        return self._follow(Training.start(request, self._folder(), self._executable))

    def resume(self) -> Training:
        """Go on with a training that was cancelled or cut off, from its last checkpoint.

        Raises
        ------
        FlomoError
            If there is none, or it cannot be started.
        """
        self._check_none_runs()
        if self.training is None or self.training.state is State.DONE:
            raise FlomoError("There is no training to go on with; start one.")
        return self._follow(self.training.resumed(self._executable))

    def cancel(self) -> None:
        """Ask the training to stop; it ends within a second, and can be resumed."""
        if self.training is not None:
            self.training.job.cancel()

    def find_again(self) -> Training | None:
        """Take up the latest training of an earlier day, unless somebody decided about it."""
        for folder, request in all_trainings(self._folder()):
            job = detached.attach(folder)
            if job is None:
                continue
            training = Training(folder, request, job)
            return None if training.decision else self._follow(training)
        return None

    # What becomes of it

    def use(self, *, despite_gate: bool = False) -> str:
        """Let the candidate take the place of its parent; return its name.

        Raises
        ------
        FlomoError
            If the gate did not let it pass (unless ``despite_gate``, which is recorded), or its
            parent is not the model in use any more.
        """
        training = self._finished()
        promote(training.candidate, despite_gate=despite_gate)
        training.decide(USED)
        self.training = None
        self._tell()
        return training.candidate

    def keep_old(self) -> str:
        """Leave the parent in use; the candidate stays on the shelf. Return the parent's name."""
        training = self._finished()
        training.decide(KEPT_OLD)
        self.training = None
        self._tell()
        return training.request.base

    def drop(self) -> None:
        """Let go of a training that failed or was cancelled.

        Raises
        ------
        FlomoError
            If that cannot be written down.
        """
        if self.training is not None and self.training.state in (State.FAILED, State.CANCELLED):
            self.training.decide(DROPPED)
            self.training = None
            self._tell()

    @staticmethod
    def can_roll_back(model: str) -> bool:
        """Tell whether a model stands in the place of another one."""
        with suppress(FlomoError):
            return bool(_stack(model))
        return False

    def roll_back(self, model: str) -> str:
        """Go back to the model that was in use before; return its name.

        Raises
        ------
        FlomoError
            If nothing was promoted in its place.
        """
        back = rollback(model)
        self._tell()
        return back

    # Observers

    def subscribe(self, observer: Observer) -> Callable[[], None]:
        """Call ``observer()`` on every change; returns a function that ends it."""
        return self._observers.add(observer)

    def close(self, *, stop: bool = False) -> None:
        """Listen no more; a training that runs goes on, unless it is to stop."""
        self._closed = True
        self._observers.clear()
        if stop:
            self.cancel()
        if self._checking is not None:
            self._checking[1].close()
            self._checking = None

    def _follow(self, training: Training) -> Training:
        self.training = training
        training.job.on_progress(lambda _: self._dispatch(self._tell))
        training.job.on_end(lambda _: self._dispatch(self._tell))
        self._tell()
        return training

    def _checked(self, worker: Worker, job: Job) -> None:
        worker.close()
        if self._checking is None or self._checking[1] is not worker:
            return
        base, self._checking = self._checking[0], None
        if job.state is State.DONE:
            self.readiness = Readiness.of(job.result(0))
        elif job.problem is not None:
            self.readiness = Readiness(False, job.problem.sentence)
        if self._stale:
            self.check(base)
        self._tell()

    def _check_none_runs(self) -> None:
        if self.running:
            raise FlomoError("A training is under way; wait until it is done, or cancel it first.")

    def _finished(self) -> Training:
        if self.training is None or self.training.state is not State.DONE:
            raise FlomoError("There is no trained model to decide about.")
        return self.training

    def _learnt_until(self) -> int:
        """Return the number of the last correction that a finished training knew."""
        return max(
            (
                request.sequence
                for folder, request in all_trainings(self._folder())
                if (folder / "model" / "card.json").is_file()
            ),
            default=0,
        )

    def _tell(self) -> None:
        if not self._closed:
            self._observers.notify()


def _stack(model: str) -> list[str]:
    """Return what was promoted for a model, or on whose stack it is."""
    own = [one.name for one in promotions(model)]
    if own:
        return own
    base = promoted_for(model)
    return [] if base is None else [one.name for one in promotions(base)]


def _root(model: str) -> str:
    """Return the base model of a tuned one; any other model itself."""
    try:
        return base_of(card_of(model))
    except FlomoError:
        return model


def _at_once(action: Callable[[], None]) -> None:
    action()
