"""Measure the time and the peak memory of separate processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping

# A forked process inherits the peak memory of its parent. The benchmark itself is large, so a small
# launcher starts the processes to be measured. Linux counts in KiB, macOS in bytes.
LAUNCHER = """
import json, os, subprocess, sys, time
start = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
seconds = time.perf_counter() - start
megabytes = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6
print(json.dumps([os.waitstatus_to_exitcode(status), seconds, megabytes]))
"""

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def run(
    arguments: list[str], threads: int, variables: Mapping[str, str] | None = None
) -> tuple[float, float]:
    """Run Python with some arguments, and return the wall time in s and the peak memory in MB.

    ``variables`` are added to the environment. Exits if the process failed.
    """
    environment = (
        os.environ
        | {name: str(threads) for name in THREAD_VARIABLES}
        | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        | dict(variables or {})
    )
    done = subprocess.run(
        [sys.executable, "-c", LAUNCHER, sys.executable, *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        check=True,
    )
    code, seconds, megabytes = json.loads(done.stdout)
    if code != 0:
        raise SystemExit(f"python {' '.join(arguments)} failed with {code}")
    return seconds, megabytes
