"""From accepted slices to a promoted model: count, train, compare, promote; without a window."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from napari_flomo import DEFAULT_MODEL
from napari_flomo.corrections import default_store
from napari_flomo.errors import FlomoError
from napari_flomo.jobs import FinetuneConfig, Job, State, Worker
from napari_flomo.models import (
    AUTOMATIC,
    base_of,
    in_use,
    promote,
    promoted_for,
    promotions,
    rollback,
)
from napari_flomo.session.learning.available import (
    AvailableSlices,
    Readiness,
    card_of,
    count_available,
)
from napari_flomo.session.learning.state import LearnState, learn_state
from napari_flomo.session.learning.training_run import (
    TrainingRequest,
    TrainingRun,
    all_runs,
    new_run,
    trainings_folder,
)
from napari_flomo.session.observers import Observers

# Decisions as saved on disk.
PROMOTED, KEPT_PARENT, DISCARDED = "used", "kept old", "dropped"

_PACKAGES = ("flomo_training", "lightning", "monai")

Dispatch = Callable[[Callable[[], None]], None]
Observer = Callable[[], None]


def missing_packages() -> str | None:
    """Return what to install before a training can be started here; None if nothing."""
    if all(find_spec(name) for name in _PACKAGES):
        return None
    return (
        'Learning needs the training package; install it with: pip install "napari-flomo[train]".'
    )


class Learning:
    """The accepted slices, and the training that is running or awaits a decision.

    A training has its own process and folder: it continues when the viewer closes, and the next
    viewer finds it.

    Parameters
    ----------
    dispatch
        As in `Session`: passes a function on to the viewer's thread. Observers are called there.
    store, folder
        Return the store of corrections and the folder of trainings; the user's own by default.
    worker
        Creates a worker whose Python has the training package; it is closed after each answer.
    executable
        The Python to train with; this one by default.
    obstacle
        Returns why no training can be started on this computer, and what to do; None if it can.
    """

    def __init__(
        self,
        dispatch: Dispatch | None = None,
        *,
        store: Callable[[], Path] = default_store,
        folder: Callable[[], Path] = trainings_folder,
        worker: Callable[[], Worker] = Worker,
        executable: str | None = None,
        obstacle: Callable[[], str | None] = missing_packages,
    ) -> None:
        self._dispatch = dispatch or (lambda action: action())
        self._store = store
        self._folder = folder
        self._make_worker = worker
        self._executable = executable
        self._find_obstacle = obstacle
        self._observers = Observers[[]]()
        self._checking: tuple[str, Worker] | None = None
        self._outdated = False
        self._closed = False
        self.obstacle = obstacle()
        self._available = ""
        self.readiness: Readiness | None = None
        self.training: TrainingRun | None = None
        self.attach_latest()

    @property
    def store(self) -> str:
        """Folder of the corrections."""
        return str(self._store())

    @property
    def running(self) -> bool:
        """Whether a training is under way."""
        return self.training is not None and not self.training.state.final

    def state(self, base: str) -> LearnState:
        """Return what a panel shows and offers; reads no correction, see `count`."""
        return learn_state(
            self.training,
            available=self._available,
            obstacle=self.obstacle,
            readiness=self.readiness,
            promoted=self.can_roll_back(base),
        )

    # Corrections

    @staticmethod
    def base(chosen: str | None = None) -> str:
        """Return the model to fine-tune: what is in use for the chosen model, or for the default.

        For a tuned model whose promotion was undone, this is what is in use for its base.
        """
        return in_use(_root(chosen or DEFAULT_MODEL))

    def available(self, base: str) -> AvailableSlices:
        """Count the accepted slices that a model can learn from; reads records only.

        Raises
        ------
        FlomoError
            If the model or the store cannot be read.
        """
        return count_available(self._store(), card_of(base), self._last_sequence())

    def count(self, base: str) -> None:
        """Update what is available and installed, for `state`; reads the disk."""
        self.obstacle = self._find_obstacle()
        try:
            self._available = self.available(base).sentence
        except FlomoError as error:
            self._available = str(error)

    def check(self, base: str) -> None:
        """Ask the training package whether there are enough corrections, in another process.

        Does not block. `readiness` is None until the answer arrives; then observers are notified.
        Does nothing while a training is running, or if there is nothing to learn from.
        """
        if self.obstacle is not None or self._closed or self.running or not self._any(base):
            return
        if self._checking is not None:
            if self._checking[0] == base:
                self._outdated = True  # there may be new corrections: ask again after this answer
                return
            self._checking[1].close()
        self._outdated = False
        self.readiness = None
        worker = self._make_worker()
        self._checking = base, worker
        job = worker.submit("readiness", FinetuneConfig(base, self.store).to_json())
        job.on_end(lambda job: self._dispatch(lambda: self._on_readiness(worker, job)))

    # Training

    def train(self, config: FinetuneConfig) -> TrainingRun:
        """Start a training.

        Raises
        ------
        FlomoError
            If one is running, there is nothing to learn from, a folder is missing, or no process
            can be started.
        """
        if self.obstacle is not None:
            raise FlomoError(self.obstacle)
        self._check_not_running()
        available = self.available(config.base)
        if not available.slices:
            raise FlomoError(available.sentence)
        for path, title in ((config.replay, "replay data"), (config.reference, "reference data")):
            if path and not Path(path).expanduser().exists():
                raise FlomoError(f"{path} does not exist; choose the {title} again.")
        request = TrainingRequest(**config.to_json(), sequence=available.sequence)
        return self._follow(new_run(request, self._folder()).start(self._executable))

    def resume(self) -> TrainingRun:
        """Resume a training that was cancelled or interrupted, from its last checkpoint.

        Raises
        ------
        FlomoError
            If there is none, or no process can be started.
        """
        self._check_not_running()
        if self.training is None or self.training.state is State.DONE:
            raise FlomoError("There is no training to resume; start one.")
        run = TrainingRun(self.training.folder, self.training.request)
        return self._follow(run.start(self._executable))

    def cancel(self) -> None:
        """Ask the training to stop; it ends within a second, and can be resumed."""
        if self.training is not None:
            self.training.cancel()

    def attach_latest(self) -> TrainingRun | None:
        """Follow the latest training that was started before, unless the user decided about it."""
        for run in all_runs(self._folder()):
            if run.attach():
                return None if run.decision or run.learnt_nothing else self._follow(run)
        return None

    # Decisions

    def promote(self, *, despite_gate: bool = False) -> str:
        """Replace the parent by the candidate and return the candidate's name.

        Raises
        ------
        FlomoError
            If the candidate did not pass the gate (unless ``despite_gate``, which is recorded), or
            its parent is no longer in use.
        """
        run = self._finished()
        candidate = run.candidate
        promote(candidate, despite_gate=despite_gate)
        self._decide(run, PROMOTED)
        return candidate

    def keep_parent(self) -> str:
        """Keep the parent in use and return its name; the candidate stays installed."""
        run = self._finished()
        self._decide(run, KEPT_PARENT)
        return run.request.base

    def discard(self) -> None:
        """Forget a training that failed or was cancelled.

        Raises
        ------
        FlomoError
            If that cannot be recorded.
        """
        if self.training is not None and self.training.state in (State.FAILED, State.CANCELLED):
            self._decide(self.training, DISCARDED)

    @staticmethod
    def can_roll_back(model: str) -> bool:
        """Return True if a model was promoted in place of another."""
        with suppress(FlomoError):
            return bool(_promotions_of(model))
        return False

    def roll_back(self, model: str) -> str:
        """Undo the last promotion and return the model that is in use again.

        Raises
        ------
        FlomoError
            If there was no promotion.
        """
        previous = rollback(model)
        self._notify()
        return previous

    # Observers

    def subscribe(self, observer: Observer) -> Callable[[], None]:
        """Call ``observer()`` on every change; returns a function that ends this."""
        return self._observers.add(observer)

    def close(self, *, stop: bool = False) -> None:
        """Stop following; a running training continues, unless ``stop`` is set."""
        self._closed = True
        self._observers.clear()
        if stop:
            self.cancel()
        if self._checking is not None:
            self._checking[1].close()
            self._checking = None

    def _follow(self, run: TrainingRun) -> TrainingRun:
        self.training = run
        run.on_progress(lambda _: self._dispatch(self._notify))
        run.on_end(lambda _: self._dispatch(self._notify))
        self._notify()
        return run

    def _decide(self, run: TrainingRun, decision: str) -> None:
        run.decide(decision)
        self.training = None
        self._notify()

    def _on_readiness(self, worker: Worker, job: Job) -> None:
        worker.close()
        if self._checking is None or self._checking[1] is not worker:
            return
        base, self._checking = self._checking[0], None
        if job.state is State.DONE:
            self.readiness = Readiness.from_json(job.result(0))
        elif job.problem is not None:
            self.readiness = Readiness(False, job.problem.sentence)
        if self._outdated:
            self.check(base)
        self._notify()

    def _any(self, base: str) -> bool:
        with suppress(FlomoError):
            return self.available(base).slices > 0
        return False

    def _check_not_running(self) -> None:
        if self.running:
            raise FlomoError("A training is under way; wait until it is done, or cancel it first.")

    def _finished(self) -> TrainingRun:
        if self.training is None or not self.training.candidate:
            raise FlomoError("There is no trained model to decide about.")
        return self.training

    def _last_sequence(self) -> int:
        """Return the number of the last correction that a finished training knew."""
        finished = (
            run.request.sequence
            for run in all_runs(self._folder())
            if (run.folder / "model" / "card.json").is_file()
        )
        return max(finished, default=0)

    def _notify(self) -> None:
        if not self._closed:
            self._observers.notify()


def _promotions_of(model: str) -> list[str]:
    """Return what was promoted for a model, or for the base that it was promoted for."""
    own = [one.name for one in promotions(model)]
    if own:
        return own
    base = promoted_for(model)
    return [] if base is None else [one.name for one in promotions(base)]


def _root(model: str) -> str:
    """Return the base model of a tuned one; any other model itself."""
    if model == AUTOMATIC:
        return DEFAULT_MODEL
    try:
        return base_of(card_of(model))
    except FlomoError:
        return model
