"""The child process of a `Worker`: takes requests from stdin and answers on stdout.

`napari_flomo.jobs.protocol` describes the messages. One thread reads, the main thread works.
"""

from __future__ import annotations

import os
import queue
import shutil
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from napari_flomo.errors import Cancelled, FlomoError, describe
from napari_flomo.jobs import from_line, problem_message, progress_message, tasks, to_line
from napari_flomo.progress import Progress

HOST_LEFT_GRACE_SECONDS = 2.0
"""Time that a task has to stop after the host went away."""

TUNING_NICENESS = 15
"""Priority of the thread that makes graphs, as of ``nice``: 19 is the lowest."""

REPORT_INTERVAL = 0.05
"""Seconds between two reports of progress; a viewer draws no faster."""


def serve() -> None:
    """Work until stdin is closed."""
    server = _Server(*_redirect_streams())
    server.serve()
    if server.tuning:
        os._exit(0)  # a library that compiles in a thread cannot be stopped in any other way


def _redirect_streams() -> tuple[IO[bytes], IO[bytes]]:
    """Keep stdin and stdout for the protocol; what libraries print goes to stderr instead."""
    sys.stdout.flush()
    source = os.fdopen(os.dup(0), "rb")
    sink = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)  # also for C libraries, which do not know sys.stdout
    sys.stdout = sys.stderr
    return source, sink


def _prepare_graphs() -> None:
    """Make missing graphs at a low priority."""
    if sys.platform == "linux":  # only Linux has priorities of threads
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), TUNING_NICENESS)
    with suppress(Exception):  # optional
        tasks.prepare_graphs()


class _Server:
    """Reads requests and works on them, one by one."""

    def __init__(self, source: IO[bytes], sink: IO[bytes]) -> None:
        self._source = source
        self._sink = sink
        self._writing = threading.Lock()
        self._requests: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._cancelled: set[int] = set()
        self._host_left = threading.Event()
        self._folder: Path | None = None
        self._tuner: threading.Thread | None = None

    @property
    def tuning(self) -> bool:
        """Whether a thread is making a graph."""
        return self._tuner is not None and self._tuner.is_alive()

    def serve(self) -> None:
        """Work until the host closes stdin."""
        threading.Thread(target=self._read, daemon=True).start()
        while (message := self._requests.get()) is not None:
            if "preload" in message:
                self._preload(message["preload"])
            elif "task" in message:
                self._work(message)
                self._tune()
        self._remove_folder()

    def _tune(self) -> None:
        """Make missing graphs while there is no request; new requests are served meanwhile."""
        if self._requests.empty() and not self.tuning:
            self._tuner = threading.Thread(target=_prepare_graphs, daemon=True)
            self._tuner.start()

    def _read(self) -> None:
        """Queue requests and note cancels; end this process after the host went away."""
        for line in self._source:
            message = from_line(line.decode("utf-8", "replace"))
            if message is None:
                continue
            if "cancel" in message:
                self._cancelled.add(message["cancel"])
            else:
                self._requests.put(message)
        self._host_left.set()
        self._requests.put(None)
        time.sleep(HOST_LEFT_GRACE_SECONDS)
        self._remove_folder()
        os._exit(0)  # the task does not react

    def _preload(self, wanted: Mapping[str, Any]) -> None:
        with suppress(Exception):  # reported when the model is used
            tasks.preload(str(wanted.get("model")), str(wanted.get("device", "auto")))

    def _work(self, request: Mapping[str, Any]) -> None:
        """Run one task and report how it ended; an error ends the task, not the process."""
        number = request["id"]
        try:
            self._send(number, "started")
            self._send(number, "result", result=self._run(number, request))
        except Cancelled:
            self._send(number, "cancelled")
        except BrokenPipeError:
            pass  # the host ended; `_read` notices
        except Exception as error:
            self._send(number, "failed", **problem_message(describe(error)))
        finally:
            self._cancelled.discard(number)
            if self._host_left.is_set():
                self._remove_folder()

    def _run(self, number: int, request: Mapping[str, Any]) -> Mapping[str, Any]:
        task = tasks.TASKS.get(request["task"])
        if task is None:
            raise FlomoError(
                f"This installation does not know the task {request['task']!r}; update "
                "napari-flomo."
            )
        self._folder = Path(request["folder"])
        last = 0.0

        def report(progress: Progress) -> None:
            nonlocal last
            now = time.monotonic()
            midway = 0 < progress.done < progress.total and progress.data is None
            if midway and now - last < REPORT_INTERVAL:
                return
            last = now
            self._send(number, "progress", **progress_message(progress))

        def cancelled() -> bool:
            return number in self._cancelled or self._host_left.is_set()

        if cancelled():
            raise Cancelled
        return task(request.get("arguments") or {}, tasks.Context(self._folder, report, cancelled))

    def _send(self, number: int, kind: str, **content: Any) -> None:
        line = to_line({"id": number, "kind": kind, **content}).encode() + b"\n"
        with self._writing, suppress(BrokenPipeError):
            self._sink.write(line)
            self._sink.flush()

    def _remove_folder(self) -> None:
        """Remove the files of the last job, which a host that was killed could not."""
        if self._host_left.is_set() and self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
