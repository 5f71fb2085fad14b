"""The number of threads of an engine on the CPU."""

from __future__ import annotations

import os
import sys


def threads() -> int:
    """Return the number of threads: as many as PyTorch would use, or one for each usable core."""
    if (torch := sys.modules.get("torch")) is not None:
        return int(torch.get_num_threads())
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdigit() and int(asked) > 0:
        return int(asked)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
