"""A fine-tuning run on disk: request, progress, and the user's decision about the result."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_flomo.errors import FlomoError, reason_of
from napari_flomo.files import atomic_write
from napari_flomo.jobs import FinetuneConfig, Job, State, detached
from napari_flomo.paths import data_folder
from napari_flomo.schema import SchemaError, decode, encode, read_json
from napari_flomo.session.learning.gate_report import GateSummary, read_gate_report

REQUEST = "request.json"
DECISION = "decision.json"
REPORT = Path("model") / "gate" / "report.json"

SCHEMA = 1

READING_SECONDS = 2.0
"""Longest wait for the result of a training that has ended, which is read in a thread."""


def trainings_folder() -> Path:
    """Return the folder of all runs: ``trainings`` in the user's data folder."""
    return data_folder() / "trainings"


@dataclass(frozen=True)
class TrainingRequest(FinetuneConfig):
    """The `FinetuneConfig` of a run with the version of the file, which is ``request.json``.

    ``sequence`` is the number of the last change of the store that the run knows.
    """

    sequence: int = 0
    schema: int = SCHEMA


@dataclass(frozen=True)
class CurvePoint:
    """Loss, and Dice on the held-out slices, after a training step; None where not measured."""

    step: int
    loss: float | None
    dice: float | None


class TrainingRun(Job):
    """A fine-tuning run in its own folder and process; it continues without this program.

    The folder has request, checkpoints, curves, candidate and decision.
    """

    def __init__(self, folder: Path, request: TrainingRequest) -> None:
        super().__init__("finetune")
        self.folder = folder
        self.request = request

    def start(self, executable: str | None = None) -> TrainingRun:
        """Start the process, which resumes from the last checkpoint if there is one.

        Raises `FlomoError` if the run is in progress, or no process can be started.
        """
        detached.start(self.request.options(self.folder), self.folder, executable, job=self)
        return self

    def attach(self) -> bool:
        """Follow the process that was started before; return False if none ever was.

        If it has ended, its result is read before this returns.
        """
        if detached.attach(self.folder, self) is None:
            return False
        if detached.running(self.folder) is None:
            self.wait(READING_SECONDS)
        return True

    @property
    def candidate(self) -> str:
        """Name of the tuned model; empty before the end, and if there was nothing to learn."""
        return str(self.result(0).get("candidate") or "") if self.state is State.DONE else ""

    @property
    def learnt_nothing(self) -> str:
        """A sentence if the training ended without a tuned model, because none is better."""
        if self.state is not State.DONE or self.candidate:
            return ""
        return str(self.result(0).get("sentence") or "")

    def points(self) -> list[CurvePoint]:
        """Return the curves so far, ordered by step, from the beginning of the run."""
        points = {point.step: point for point in _read_points(self.folder / detached.PROGRESS)}
        return [points[step] for step in sorted(points)]

    def gate(self) -> GateSummary:
        """Read the report of the gate; raise `FlomoError` if there is no readable report."""
        return read_gate_report(self.folder / REPORT)

    @property
    def decision(self) -> str:
        """``"used"``, ``"kept old"`` or ``"dropped"``; empty while the user has not decided."""
        try:
            return str(json.loads((self.folder / DECISION).read_text(encoding="utf-8"))["decision"])
        except (OSError, ValueError, LookupError, TypeError):
            return ""

    def decide(self, decision: str) -> None:
        """Record the user's decision, so that the run is not offered again.

        Raises `FlomoError` if it cannot be written.
        """
        _write_json(self.folder / DECISION, {"decision": decision, "model": self.candidate})


def new_run(request: TrainingRequest, parent: Path) -> TrainingRun:
    """Create the folder of a new run; raise `FlomoError` if it cannot be written."""
    folder = _new_folder(parent)
    _write_json(folder / REQUEST, encode(request))
    return TrainingRun(folder, request)


def all_runs(parent: Path) -> Iterator[TrainingRun]:
    """Yield all runs, the latest first; damaged ones are left out."""
    for folder in sorted(_numbered(parent), reverse=True):
        try:
            yield TrainingRun(folder, decode(TrainingRequest, read_json(folder / REQUEST)))
        except (OSError, SchemaError):
            continue


def _write_json(path: Path, content: Any) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _numbered(parent: Path) -> list[Path]:
    try:
        return [path for path in parent.iterdir() if path.name.isdecimal() and path.is_dir()]
    except OSError:
        return []


def _new_folder(parent: Path) -> Path:
    """Create the folder of the next number; two programs never get the same."""
    try:
        parent.mkdir(parents=True, exist_ok=True)
        number = max((int(path.name) for path in _numbered(parent)), default=0)
        while True:
            number += 1
            folder = parent / f"{number:06}"
            try:
                folder.mkdir(mode=0o700)
            except FileExistsError:
                continue
            return folder
    except OSError as error:
        raise FlomoError(f"No training can be saved in {parent}: {reason_of(error)}.") from error


def _read_points(path: Path) -> Iterator[CurvePoint]:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        try:
            data = json.loads(line).get("data")
            if data:
                loss, dice = _float(data.get("loss")), _float(data.get("dice"))
                yield CurvePoint(int(data["step"]), loss, dice)
        except (ValueError, LookupError, TypeError, AttributeError):
            continue


def _float(value: Any) -> float | None:
    return None if value is None else float(value)
