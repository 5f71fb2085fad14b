"""What the Learn panels of both viewers show and offer, and their messages."""

from __future__ import annotations

from dataclasses import dataclass

from napari_flomo.errors import FlomoError
from napari_flomo.jobs import Progress, State
from napari_flomo.session.learning.available import Readiness
from napari_flomo.session.learning.gate_report import GateSummary
from napari_flomo.session.learning.training_run import TrainingRun

NO_PROGRESS = Progress()
STOPPED = "The training was stopped; it can be resumed."


@dataclass(frozen=True)
class LearnState:
    """State of a Learn panel.

    Attributes
    ----------
    summary
        How many slices are available, whether they are enough, and what is missing.
    can_train
        Whether Train is enabled.
    running
        Whether a training is under way: progress and Cancel are shown.
    progress
        Steps done and in total, and the seconds left.
    can_resume
        Whether a training stopped that can be resumed or discarded.
    gate
        Report of the gate on a trained model; None while there is none.
    can_decide
        Whether a trained model awaits a decision.
    can_promote
        Whether the gate let it pass.
    can_roll_back
        Whether a promotion can be undone.
    outcome, level, details
        How the last training ended, in one sentence; ``"info"``, ``"warning"`` or ``"error"``; and
        the details of a problem.
    """

    summary: str
    can_train: bool = False
    running: bool = False
    progress: Progress = NO_PROGRESS
    can_resume: bool = False
    gate: GateSummary | None = None
    can_decide: bool = False
    can_promote: bool = False
    can_roll_back: bool = False
    outcome: str = ""
    level: str = "info"
    details: str = ""


def learn_state(
    run: TrainingRun | None,
    *,
    available: str,
    obstacle: str | None,
    readiness: Readiness | None,
    promoted: bool,
) -> LearnState:
    """Return the state of a panel.

    ``run`` is the training that is running or awaits a decision, ``available`` a sentence on the
    slices, ``obstacle`` why no training can be started on this computer, ``readiness`` the answer
    of the training package, and ``promoted`` whether a promotion can be undone.
    """
    running = run is not None and not run.state.final
    gate, outcome, level, details = None, "", "info", ""
    if run is not None and run.learnt_nothing:
        outcome = run.learnt_nothing
    elif run is not None and run.state is State.DONE:
        try:
            gate = run.gate()
            outcome = " ".join((gate.sentence, *gate.reasons))
        except FlomoError as error:
            outcome, level = str(error), "error"
    elif run is not None and run.state is State.CANCELLED:
        outcome = STOPPED
    elif run is not None and run.problem is not None:
        outcome, level, details = run.problem.sentence, "error", run.problem.details
    return LearnState(
        summary=_summary(available, obstacle, readiness),
        can_train=not running and obstacle is None and (readiness is None or readiness.ready),
        running=running,
        progress=NO_PROGRESS if run is None else run.progress,
        can_resume=run is not None and run.state in (State.FAILED, State.CANCELLED),
        gate=gate,
        can_decide=run is not None and run.state is State.DONE and not run.learnt_nothing,
        can_promote=gate is not None and gate.passed,
        can_roll_back=not running and promoted,
        outcome=outcome,
        level=level,
        details=details,
    )


def _summary(available: str, obstacle: str | None, readiness: Readiness | None) -> str:
    sentences = [available]
    if obstacle is not None:
        sentences.append(obstacle)
    elif readiness is not None:
        sentences += [readiness.sentence, *readiness.skipped]
    return " ".join(sentences)
