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

from napari_flomo.errors import FlomoError, how_it_ended
from napari_flomo.jobs.child import Process, Spawn, python_spawner
from napari_flomo.jobs.job import Busy, Job, Problem, State
from napari_flomo.jobs.protocol import from_line, to_line

PATIENCE = 0.7
"""Seconds that a cancelled child has to answer before it is killed."""

Pack = Callable[[Path], Mapping[str, Any] | None]
Unpack = Callable[[Path, Mapping[str, Any]], Any]


class Worker:
    """Runs tasks in a child process, which starts with the first one and stays warm.

    Parameters
    ----------
    spawn
        How the child is started; by default with this Python. See `Spawn`.
    patience
        Seconds that a cancelled child has to answer before it is killed.

    Notes
    -----
    Nothing here blocks: child, files and waiting are in other threads. `close` it (or use it as a
    context) when the host ends; should the host be killed instead, the child ends by itself.
    """

    def __init__(self, spawn: Spawn | None = None, patience: float = PATIENCE) -> None:
        self._spawn = spawn or python_spawner()
        self._patience = patience
        self._lock = threading.RLock()
        self._child: _Current | None = None
        self._errand: _Errand | None = None
        self._count = 0
        self._closed = False

    @property
    def job(self) -> Job | None:
        """The job that is under way, if any."""
        errand = self._errand
        return None if errand is None else errand.job

    def submit(
        self,
        task: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        pack: Pack | None = None,
        unpack: Unpack | None = None,
    ) -> Job:
        """Start a task.

        Parameters
        ----------
        task
            ``"segment"``, ``"pull"``, ``"devices"``, ...; see ``napari_flomo.commands.tasks``.
        arguments
            Plain JSON types.
        pack
            Called as ``pack(folder)`` before the child is asked, to put arrays into the folder of
            the job; what it returns is added to the arguments. Runs in another thread.
        unpack
            Called as ``unpack(folder, result)`` to take arrays out of the folder; what it returns
            becomes the result of the job. Runs in another thread.

        Returns
        -------
        Job
            Under way. Its folder is removed however it ends.

        Raises
        ------
        Busy
            If another job is under way.
        FlomoError
            If the worker was closed.
        """
        with self._lock:
            if self._closed:
                raise FlomoError("The worker was closed; open the panel again.")
            if self._errand is not None:
                raise Busy(
                    f"{_doing(self._errand.job.task)} is under way; wait until it is done, or "
                    "cancel it first."
                )
            self._count += 1
            job = Job(self._count, task, self._cancel)
            errand = self._errand = _Errand(job, dict(arguments or {}), pack, unpack)
        threading.Thread(target=self._begin, args=(errand,), daemon=True).start()
        return job

    def preload(self, model: str, device: str = "auto") -> None:
        """Let an idle child load torch and a model, so that the first click is as quick as later.

        Returns at once, tells nothing: what is wrong with the model is said when it is used.
        """

        def load() -> None:
            with suppress(OSError), self._lock:
                if self._errand is None and not self._closed:
                    child = self._living_child()
                    child.send(to_line({"preload": {"model": model, "device": device}}))

        threading.Thread(target=load, daemon=True).start()

    def close(self) -> None:
        """Cancel what is under way and let the child end."""
        with self._lock:
            self._closed = True
            errand, child, self._child = self._errand, self._child, None
        if errand is not None:
            errand.job.cancel()
            self._end(errand, State.CANCELLED)
        if child is not None:
            child.close()
            _later(self._patience, child.kill)

    def _begin(self, errand: _Errand) -> None:
        """Pack, start a child if need be, ask it; in a thread of its own."""
        try:
            folder = errand.make_folder()
            if errand.pack is not None:
                errand.arguments.update(errand.pack(folder) or {})
            request = {
                "id": errand.job.id,
                "task": errand.job.task,
                "arguments": errand.arguments,
                "folder": str(folder),
            }
            line = to_line(request)
            with self._lock:
                too_late = errand.job.cancelling or self._closed
                if not too_late:
                    errand.child = self._living_child()
                    errand.child.errand, errand.child.folder = errand, folder
            if errand.child is None:
                self._end(errand, State.CANCELLED)
            else:
                errand.child.send(line)
                self._pass_a_cancel_on(errand)
        except BrokenPipeError:
            return  # it died as it was asked: how is told by `_on_exit`
        except Exception as error:
            self._end(errand, State.FAILED, problem=_problem_of(error))
        finally:
            if errand.over:  # ended while the folder was being filled
                _remove(errand.folder)

    def _living_child(self) -> _Current:
        """Return the child, started if there is none; the lock is held."""
        if self._child is None:
            self._child = child = _Current()
            try:
                child.process = self._spawn(
                    lambda line: self._on_line(child, line),
                    lambda code, words: self._on_exit(child, code, words),
                )
            except BaseException:
                self._child = None
                raise
        return self._child

    def _cancel(self, job: Job) -> None:
        """Ask the child to stop, and see to it that the job ends in any case."""
        errand = self._errand
        if errand is None or errand.job is not job:
            return
        # A pipe that is full must not hold the viewer up.
        threading.Thread(target=self._pass_a_cancel_on, args=(errand,), daemon=True).start()
        _later(self._patience, lambda: self._lose_patience(errand))

    def _pass_a_cancel_on(self, errand: _Errand) -> None:
        """Tell the child that its job was cancelled, if it was; doing so twice does no harm."""
        if errand.job.cancelling and errand.child is not None:
            with suppress(OSError):  # gone already
                errand.child.send(to_line({"cancel": errand.job.id}))

    def _lose_patience(self, errand: _Errand) -> None:
        """End a cancelled job whose child did not answer, and the child with it."""
        with self._lock:
            if errand.over:
                return
            child = errand.child
            if child is not None and not errand.answered:
                if self._child is child:
                    self._child = None  # the next job starts another
                child.kill()
        self._end(errand, State.CANCELLED)

    def _on_line(self, child: _Current, line: str) -> None:
        message = from_line(line)
        errand = self._errand
        if message is None or errand is None or message.get("id") != errand.job.id:
            return  # a stray print, or the last words about a job that is over
        if errand.child is not child:
            return
        kind = message.get("kind")
        if kind == "started":
            errand.job._report(0, 0, None, "")
        elif kind == "progress":
            errand.job._report(
                int(message.get("done", 0)),
                int(message.get("total", 0)),
                message.get("seconds_left"),
                str(message.get("message", "")),
                message.get("data"),
            )
        elif kind == "result":
            self._take(errand, message.get("result") or {})
        elif kind == "cancelled":
            self._end(errand, State.CANCELLED)
        elif kind == "failed":
            problem = Problem(
                str(message.get("sentence", "")),
                str(message.get("details", "")),
                str(message.get("problem", "bug")),
            )
            self._end(errand, State.FAILED, problem=problem)

    def _take(self, errand: _Errand, result: Mapping[str, Any]) -> None:
        """Unpack a result; a job that was cancelled at the last moment stays cancelled."""
        errand.answered = True
        try:
            value = result
            if errand.unpack is not None and errand.folder is not None:
                value = errand.unpack(errand.folder, result)
        except Exception as error:
            self._end(errand, State.FAILED, problem=_problem_of(error))
            return
        if errand.job.cancelling:
            self._end(errand, State.CANCELLED)
        else:
            self._end(errand, State.DONE, value)

    def _on_exit(self, child: _Current, code: int | None, last_words: str) -> None:
        with self._lock:
            if self._child is child:
                self._child = None
            errand = child.errand
        if errand is None:
            _remove(child.folder)  # killed, it may have written to its last breath
        elif errand.job.cancelling:
            self._end(errand, State.CANCELLED)
        else:
            problem = Problem(_death(code), last_words or f"exit code {code}", "died")
            self._end(errand, State.FAILED, problem=problem)

    def _end(
        self, errand: _Errand, state: State, result: Any = None, problem: Problem | None = None
    ) -> None:
        """Settle a job once, remove its folder, make room for the next, tell who waits."""
        with self._lock:
            if errand.over:
                return
            errand.over = True
            if self._errand is errand:
                self._errand = None
            if errand.child is not None:  # images and results live no longer than their users
                errand.child.errand = None
        _remove(errand.folder)
        errand.job._end(state, result, problem)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class _Current:
    """A child with a name of its own, so that the last words of one are not taken for another's."""

    process: Process | None = None
    errand: _Errand | None = None  # while it is under way
    folder: Path | None = None  # of the last one

    def send(self, line: str) -> None:
        if self.process is None:
            raise BrokenPipeError("the child is not there")
        self.process.send(line)

    def close(self) -> None:
        if self.process is not None:
            self.process.close()

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()


