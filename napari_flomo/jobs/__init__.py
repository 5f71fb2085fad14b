"""Long work in a child process, with one protocol for napari, 3D Slicer and other hosts.

A viewer that computes in its own process freezes, cannot stop the computation, and crashes when
memory runs out. Here a warm child, ``python -m napari_flomo worker``, does the work: it imports
torch once, keeps models loaded, answers in lines of JSON and can be killed at any time.

The host's side needs the standard library only, so it runs in any Python. The child's side is
`napari_flomo.jobs.worker_main` and `napari_flomo.jobs.tasks`, which the host never imports.

Examples
--------
>>> with Worker() as worker:  # doctest: +SKIP
...     job = worker.submit("pull", {"model": "flomo-b0-acdc"})
...     print(job.result(timeout=60))
"""

from __future__ import annotations

from napari_flomo.errors import Problem
from napari_flomo.jobs import detached
from napari_flomo.jobs.child import Process, Spawn, python_spawner
from napari_flomo.jobs.detached import StatusWriter, attach, running, start
from napari_flomo.jobs.finetune_config import FinetuneConfig
from napari_flomo.jobs.job import Busy, Job, JobFailed, State
from napari_flomo.jobs.protocol import (
    CORRECTIONS,
    from_line,
    problem_message,
    progress_message,
    to_line,
)
from napari_flomo.jobs.worker import Worker
from napari_flomo.progress import Progress

__all__ = [
    "CORRECTIONS",
    "Busy",
    "FinetuneConfig",
    "Job",
    "JobFailed",
    "Problem",
    "Process",
    "Progress",
    "Spawn",
    "State",
    "StatusWriter",
    "Worker",
    "attach",
    "detached",
    "from_line",
    "problem_message",
    "progress_message",
    "python_spawner",
    "running",
    "start",
    "to_line",
]
