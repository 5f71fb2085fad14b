"""Long work that outlives the viewer: a separate process, followed through files in its folder.

The process appends the messages of `napari_flomo.jobs.protocol` to ``progress.jsonl``. A viewer
reads this file, so it may start later, close, or be another viewer. ``process.json`` has the id of
the process and when it started, because the system reuses the ids of processes that have ended.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from napari_flomo.errors import Cancelled, FlomoError, Problem, describe, reason_of
from napari_flomo.files import atomic_write
from napari_flomo.jobs.child import environment
from napari_flomo.jobs.job import Job, State
from napari_flomo.jobs.process_start import started_at
from napari_flomo.jobs.protocol import (
    from_line,
    problem_message,
    problem_of,
    progress_message,
    progress_of,
    to_line,
)
from napari_flomo.jobs.worker import CANCEL_GRACE_SECONDS
from napari_flomo.progress import Progress

PROGRESS = "progress.jsonl"
PROCESS = "process.json"
CANCEL = "cancel"
LOG = "log.txt"
LOG_LINES = 60
"""How much of the log is kept for a bug report."""

# -P: a torch.py in the folder where the viewer was started must not be imported.
PROGRAM = ("-P", "-m", "napari_flomo")

POLL_SECONDS = 0.1


class StatusWriter:
    """Writes the status of this process into its folder; used as a context.

    The end of the block is written, too: the result, a failure or a cancel.

    Parameters
    ----------
    folder
        Folder of the work; created if missing.

    Raises
    ------
    FlomoError
        If a process is working in this folder already, or it cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file: IO[bytes] | None = None
        self._result: Mapping[str, Any] | None = None

    def progress(self, progress: Progress) -> None:
        """Write the progress; a `ProgressCallback`."""
        with suppress(OSError):  # a full disk: the work itself will fail and say so
            self._write("progress", **progress_message(progress))

    def cancelled(self) -> bool:
        """Return True if a stop was requested."""
        return (self.folder / CANCEL).exists()

    def finish(self, result: Mapping[str, Any]) -> None:
        """Set the result, which is written when the block ends without an error."""
        self._result = result

    def __enter__(self) -> StatusWriter:
        other = running(self.folder)
        if other is not None and other != os.getpid():
            raise _in_use(self.folder, "choose another folder")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / CANCEL).unlink(missing_ok=True)
            self._file = (self.folder / PROGRESS).open("ab", buffering=0)
            if self._file.tell():
                self._file.write(b"\n")  # ends a line that a killed process left half-written
        except OSError as error:
            reason = reason_of(error)
            raise FlomoError(f"The folder {self.folder} cannot be used: {reason}.") from error
        _write_process(self.folder, os.getpid())
        self._write("started")
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        with suppress(OSError):
            if error is None:
                self._write("result", result=self._result or {})
            elif isinstance(error, Cancelled | KeyboardInterrupt | SystemExit):
                self._write("cancelled")
            else:
                self._write("failed", **problem_message(describe(error)))
        if self._file is not None:
            self._file.close()
        (self.folder / CANCEL).unlink(missing_ok=True)
        (self.folder / PROCESS).unlink(missing_ok=True)

    def _write(self, kind: str, **content: Any) -> None:
        assert self._file is not None
        # One write per line: a reader sees all of it, or sees that it has no end.
        self._file.write(to_line({"kind": kind, **content}).encode() + b"\n")


def start(
    arguments: Sequence[str],
    folder: Path,
    executable: str | os.PathLike[str] | None = None,
    program: Sequence[str] = PROGRAM,
    job: Job | None = None,
) -> Job:
    """Start ``python -m napari_flomo ARGUMENTS`` as a separate process, and follow it.

    It continues when this program ends. Its stdout and stderr go to ``log.txt``.

    Parameters
    ----------
    arguments
        A command that uses `StatusWriter`, such as ``("finetune", "--out", ...)``.
    folder
        Folder of the work, the same as in the command.
    executable
        The Python to run it; this one by default.
    program
        Arguments of that Python before the command; this package by default.
    job
        A new job to report to; created by default.

    Returns
    -------
    Job
        With progress, result and cancel, as from a `Worker`.

    Raises
    ------
    FlomoError
        If a process is working in this folder already, or none can be started.
    """
    if running(folder) is not None:
        raise _in_use(folder, "cancel it first")
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
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0)
                | getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            )
        _write_process(folder, process.pid)
    except OSError as error:
        raise FlomoError(f"The training could not be started: {reason_of(error)}.") from error
    # Reaps the process when it ends; a zombie would count as running.
    threading.Thread(target=process.wait, daemon=True).start()
    return _follow(folder, begin, process.pid, job)


