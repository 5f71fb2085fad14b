"""A training on the disk: what was asked for, how far it is, what was decided about it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_flomo.errors import FlomoError
from napari_flomo.files import atomic_write
from napari_flomo.jobs import Job, Problem, Progress, State, detached
from napari_flomo.models.schema import SchemaFault, decode, encode, read_json
from napari_flomo.paths import data_folder
from napari_flomo.session.learning.gate_report import Judgement, read_judgement

REQUEST = "request.json"
DECISION = "decision.json"
REPORT = Path("model") / "gate" / "report.json"

SCHEMA = 1


def trainings_folder() -> Path:
    """Return the folder of all trainings: ``trainings`` in the user's data folder."""
    return data_folder() / "trainings"


@dataclass(frozen=True)
class Request:
    """What a training was started with.

    Attributes
    ----------
    base
        Name of the model to start from.
    store
        Folder of the corrections.
    sequence
        `Waiting.sequence` when it began.
    replay, reference
        Folders of data of the base task: to rehearse, and to be judged on.
    device
        ``"auto"``, ``"cpu"`` or ``"cuda"``.
    settings
        YAML file with other numbers than the package's.
    """

    base: str
    store: str
    sequence: int = 0
    replay: str | None = None
    reference: str | None = None
    device: str = "auto"
    settings: str | None = None
    schema: int = SCHEMA

    def arguments(self, out: Path) -> list[str]:
        """Return the command that does it."""
        told = ["finetune", "--store", self.store, "--base", self.base, "--out", str(out)]
        told += ["--device", self.device, "--resume"]  # without a checkpoint it begins anew
        for option in ("replay", "reference", "settings"):
            value = getattr(self, option)
            if value:
                told += [f"--{option}", value]
        return told


@dataclass(frozen=True)
class Point:
    """A point of the curves.

    Attributes
    ----------
    step
        Of the training.
    loss, dice
        On the slices that are learnt, and on those that are held out; None where not measured.
    """

    step: int
    loss: float | None
    dice: float | None


class Training:
    """One training in a folder of its own; it goes on without this program.

    Attributes
    ----------
    folder
        With request, checkpoints, curves, candidate and decision.
    request
        What it was started with.
    job
        Its progress and end.
    """

    def __init__(self, folder: Path, request: Request, job: Job) -> None:
        self.folder = folder
        self.request = request
        self.job = job

    @classmethod
    def start(cls, request: Request, parent: Path, executable: str | None = None) -> Training:
        """Start a training in a new folder.

        Raises
        ------
        FlomoError
            If the folder cannot be written, or no process can be started.
        """
        folder = _new_folder(parent)
        with atomic_write(folder / REQUEST) as temporary:
            temporary.write_text(json.dumps(encode(request), indent=1) + "\n", encoding="utf-8")
        job = detached.start(request.arguments(folder), folder, executable)
        return cls(folder, request, job)

    def resumed(self, executable: str | None = None) -> Training:
        """Go on where it was cancelled or cut off.

        Raises
        ------
        FlomoError
            If it still runs, or no process can be started.
        """
        job = detached.start(self.request.arguments(self.folder), self.folder, executable)
        return Training(self.folder, self.request, job)

    @property
    def state(self) -> State:
        """How far it is."""
        return self.job.state

    @property
    def progress(self) -> Progress:
        """Steps done and in total, and the seconds left."""
        return self.job.progress

    @property
    def problem(self) -> Problem | None:
        """Why it failed, or None."""
        return self.job.problem

    @property
    def result(self) -> Mapping[str, Any] | None:
        """What it returned: ``candidate``, ``parent``, ``gate``, ...; None before the end."""
        if self.job.state is not State.DONE:
            return None
        told: Mapping[str, Any] = self.job.result(0)
        return told

    @property
    def candidate(self) -> str:
        """Name of the tuned model; empty before the end."""
        result = self.result
        return "" if result is None else str(result.get("candidate", ""))

    def points(self) -> list[Point]:
        """Return the curves so far, by step; what was told before somebody listened counts, too."""
        found = {point.step: point for point in _points(self.folder / detached.PROGRESS)}
        return [found[step] for step in sorted(found)]

    def judgement(self) -> Judgement:
        """Read what the gate found.

        Raises
        ------
        FlomoError
            If there is no report that can be read.
        """
        return read_judgement(self.folder / REPORT)

    @property
    def decision(self) -> str:
        """``"used"``, ``"kept old"``, ``"dropped"``, or empty while nobody has decided."""
        try:
            return str(json.loads((self.folder / DECISION).read_text(encoding="utf-8"))["decision"])
        except (OSError, ValueError, LookupError, TypeError):
            return ""

    def decide(self, decision: str) -> None:
        """Write down what became of the candidate, so that nobody is asked again.

        Raises
        ------
        FlomoError
            If it cannot be written.
        """
        with atomic_write(self.folder / DECISION) as temporary:
            told = {"decision": decision, "model": self.candidate}
            temporary.write_text(json.dumps(told) + "\n", encoding="utf-8")


def all_trainings(parent: Path) -> Iterator[tuple[Path, Request]]:
    """Yield folder and request of every training, the latest first; damaged ones are left out."""
    for folder in sorted(_numbered(parent), reverse=True):
        try:
            yield folder, decode(Request, read_json(folder / REQUEST))
        except (OSError, SchemaFault):
            continue


def _numbered(parent: Path) -> list[Path]:
    try:
        return [path for path in parent.iterdir() if path.name.isdecimal() and path.is_dir()]
    except OSError:
        return []


def _new_folder(parent: Path) -> Path:
    """Make the folder of the next number; two programs at once get two numbers."""
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
        raise FlomoError(
            f"No training can be kept in {parent}: {error.strerror or error}."
        ) from error


def _points(path: Path) -> Iterator[Point]:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        try:
            data = json.loads(line).get("data")
            if data:
                yield Point(int(data["step"]), _float(data.get("loss")), _float(data.get("dice")))
        except (ValueError, LookupError, TypeError, AttributeError):
            continue


def _float(value: Any) -> float | None:
    return None if value is None else float(value)
