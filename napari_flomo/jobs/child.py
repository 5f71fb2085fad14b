"""The child process itself: started, written to, listened to, killed."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Protocol

import napari_flomo

STDERR_LINES = 60
"""How much of what the child wrote on stderr is kept for a report."""


class Process(Protocol):
    """A running child, as a `Worker` uses it. All methods return at once."""

    def send(self, line: str) -> None:
        """Write one line (without its end) to the child's stdin; `OSError` if it is gone."""

    def close(self) -> None:
        """Close the child's stdin; it ends by itself."""

    def kill(self) -> None:
        """End the child now, whatever it does."""


OnLine = Callable[[str], None]
OnExit = Callable[[int | None, str], None]
Spawn = Callable[[OnLine, OnExit], Process]
"""Starts a child. ``on_line(text)`` is to be called with every line of its stdout, then
``on_exit(code, last words of stderr)`` once; both from any thread, never from within the spawner.
The spawner itself is called from a thread of the worker: a host whose processes belong to a thread
(``QProcess``) hands the call over to it."""


def python_spawner(
    executable: str | os.PathLike[str] | None = None, arguments: Sequence[str] | None = None
) -> Spawn:
    """Return a spawner of plain child processes.

    Parameters
    ----------
    executable
        The Python to run, in which this package's dependencies are installed; this one by default.
    arguments
        What to run in it; by default the worker of this package.

    Returns
    -------
    callable
        For `Worker`.
    """
    program = os.fspath(executable or sys.executable)
    # -P: a torch.py in the folder where the viewer was started must not be imported.
    command = [program, *(arguments or ("-P", "-m", "napari_flomo", "worker"))]

    def spawn(on_line: OnLine, on_exit: OnExit) -> Process:
        return _Child(command, on_line, on_exit)

    return spawn


class _Child:
    """A child process with two threads that listen to it."""

    def __init__(self, command: Sequence[str], on_line: OnLine, on_exit: OnExit) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
            # Ctrl+C in the terminal of the viewer is for the viewer. Not a session of its own: the
            # child keeps the priority that the viewer was given.
            process_group=None if os.name == "nt" else 0,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        self._sending = threading.Lock()
        self._last_words: deque[str] = deque(maxlen=STDERR_LINES)
        self._complaints = threading.Thread(target=self._drain, daemon=True)
        self._complaints.start()
        threading.Thread(target=self._listen, args=(on_line, on_exit), daemon=True).start()

    def send(self, line: str) -> None:
        stream = _there(self._process.stdin)
        with self._sending:
            try:
                stream.write(line.encode() + b"\n")
                stream.flush()
            except ValueError as error:  # closed by us
                raise BrokenPipeError(str(error)) from error

    def close(self) -> None:
        with self._sending, suppress(OSError):  # what was unsent has nobody to go to
            _there(self._process.stdin).close()

    def kill(self) -> None:
        self._process.kill()

    def _listen(self, on_line: OnLine, on_exit: OnExit) -> None:
        for line in _there(self._process.stdout):
            on_line(line.decode("utf-8", "replace"))
        code = self._process.wait()
        self._complaints.join(timeout=0.2)  # a grandchild may hold stderr open
        on_exit(code, "".join(self._last_words))

    def _drain(self) -> None:
        for line in _there(self._process.stderr):
            self._last_words.append(line.decode("utf-8", "replace"))


def _there(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None
    return stream


def environment() -> dict[str, str]:
    """Return our environment, in which the child finds this very copy of the package."""
    home = Path(napari_flomo.__file__).resolve().parents[1]
    if home.name in ("site-packages", "dist-packages"):
        return dict(os.environ)  # found anyway, and in front of all others it could hide some
    paths = [str(home), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return os.environ | {"PYTHONPATH": os.pathsep.join(dict.fromkeys(paths))}
