"""When a process started, because the system reuses the ids of processes that have ended."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from pathlib import Path


def started_at(pid: int) -> str | None:
    """Return an opaque text that identifies the start of a process; None if it is not running.

    Two processes with the same id never have the same text, also across a restart of the computer.
    A zombie is not running.
    """
    if Path("/proc/self/stat").exists():
        return _by_proc(pid)
    return _by_windows(pid) if os.name == "nt" else _by_ps(pid)


def _by_proc(pid: int) -> str | None:
    with suppress(OSError, ValueError, IndexError):
        # The name of the program, in parentheses, may contain anything.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        state, ticks = fields[0], fields[19]
        if state in "ZX":
            return None
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {ticks}"
    return None


def _by_ps(pid: int) -> str | None:
    with suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(
            ["ps", "-o", "stat=,lstart=", "-p", str(pid)],
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
            env={**os.environ, "LC_ALL": "C"},
        )
        state, _, began = done.stdout.strip().partition(" ")
        return began.strip() or None if state and not state.startswith("Z") else None
    return None


def _by_windows(pid: int) -> str | None:
    import ctypes

    query, still_active = 0x1000, 259
    kernel = ctypes.windll.kernel32  # type: ignore[attr-defined]
    handle = kernel.OpenProcess(query, False, pid)
    if not handle:
        return None
    try:
        code = ctypes.c_ulong()
        times = [ctypes.c_ulonglong() for _ in range(4)]
        read = kernel.GetExitCodeProcess(handle, ctypes.byref(code))
        read = read and kernel.GetProcessTimes(handle, *(ctypes.byref(time) for time in times))
        return str(times[0].value) if read and code.value == still_active else None
    finally:
        kernel.CloseHandle(handle)