def attach(folder: Path, job: Job | None = None) -> Job | None:
    """Follow the work in a folder, whether running, ended or interrupted.

    Returns
    -------
    Job or None
        ``job``, or a new one, to which all progress so far is reported again. None if nothing ever
        ran in this folder.
    """
    if not (folder / PROGRESS).exists() and running(folder) is None:
        return None
    return _follow(folder, 0, running(folder), job)


def running(folder: Path) -> int | None:
    """Return the id of the process that is working in a folder, or None."""
    try:
        content = json.loads((folder / PROCESS).read_text(encoding="utf-8"))
        pid, started = int(content["pid"]), content["started"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return pid if started is not None and started_at(pid) == started else None


def _in_use(folder: Path, advice: str) -> FlomoError:
    return FlomoError(f"Another process is working in {folder}; wait for it, or {advice}.")


def _write_process(folder: Path, pid: int) -> None:
    with atomic_write(folder / PROCESS) as temporary:
        temporary.write_text(json.dumps({"pid": pid, "started": started_at(pid)}), encoding="utf-8")


def _follow(folder: Path, begin: int, pid: int | None, job: Job | None) -> Job:
    job = job or Job("finetune")
    job._start(pid or 0, lambda _job: _cancel(folder))
    threading.Thread(target=_read_until_end, args=(job, folder, begin), daemon=True).start()
    return job


def _cancel(folder: Path) -> None:
    """Ask the process to stop; `_read_until_end` kills it if it does not."""
    with suppress(OSError):
        (folder / CANCEL).touch()


def _read_until_end(job: Job, folder: Path, begin: int) -> None:
    """Report what the process writes, until it ends; runs in a thread."""
    position, rest, last, cancelled_at = begin, b"", None, 0.0
    while True:
        alive = running(folder)  # before reading, so that nothing is missed
        new = _read(folder / PROGRESS, position)
        position += len(new)
        *lines, rest = (rest + new).split(b"\n")
        for line in lines:
            message = from_line(line.decode("utf-8", "replace"))
            if message is None:
                continue
            last = message if message.get("kind") != "progress" else None
            if message.get("kind") in ("started", "progress"):
                job._report(progress_of(message))
        if alive is None:
            break
        if job.cancelling:
            cancelled_at = cancelled_at or time.monotonic()
            if time.monotonic() - cancelled_at > CANCEL_GRACE_SECONDS:
                _kill(folder, alive)
        time.sleep(POLL_SECONDS)
    _end(job, last or {}, folder)


def _end(job: Job, last: Mapping[str, Any], folder: Path) -> None:
    """End a job according to the last message of its process, or the lack of one."""
    kind = last.get("kind")
    if kind == "result":
        job._end(State.DONE, last.get("result") or {})
    elif kind == "failed":
        job._end(State.FAILED, problem=problem_of(last))
    elif kind == "cancelled" or job.cancelling:
        job._end(State.CANCELLED)
    else:
        sentence = "The training was interrupted; it can be resumed."
        job._end(State.FAILED, problem=Problem(sentence, _end_of_log(folder), "died"))


def _kill(folder: Path, pid: int) -> None:
    if running(folder) == pid:
        with suppress(OSError):
            os.kill(pid, getattr(signal, "SIGKILL", signal.SIGTERM))


def _read(path: Path, position: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(position)
            return file.read()
    except OSError:
        return b""


def _end_of_log(folder: Path) -> str:
    lines = _read(folder / LOG, 0).decode("utf-8", "replace").splitlines()
    return "\n".join(lines[-LOG_LINES:])
