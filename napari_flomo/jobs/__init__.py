"""Long work in a child process: one protocol for napari, 3D Slicer and whoever comes next.

A viewer that computes in its own process freezes, cannot stop what it began and dies of an
operator's lack of memory. Here a warm child, ``python -m napari_flomo worker``, does the work: it
loads torch once, keeps models loaded, answers in lines of JSON and can be killed at any moment.

This room needs the standard library only, so it runs inside any host's Python.

Examples
--------
>>> with Worker() as worker:  # doctest: +SKIP
...     job = worker.submit("devices")
...     print(job.result(timeout=60))
"""

from __future__ import annotations

from napari_flomo.jobs.child import Process, Spawn, python_spawner
from napari_flomo.jobs.detached import attach, running, start
from napari_flomo.jobs.job import Busy, Job, JobFailed, Problem, Progress, Report, State
from napari_flomo.jobs.worker import Worker

__all__ = [
    "Busy",
    "Job",
    "JobFailed",
    "Problem",
    "Process",
    "Progress",
    "Report",
    "Spawn",
    "State",
    "Worker",
    "attach",
    "python_spawner",
    "running",
    "start",
]
