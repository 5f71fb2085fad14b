"""Keep freed memory in the process for the next study."""

from __future__ import annotations

import ctypes
import sys

MMAP_THRESHOLD_BYTES = 32 << 20
"""Larger allocations are mapped from the system; the largest value that glibc accepts."""

TRIM_THRESHOLD_BYTES = 64 << 20
"""Freed bytes at the end of the heap that stay with the process."""

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # malloc.h of glibc


def keep_freed_memory() -> bool:
    """Let this process reuse freed memory; return False if its C library is not glibc.

    By default glibc adapts by itself. Dask starts its workers with the variable
    ``MALLOC_TRIM_THRESHOLD_``, which also turns this off: every tensor of more than 128 kB then
    gets new pages, which the kernel zeroes first, and a network takes more than twice as long.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another library than glibc
        return False
    return bool(mallopt(_MMAP_THRESHOLD, MMAP_THRESHOLD_BYTES)) and bool(
        mallopt(_TRIM_THRESHOLD, TRIM_THRESHOLD_BYTES)
    )
