"""Long work that outlives the viewer: a program of its own, followed through a file.

The program writes what a `Worker`'s child says on stdout, line by line, to ``progress.jsonl`` in
its folder. A viewer reads that file, so it may come later, go away, or be another one. Whether the
program still runs is told by ``process.json``: its number, and when it started, because the system
gives the number of a program that has ended to another one.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from napari_flomo.errors import Cancelled, FlomoError
from napari_flomo.files import atomic_write
from napari_flomo.jobs.child import environment
from napari_flomo.jobs.identity import started_at
from napari_flomo.jobs.job import Job, Problem, State
from napari_flomo.jobs.protocol import from_line, to_line
from napari_flomo.jobs.worker import PATIENCE

PROGRESS = "progress.jsonl"
PROCESS = "process.json"
CANCEL = "cancel"
LOG = "log.txt"

# -P: a torch.py in the folder where the viewer was started must not be imported.
PROGRAM = ("-P", "-m", "napari_flomo")

LOOK_EVERY = 0.1
"""Seconds between two looks at the file."""

Describe = Callable[[BaseException], Mapping[str, Any]]


class StatusWriter:
    """The program's side: tells what happens in a folder, until it ends.

    Used as a context: how the block ends is told, too.

    Parameters
    ----------
    folder
        Of the work; made when missing.
    describe
        Gives ``sentence``, ``details`` and ``problem`` of a failure.

    Raises
    ------
    FlomoError
        If a program works in this folder already, or it cannot be written.
    """

    def __init__(self, folder: Path, describe: Describe) -> None:
        self.folder = folder
        self._describe = describe
        self._file: IO[bytes] | None = None
        self._result: Mapping[str, Any] | None = None

    def report(
        self,
        done: int,
        total: int,
        seconds_left: float | None = None,
        message: str = "",
        data: Mapping[str, Any] | None = None,
    ) -> None:
        """Tell how far the work is."""
        told = {"done": done, "total": total, "seconds_left": seconds_left, "message": message}
        with suppress(OSError):  # a full disk: the work itself will say so
            self._say("progress", **told, **({} if data is None else {"data": data}))

    def cancelled(self) -> bool:
        """Tell whether somebody asked the work to stop."""
        return (self.folder / CANCEL).exists()

    def finish(self, result: Mapping[str, Any]) -> None:
        """Keep the result, which is told when the block ends well."""
        self._result = result

    def __enter__(self) -> StatusWriter:
        other = running(self.folder)
        if other is not None and other != os.getpid():
            raise FlomoError(
                f"A program works in {self.folder} already; wait for it, or choose another folder."
            )
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / CANCEL).unlink(missing_ok=True)
            self._file = (self.folder / PROGRESS).open("ab", buffering=0)
            if self._file.tell():
                self._file.write(b"\n")  # a line that a killed program left half-done ends here
        except OSError as error:
            reason = error.strerror or error
            raise FlomoError(f"The folder {self.folder} cannot be used: {reason}.") from error
        _announce(self.folder, os.getpid())
        self._say("started")
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        with suppress(OSError):
            if error is None:
                self._say("result", result=self._result or {})
            elif isinstance(error, Cancelled | KeyboardInterrupt | SystemExit):
                self._say("cancelled")
            else:
                self._say("failed", **self._describe(error))
        if self._file is not None:
            self._file.close()
        (self.folder / CANCEL).unlink(missing_ok=True)
        (self.folder / PROCESS).unlink(missing_ok=True)

    def _say(self, kind: str, **content: Any) -> None:
        assert self._file is not None
        # One write of one line: who reads at the same time sees all of it or sees it has no end.
        self._file.write(to_line({"kind": kind, **content}).encode() + b"\n")


def start(
    arguments: Sequence[str],
    folder: Path,
    executable: str | os.PathLike[str] | None = None,
    program: Sequence[str] = PROGRAM,
) -> Job:
    """Start ``python -m napari_flomo ARGUMENTS`` as a program of its own, and follow it.

    It goes on when this program ends. Its words on stdout and stderr go to ``log.txt``.

    Parameters
    ----------
    arguments
        A command that uses `StatusWriter`, such as ``("finetune", "--out", ...)``.
    folder
        Where it works: the same that the command is told.
    executable
        The Python to run it; this one by default.
    program
        What that Python runs, before the arguments; this package by default.

    Returns
    -------
    Job
        As a `Worker` gives it: progress, result, cancel.

    Raises
    ------
    FlomoError
        If a program works in this folder already, or none can be started.
    """
    if running(folder) is not None:
        raise FlomoError(f"A program works in {folder} already; wait for it, or cancel it first.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        progress = folder / PROGRESS
        begin = progress.stat().st_size if progress.exists() else 0
        with (folder / LOG).open("ab") as log:
            process = subprocess.Popen(
                [os.fspath(executable or sys.executable), *program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment(),
                start_new_session=os.name != "nt",
                creationflags=_OF_ITS_OWN,
            )
        _announce(folder, process.pid)
    except OSError as error:
        reason = error.strerror or error
        raise FlomoError(f"The training could not be started: {reason}.") from error
    # Reaps the child when it ends; else its number would count as running for ever.
    threading.Thread(target=process.wait, daemon=True).start()
    return _follow(folder, begin, process.pid)


def attach(folder: Path) -> Job | None:
    """Follow the work in a folder, whoever started it: under way, ended, or cut off.

    Returns
    -------
    Job or None
        All of its progress is told again. None if nothing ever worked there.
    """
    if not (folder / PROGRESS).exists() and running(folder) is None:
        return None
    return _follow(folder, 0, running(folder))


def running(folder: Path) -> int | None:
    """Return the number of the process that works in a folder, or None."""
    try:
        told = json.loads((folder / PROCESS).read_text(encoding="utf-8"))
        number, begun = int(told["pid"]), told["started"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return number if begun is not None and started_at(number) == begun else None


def _announce(folder: Path, number: int) -> None:
    with atomic_write(folder / PROCESS) as temporary:
        temporary.write_text(
            json.dumps({"pid": number, "started": started_at(number)}), encoding="utf-8"
        )


def _follow(folder: Path, begin: int, number: int | None) -> Job:
    job = Job(number or 0, "finetune", lambda _job: _cancel(folder))
    threading.Thread(target=_listen, args=(job, folder, begin), daemon=True).start()
    return job


def _cancel(folder: Path) -> None:
    """Ask the program to stop; `_listen` ends it if it does not."""
    with suppress(OSError):
        (folder / CANCEL).touch()


def _listen(job: Job, folder: Path, begin: int) -> None:
    """Pass on what the program tells, until it ends; in a thread of its own."""
    position, rest, last, asked = begin, b"", None, 0.0
    while True:
        alive = running(folder)  # before reading: what it told before it ended is then read
        new = _read(folder / PROGRESS, position)
        position += len(new)
        *lines, rest = (rest + new).split(b"\n")
        for line in lines:
            message = from_line(line.decode("utf-8", "replace"))
            if message is None:
                continue
            last = message if message.get("kind") != "progress" else None
            _tell(job, message)
        if alive is None:
            break
        if job.cancelling:
            asked = asked or time.monotonic()
            if time.monotonic() - asked > PATIENCE:
                _kill(folder, alive)
        time.sleep(LOOK_EVERY)
    _end(job, last or {}, folder)


def _tell(job: Job, message: Mapping[str, Any]) -> None:
    if message.get("kind") == "started":
        job._report(0, 0, None, "")
    elif message.get("kind") == "progress":
        job._report(
            int(message.get("done", 0)),
            int(message.get("total", 0)),
            message.get("seconds_left"),
            str(message.get("message", "")),
            message.get("data"),
        )


def _end(job: Job, last: Mapping[str, Any], folder: Path) -> None:
    """Settle a job by the last words of its program, or by its silence."""
    kind = last.get("kind")
    if kind == "result":
        job._end(State.DONE, last.get("result") or {})
    elif kind == "failed":
        problem = Problem(
            str(last.get("sentence", "")),
            str(last.get("details", "")),
            str(last.get("problem", "bug")),
        )
        job._end(State.FAILED, problem=problem)
    elif kind == "cancelled" or job.cancelling:
        job._end(State.CANCELLED)
    else:
        sentence = "The training was cut off; it can go on where it was."
        job._end(State.FAILED, problem=Problem(sentence, _last_words(folder), "died"))


def _kill(folder: Path, number: int) -> None:
    if running(folder) == number:
        with suppress(OSError):
            os.kill(number, getattr(signal, "SIGKILL", signal.SIGTERM))


def _read(path: Path, position: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(position)
            return file.read()
    except OSError:
        return b""


def _last_words(folder: Path) -> str:
    words = _read(folder / LOG, 0).decode("utf-8", "replace").splitlines()
    return "\n".join(words[-60:])


_OF_ITS_OWN = getattr(subprocess, "CREATE_NO_WINDOW", 0) | getattr(
    subprocess, "CREATE_NEW_PROCESS_GROUP", 0
)
