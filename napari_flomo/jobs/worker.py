"""A warm child process that does one job at a time."""

from __future__ import annotations

import errno
import shutil
import tempfile
import threading
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from napari_flomo.errors import FlomoError, Problem, describe, how_it_ended, reason_of
from napari_flomo.jobs.child import Process, Spawn, python_spawner
from napari_flomo.jobs.job import Busy, Job, State
from napari_flomo.jobs.protocol import from_line, problem_of, progress_of, to_line

CANCEL_GRACE_SECONDS = 0.7
"""Time that a cancelled child has to answer before it is killed."""

_TITLES = {
    "segment": "A segmentation",
    "learn_study": "Learning from a study",
    "pull": "The download of a model",
}

Pack = Callable[[Path], Mapping[str, Any] | None]
Unpack = Callable[[Path, Mapping[str, Any]], Any]


class Worker:
    """Runs tasks in a child process, which is started by the first task and stays warm.

    Parameters
    ----------
    spawn
        Starts the child; by default with this Python. See `Spawn`.
    cancel_grace
        Seconds that a cancelled child has to answer before it is killed.

    Notes
    -----
    No method blocks: the child, the files and all waiting belong to other threads. `close` the
    worker (or use it as a context) when the host ends; if the host is killed, the child ends by
    itself.
    """

    def __init__(
        self, spawn: Spawn | None = None, cancel_grace: float = CANCEL_GRACE_SECONDS
    ) -> None:
        self._spawn = spawn or python_spawner()
        self._cancel_grace = cancel_grace
        self._lock = threading.RLock()
        self._child: _Child | None = None
        self._request: _Request | None = None
        self._count = 0
        self._closed = False

    @property
    def job(self) -> Job | None:
        """The job in progress, or None."""
        request = self._request
        return None if request is None else request.job

    def submit(
        self,
        job: Job | str,
        arguments: Mapping[str, Any] | None = None,
        *,
        pack: Pack | None = None,
        unpack: Unpack | None = None,
    ) -> Job:
        """Start a job.

        Parameters
        ----------
        job
            Name of a task of `napari_flomo.jobs.tasks`, or a new `Job` of one.
        arguments
            Arguments of the task, of plain JSON types.
        pack
            Called as ``pack(folder)`` before the task starts, to write arrays into the folder of
            the job; returns further arguments. Runs in another thread.
        unpack
            Called as ``unpack(folder, result)`` to read arrays from the folder; returns the result
            of the job. Runs in another thread.

        Returns
        -------
        Job
            The started job. Its folder is removed when it ends.

        Raises
        ------
        Busy
            If another job is in progress.
        FlomoError
            If the worker was closed.
        """
        job = Job(job) if isinstance(job, str) else job
        with self._lock:
            if self._closed:
                raise FlomoError("The worker was closed; open the panel again.")
            if self._request is not None:
                title = _TITLES.get(self._request.job.task, "Other work")
                raise Busy(f"{title} is under way; wait until it is done, or cancel it first.")
            self._count += 1
            job._start(self._count, self._cancel)
            request = self._request = _Request(job, dict(arguments or {}), pack, unpack)
        threading.Thread(target=self._begin, args=(request,), daemon=True).start()
        return job

    def preload(self, model: str, device: str = "auto") -> None:
        """Let an idle child, started if there is none, load a model: the first job starts faster.

        Does not block. Problems with the model are reported when it is used.
        """

        def load() -> None:
            with suppress(OSError), self._lock:
                if self._request is None and not self._closed:
                    child = self._living_child()
                    child.send({"preload": {"model": model, "device": device}})

        threading.Thread(target=load, daemon=True).start()

    def close(self) -> None:
        """Cancel the job in progress and let the child end."""
        with self._lock:
            self._closed = True
            request, child, self._child = self._request, self._child, None
        if request is not None:
            request.job.cancel()
            self._end(request, State.CANCELLED)
        if child is not None:
            child.close()
            _later(self._cancel_grace, child.kill)

    def _begin(self, request: _Request) -> None:
        """Pack, start a child if there is none, and send it the request; runs in a thread."""
        try:
            folder = request.folder = Path(tempfile.mkdtemp(prefix="flomo-job-"))
            if request.pack is not None:
                request.arguments.update(request.pack(folder) or {})
            message = {
                "id": request.job.id,
                "task": request.job.task,
                "arguments": request.arguments,
                "folder": str(folder),
            }
            to_line(message)  # arguments that are not JSON must not cost a child
            with self._lock:
                if not (request.job.cancelling or self._closed):
                    request.child = self._living_child()
                    request.child.request, request.child.folder = request, folder
            if request.child is None:
                self._end(request, State.CANCELLED)
            else:
                request.child.send(message)
                self._send_cancel(request)
        except BrokenPipeError:
            return  # the child died at this moment; `_on_exit` reports how
        except Exception as error:
            self._end(request, State.FAILED, problem=_problem_of_host(error))
        finally:
            if request.over:  # it ended while the folder was being filled
                _remove(request.folder)

    def _living_child(self) -> _Child:
        """Return the child, started if there is none; the lock is held."""
        if self._child is None:
            self._child = child = _Child()
            try:
                child.process = self._spawn(
                    lambda line: self._on_line(child, line),
                    lambda code, output: self._on_exit(child, code, output),
                )
            except BaseException:
                self._child = None
                raise
        return self._child

    def _cancel(self, job: Job) -> None:
        """Ask the child to stop, and make sure that the job ends in any case."""
        request = self._request
        if request is None or request.job is not job:
            return
        # A full pipe must not block the viewer.
        threading.Thread(target=self._send_cancel, args=(request,), daemon=True).start()
        _later(self._cancel_grace, lambda: self._kill_unless_answered(request))

    def _send_cancel(self, request: _Request) -> None:
        """Notify the child if its job was cancelled; repeating this is harmless."""
        if request.job.cancelling and request.child is not None:
            with suppress(OSError):  # the child has ended
                request.child.send({"cancel": request.job.id})

    def _kill_unless_answered(self, request: _Request) -> None:
        """End a cancelled job whose child did not answer, and the child with it."""
        with self._lock:
            if request.over:
                return
            child = request.child
            if child is not None and not request.answered:
                if self._child is child:
                    self._child = None  # the next job starts another
                child.kill()
        self._end(request, State.CANCELLED)

    def _on_line(self, child: _Child, line: str) -> None:
        message, request = from_line(line), self._request
        if message is None or request is None or message.get("id") != request.job.id:
            return  # a stray print, or a late message of a job that has ended
        if request.child is not child:
            return
        kind = message.get("kind")
        if kind in ("started", "progress"):
            request.job._report(progress_of(message))
        elif kind == "result":
            self._receive(request, message.get("result") or {})
        elif kind == "cancelled":
            self._end(request, State.CANCELLED)
        elif kind == "failed":
            self._end(request, State.FAILED, problem=problem_of(message))

    def _receive(self, request: _Request, result: Mapping[str, Any]) -> None:
        """Unpack a result; a job that was cancelled at the last moment stays cancelled."""
        request.answered = True
        try:
            value = result
            if request.unpack is not None and request.folder is not None:
                value = request.unpack(request.folder, result)
        except Exception as error:
            self._end(request, State.FAILED, problem=_problem_of_host(error))
            return
        if request.job.cancelling:
            self._end(request, State.CANCELLED)
        else:
            self._end(request, State.DONE, value)

    def _on_exit(self, child: _Child, code: int | None, output: str) -> None:
        with self._lock:
            if self._child is child:
                self._child = None
            request = child.request
        if request is None:
            _remove(child.folder)  # a killed child may have written to it after the job ended
        elif request.job.cancelling:
            self._end(request, State.CANCELLED)
        else:
            advice = "try again, and report the details if it happens twice"
            if code in (-9, 137):
                advice = "close other programs or choose fewer frames, then try again"
            sentence = f"The computing process {how_it_ended(code)}; {advice}."
            problem = Problem(sentence, output or f"exit code {code}", "died")
            self._end(request, State.FAILED, problem=problem)

    def _end(
        self, request: _Request, state: State, result: Any = None, problem: Problem | None = None
    ) -> None:
        """End a job once: remove its folder, accept the next job, notify."""
        with self._lock:
            if request.over:
                return
            request.over = True
            if self._request is request:
                self._request = None
            if request.child is not None:  # free images and results
                request.child.request = None
        _remove(request.folder)
        request.job._end(state, result, problem)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class _Child:
    """A child process; the object identifies its messages."""

    process: Process | None = None
    request: _Request | None = None  # in progress
    folder: Path | None = None  # of the last request

    def send(self, message: Mapping[str, Any]) -> None:
        if self.process is None:
            raise BrokenPipeError("the child is not there")
        self.process.send(to_line(message))

    def close(self) -> None:
        if self.process is not None:
            self.process.close()

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()


@dataclass(eq=False)
class _Request:
    """A job with its arguments and files."""

    job: Job
    arguments: dict[str, Any]
    pack: Pack | None
    unpack: Unpack | None
    folder: Path | None = None
    child: _Child | None = None
    answered: bool = False
    over: bool = False


def _remove(folder: Path | None) -> None:
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


def _later(seconds: float, action: Callable[[], None]) -> None:
    timer = threading.Timer(seconds, action)
    timer.daemon = True
    timer.start()


def _problem_of_host(error: Exception) -> Problem:
    """Return what went wrong on the host's side of the pipe."""
    if not isinstance(error, OSError):
        return describe(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        sentence = (
            f"The disk with temporary files ({tempfile.gettempdir()}) is full; free some space "
            "and try again."
        )
    else:
        sentence = f"The computing process cannot be used: {reason_of(error)}."
    return Problem(sentence, "".join(traceback.format_exception(error)), "flomo")
