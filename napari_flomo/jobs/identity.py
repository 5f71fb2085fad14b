"""When a process started: the system gives the number of one that has ended to another."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from pathlib import Path


def started_at(number: int) -> str | None:
    """Return a text that tells when a process started; None if there is no such process.

    Two processes of one number never have the same text, also across a restart of the computer. A
    zombie has ended.
    """
    if Path("/proc/self/stat").exists():
        return _by_proc(number)
    return _by_windows(number) if os.name == "nt" else _by_ps(number)


def _by_proc(number: int) -> str | None:
    with suppress(OSError, ValueError, IndexError):
        # The name of the program, in parentheses, may hold anything.
        fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
        state, ticks = fields[0], fields[19]
        if state in "ZX":
            return None
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {ticks}"
    return None


def _by_ps(number: int) -> str | None:
    with suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(
            ["ps", "-o", "stat=,lstart=", "-p", str(number)],
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
            env={**os.environ, "LC_ALL": "C"},
        )
        state, _, began = done.stdout.strip().partition(" ")
        return began.strip() or None if state and not state.startswith("Z") else None
    return None


def _by_windows(number: int) -> str | None:
    import ctypes

    query, still_active = 0x1000, 259
    kernel = ctypes.windll.kernel32  # type: ignore[attr-defined]
    handle = kernel.OpenProcess(query, False, number)
    if not handle:
        return None
    try:
        code = ctypes.c_ulong()
        times = [ctypes.c_ulonglong() for _ in range(4)]
        told = kernel.GetExitCodeProcess(handle, ctypes.byref(code))
        told = told and kernel.GetProcessTimes(handle, *(ctypes.byref(time) for time in times))
        return str(times[0].value) if told and code.value == still_active else None
    finally:
        kernel.CloseHandle(handle)