@dataclass(eq=False)
class _Errand:
    """A job with what it takes along and where its files lie."""

    job: Job
    arguments: dict[str, Any]
    pack: Pack | None
    unpack: Unpack | None
    folder: Path | None = None
    child: _Current | None = None
    answered: bool = False
    over: bool = False

    def make_folder(self) -> Path:
        self.folder = Path(tempfile.mkdtemp(prefix="flomo-job-"))
        return self.folder


def _remove(folder: Path | None) -> None:
    """Remove the folder of a job, if it has one and it is still there."""
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


def _later(seconds: float, action: Callable[[], None]) -> None:
    timer = threading.Timer(seconds, action)
    timer.daemon = True
    timer.start()


def _doing(task: str) -> str:
    names = {
        "segment": "A segmentation",
        "pull": "The download of a model",
        "finetune": "A training",
    }
    return names.get(task, "Other work")


def _death(code: int | None) -> str:
    advice = "try again, and report the details if it happens twice"
    if code in (-9, 137):
        advice = "close other programs or choose fewer frames, then try again"
    return f"The computing process {how_it_ended(code)}; {advice}."


def _problem_of(error: Exception) -> Problem:
    """Return what is wrong on our own side of the pipe: no room for files, no Python to start."""
    details = "".join(traceback.format_exception(error))
    if isinstance(error, FlomoError):
        return Problem(str(error), details, "flomo")
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        sentence = (
            f"The disk with temporary files ({tempfile.gettempdir()}) is full; free some space "
            "and try again."
        )
        return Problem(sentence, details, "flomo")
    if isinstance(error, OSError):
        reason = error.strerror or error
        return Problem(f"The computing process could not be used: {reason}.", details, "flomo")
    if isinstance(error, MemoryError):
        sentence = "Not enough memory for this image; close other programs and try again."
        return Problem(sentence, details, "flomo")
    sentence = f"Unexpected {type(error).__name__}; report the details, please."
    return Problem(sentence, details, "bug")
