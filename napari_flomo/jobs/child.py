"""A child process and the pipes to it."""

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
"""How much of the child's stderr is kept for a bug report."""


class Process(Protocol):
    """A running child, as a `Worker` uses it. No method blocks."""

    def send(self, line: str) -> None:
        """Write one line (without its end) to the child's stdin; `OSError` if it has ended."""

    def close(self) -> None:
        """Close the child's stdin; it ends by itself."""

    def kill(self) -> None:
        """Kill the child."""


OnLine = Callable[[str], None]
OnExit = Callable[[int | None, str], None]
Spawn = Callable[[OnLine, OnExit], Process]
"""Starts a child. It must call ``on_line(text)`` with every line of stdout, then
``on_exit(code, end of stderr)`` once; both from any thread, but not before it returns. It is itself
called from a thread of the worker: a host whose processes belong to a thread (``QProcess``) passes
the call on to that thread."""


def python_spawner(
    executable: str | os.PathLike[str] | None = None, arguments: Sequence[str] | None = None
) -> Spawn:
    """Return the ``spawn`` of a `Worker` that runs in a Python.

    Parameters
    ----------
    executable
        The Python, with the dependencies of this package installed; this one by default.
    arguments
        Command line for it; by default the worker of this package.
    """
    program = os.fspath(executable or sys.executable)
    # -P: a torch.py in the folder where the viewer was started must not be imported.
    command = [program, *(arguments or ("-P", "-m", "napari_flomo", "worker"))]

    def spawn(on_line: OnLine, on_exit: OnExit) -> Process:
        return _PipedProcess(command, on_line, on_exit)

    return spawn


class _PipedProcess:
    """A child process with two threads that read its output."""

    def __init__(self, command: Sequence[str], on_line: OnLine, on_exit: OnExit) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
            # Ctrl+C in the viewer's terminal is for the viewer. Not a new session: the child keeps
            # the priority of the viewer.
            process_group=None if os.name == "nt" else 0,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        self._writing = threading.Lock()
        self._stderr: deque[str] = deque(maxlen=STDERR_LINES)
        self._stderr_reader = threading.Thread(target=self._read_stderr, daemon=True)
        self._stderr_reader.start()
        threading.Thread(target=self._read_stdout, args=(on_line, on_exit), daemon=True).start()

    def send(self, line: str) -> None:
        stream = _not_none(self._process.stdin)
        with self._writing:
            try:
                stream.write(line.encode() + b"\n")
                stream.flush()
            except ValueError as error:  # closed by us
                raise BrokenPipeError(str(error)) from error

    def close(self) -> None:
        with self._writing, suppress(OSError):  # unsent data is lost, on purpose
            _not_none(self._process.stdin).close()

    def kill(self) -> None:
        self._process.kill()

    def _read_stdout(self, on_line: OnLine, on_exit: OnExit) -> None:
        for line in _not_none(self._process.stdout):
            on_line(line.decode("utf-8", "replace"))
        code = self._process.wait()
        self._stderr_reader.join(timeout=0.2)  # a grandchild may hold stderr open
        on_exit(code, "".join(self._stderr))

    def _read_stderr(self) -> None:
        for line in _not_none(self._process.stderr):
            self._stderr.append(line.decode("utf-8", "replace"))


def _not_none(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None
    return stream


def environment() -> dict[str, str]:
    """Return an environment in which a child imports this copy of the package."""
    home = Path(napari_flomo.__file__).resolve().parents[1]
    if home.name in ("site-packages", "dist-packages"):
        return dict(os.environ)  # found anyway; put first, it could hide other packages
    paths = [str(home), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return os.environ | {"PYTHONPATH": os.pathsep.join(dict.fromkeys(paths))}
