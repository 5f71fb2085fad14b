"""Talking to a Hub that may be slow, rude or gone, without ever making a person wait for it.

Every request runs in a thread of its own while the caller looks at the clock and at the cancel
button. A thread that hangs in the network is left behind: it holds no file and no lock, so nothing
waits for it, and it ends with its own time limit.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

from napari_flomo.errors import Cancelled, FlomoError
from napari_flomo.models.address import PATIENCE, Patience, Request, user_agent
from napari_flomo.models.faults import NotAHub, Stalled, explain

T = TypeVar("T")
Cancel = Callable[[], bool] | None

TICK = 0.1
"""Seconds between two looks at the cancel button."""

_CHUNKS_AHEAD = 64
_LONGEST_PAUSE = 30.0


def prepare() -> None:
    """Import the client now, so that its import does not count as slowness of the network."""
    from huggingface_hub import HfApi  # noqa: F401


def check(cancelled: Cancel) -> None:
    """Raise `Cancelled` if the person asked for it."""
    if cancelled is not None and cancelled():
        raise Cancelled("Cancelled; what was downloaded so far is kept for the next attempt.")


def wait(seconds: float, cancelled: Cancel) -> None:
    """Sleep, but not when cancelled."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        check(cancelled)
        time.sleep(min(TICK, left))
    check(cancelled)


def call(work: Callable[[], T], cancelled: Cancel, limit: float | None = None) -> T:
    """Return ``work()``, or leave it behind when cancelled or after ``limit`` seconds.

    Raises
    ------
    Stalled
        If the limit was reached.
    """
    box: queue.SimpleQueue[tuple[bool, Any]] = queue.SimpleQueue()

    def run() -> None:
        try:
            box.put((True, work()))
        except BaseException as error:  # is raised again by the caller
            box.put((False, error))

    threading.Thread(target=run, name="flomo-hub", daemon=True).start()
    end = None if limit is None else time.monotonic() + limit
    while True:
        check(cancelled)
        try:
            succeeded, result = box.get(timeout=TICK)
        except queue.Empty:
            if end is not None and time.monotonic() > end:
                raise Stalled from None
            continue
        if not succeeded:
            raise result
        answer: T = result
        return answer


def ask_a_hub(work: Callable[[], T], cancelled: Cancel, limit: float) -> T:
    """Like `call`, for a question to the Hub: an answer that makes no sense is `NotAHub`."""

    def guarded() -> T:
        try:
            return work()
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            # huggingface_hub's errors have several parents, and the client refuses some proxies.
            if isinstance(error, OSError) or "scheme for proxy" in str(error):
                raise
            raise NotAHub from error

    return call(guarded, cancelled, limit)


class Stream:
    """The body of a GET request, chunk by chunk, read ahead by a thread.

    Parameters
    ----------
    url
        What to get, with huggingface_hub's session and headers.
    start
        First byte wanted; more than 0 asks for a range.
    cancelled, patience
        When to give up.
    """

    def __init__(self, url: str, start: int, cancelled: Cancel, patience: Patience) -> None:
        self._url = url
        self._start = start
        self._cancelled = cancelled
        self._patience = patience
        self._left_behind = threading.Event()
        self._queue: queue.Queue[tuple[str, Any]] = queue.Queue(_CHUNKS_AHEAD)
        self.status = 0
        self.headers: Mapping[str, str] = {}

    def __enter__(self) -> Self:
        """Send the request and wait for the head of the answer."""
        threading.Thread(target=self._read, name="flomo-hub", daemon=True).start()
        try:
            _, (self.status, self.headers) = self._next()
        except BaseException:
            self._left_behind.set()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Let go of the thread, wherever it is."""
        self._left_behind.set()

    def __iter__(self) -> Iterator[bytes]:
        """Yield the chunks as they come."""
        while True:
            kind, value = self._next()
            if kind == "end":
                return
            yield value

    def _next(self) -> tuple[str, Any]:
        end = time.monotonic() + self._patience.stall
        while True:
            check(self._cancelled)
            try:
                kind, value = self._queue.get(timeout=TICK)
            except queue.Empty:
                if time.monotonic() > end:
                    raise Stalled from None
                continue
            if kind == "error":
                raise value
            return kind, value

    def _read(self) -> None:
        from huggingface_hub.utils import (  # type: ignore[attr-defined]
            build_hf_headers,
            get_session,
            hf_raise_for_status,
        )

        try:
            headers = {**build_hf_headers(**user_agent()), "Accept-Encoding": "identity"}
            if self._start:
                headers["Range"] = f"bytes={self._start}-"
            limit = self._patience.stall
            # No chunk size: a slow line shall show its progress instead of filling a buffer.
            with get_session().stream("GET", self._url, headers=headers, timeout=limit) as response:
                hf_raise_for_status(response)
                self._put("head", (response.status_code, dict(response.headers)))
                for chunk in response.iter_bytes():
                    if not self._put("chunk", chunk):
                        return
            self._put("end", None)
        except BaseException as error:  # is raised again by the reader
            self._put("error", error)

    def _put(self, kind: str, value: Any) -> bool:
        while not self._left_behind.is_set():
            try:
                self._queue.put((kind, value), timeout=TICK)
            except queue.Full:
                continue
            return True
        return False


def persist(
    work: Callable[[], T], request: Request, cancelled: Cancel, patience: Patience = PATIENCE
) -> T:
    """Return ``work()``; try again after faults that may pass, with pauses.

    ``work`` may raise `Progressed` from a fault to tell that the attempt was not in vain.

    Raises
    ------
    FlomoError
        One sentence on the last fault.
    """
    failures = 0
    while True:
        try:
            return work()
        except FlomoError:
            raise
        except Exception as caught:
            error: BaseException = caught
            if isinstance(caught, Progressed):
                failures, error = 0, caught.fault
            fault = explain(error, request, patience)
            failures += 1
            pause = fault.pause or patience.pause * 2 ** (failures - 1)
            if not fault.may_pass or failures >= patience.attempts or pause > _LONGEST_PAUSE:
                raise FlomoError(fault.sentence) from error
        wait(pause, cancelled)


class Progressed(Exception):
    """A fault that came after some bytes: the next attempt counts as the first."""

    def __init__(self, fault: Exception) -> None:
        super().__init__(str(fault))
        self.fault = fault
