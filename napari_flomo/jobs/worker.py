"""A warm child process that does one job at a time."""

from __future__ import annotations

import shutil
import tempfile
import threading
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from napari_flomo.errors import FlomoError
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
        self._process: Process | None = None
        self._working: _Errand | None = None
        self._count = 0
        self._closed = False

    @property
    def job(self) -> Job | None:
        """The job that is under way, if any."""
        errand = self._working
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
        raise NotImplementedError

    def preload(self, model: str, device: str = "auto") -> None:
        """Let an idle child load torch and a model, so that the first click is as quick as later.

        Returns at once, tells nothing: what is wrong with the model is said when it is used.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Cancel what is under way and let the child end."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
