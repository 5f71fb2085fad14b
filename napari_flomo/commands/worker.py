"""``flomo worker``: the child's side of `napari_flomo.jobs`.

Started by the viewers, not by people. Reads requests from stdin and answers on stdout, as
``napari_flomo/jobs/protocol.py`` describes. One thread listens, the main thread works.
"""

from __future__ import annotations

import argparse
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

from napari_flomo.errors import Cancelled, FlomoError

FAREWELL = 2.0
"""Seconds that a task has to stop after the host went away."""

LOW_PRIORITY = 15
"""Of the thread that prepares engines, as ``nice`` counts: 0 is usual, 19 the lowest."""

REPORT_EVERY = 0.05
"""Seconds between two reports of progress; a viewer draws no faster."""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``flomo worker``."""
    parser = subparsers.add_parser(
        "worker",
        help="work for a viewer (started by the plugins)",
        description="Do the long work of a viewer: requests on stdin, answers on stdout, one JSON "
        "object a line. Started by the plugins.",
        allow_abbrev=False,
    )
    parser.set_defaults(run=run)


def run(_args: argparse.Namespace) -> int:
    """Serve until stdin ends."""
    source, sink = _take_the_streams()
    server = _Server(source, sink)
    server.serve()
    if server.settling:
        os._exit(0)  # a library that compiles in a thread cannot be stopped in any other way
    return 0


def _take_the_streams() -> tuple[IO[bytes], IO[bytes]]:
    """Keep stdin and stdout for the protocol; what a library prints goes to stderr instead."""
    sys.stdout.flush()
    source = os.fdopen(os.dup(0), "rb")
    sink = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)  # also for what is written below Python, by C libraries
    sys.stdout = sys.stderr
    return source, sink


def _settle_quietly() -> None:
    """Find the fastest engine, behind everything else that this computer does."""
    from napari_flomo.commands.tasks import settle

    if sys.platform == "linux":  # elsewhere a thread has no priority of its own
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOW_PRIORITY)
    with suppress(Exception):  # nobody asked for it
        settle()


class _Server:
    """Takes requests in and works them off, one by one."""

    def __init__(self, source: IO[bytes], sink: IO[bytes]) -> None:
        self._source = source
        self._sink = sink
        self._writing = threading.Lock()
        self._waiting: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._cancelled: set[int] = set()
        self._host_left = threading.Event()
        self._folder: Path | None = None
        self._settler: threading.Thread | None = None

    @property
    def settling(self) -> bool:
        """Whether a thread is looking for a faster engine."""
        return self._settler is not None and self._settler.is_alive()

    def serve(self) -> None:
        """Work until the host closes stdin."""
        threading.Thread(target=self._listen, daemon=True).start()
        while (message := self._waiting.get()) is not None:
            if "preload" in message:
                self._preload(message["preload"])
            elif "task" in message:
                self._work(message)
                self._settle()
        self._remove_folder()

    def _settle(self) -> None:
        """Look for a faster engine while nobody waits; whoever comes meanwhile is served."""
        if self._waiting.empty() and not self.settling:
            self._settler = threading.Thread(target=_settle_quietly, daemon=True)
            self._settler.start()

    def _listen(self) -> None:
        """Sort what comes; when the host went away, see to it that this process ends."""
        from napari_flomo.jobs.protocol import from_line

        for line in self._source:
            message = from_line(line.decode("utf-8", "replace"))
            if message is None:
                continue
            if "cancel" in message:
                self._cancelled.add(message["cancel"])
            else:
                self._waiting.put(message)
        self._host_left.set()
        self._waiting.put(None)
        time.sleep(FAREWELL)
        self._remove_folder()
        os._exit(0)  # the work does not listen: it would go on for nobody

    def _preload(self, wanted: Mapping[str, Any]) -> None:
        from napari_flomo.commands.tasks import preload

        with suppress(Exception):  # told when it is used
            preload(str(wanted.get("model")), str(wanted.get("device", "auto")))

    def _work(self, request: Mapping[str, Any]) -> None:
        """Run one task and say how it ended; a fault ends the task, not the process."""
        from napari_flomo.commands.faults import describe

        number = request["id"]
        try:
            self._say(number, "started")
            result = self._run(number, request)
            self._say(number, "result", result=result)
        except Cancelled:
            self._say(number, "cancelled")
        except BrokenPipeError:
            pass  # the host is gone; `_listen` hears of it
        except Exception as error:
            self._say(number, "failed", **describe(error))
        finally:
            self._cancelled.discard(number)
            if self._host_left.is_set():
                self._remove_folder()

    def _run(self, number: int, request: Mapping[str, Any]) -> Mapping[str, Any]:
        from napari_flomo.commands.tasks import TASKS, Context

        task = TASKS.get(request["task"])
        if task is None:
            raise FlomoError(
                f"This installation cannot do {request['task']!r}; update napari-flomo, or install "
                "the part that brings it."
            )
        self._folder = Path(request["folder"])
        last = 0.0

        def report(
            done: int,
            total: int,
            seconds_left: float | None = None,
            message: str = "",
            data: Mapping[str, Any] | None = None,
        ) -> None:
            nonlocal last
            now = time.monotonic()
            if now - last < REPORT_EVERY and 0 < done < total and data is None:
                return
            last = now
            told = {"done": done, "total": total, "seconds_left": seconds_left, "message": message}
            self._say(number, "progress", **told, **({} if data is None else {"data": data}))

        def cancelled() -> bool:
            return number in self._cancelled or self._host_left.is_set()

        if cancelled():
            raise Cancelled
        return task(request.get("arguments") or {}, Context(self._folder, report, cancelled))

    def _say(self, number: int, kind: str, **content: Any) -> None:
        from napari_flomo.jobs.protocol import to_line

        line = to_line({"id": number, "kind": kind, **content}).encode() + b"\n"
        with self._writing, suppress(BrokenPipeError):
            self._sink.write(line)
            self._sink.flush()

    def _remove_folder(self) -> None:
        """Remove the files of the last job, which a host that was killed could not."""
        if self._host_left.is_set() and self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
