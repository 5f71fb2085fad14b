"""Memory that a worker frees is for its next study."""

from __future__ import annotations

import ctypes
import sys

MAPPED_FROM = 32 << 20
"""Bytes from which memory is asked of the system directly; the most that glibc takes."""

KEPT = 64 << 20
"""Freed bytes at the end of the heap that stay with the process."""

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # malloc.h of glibc


def keep_freed_memory() -> bool:
    """Let this process use memory again that it has freed; tell whether its library can be told.

    Left alone, glibc learns that by itself. Dask starts its workers with the variable
    ``MALLOC_TRIM_THRESHOLD_``, which also ends the learning: then every tensor of more than 128 kB
    is made of new pages, which the kernel fills with zeros first, and a network takes more than
    twice as long.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another library than glibc
        return False
    return bool(mallopt(_MMAP_THRESHOLD, MAPPED_FROM)) and bool(mallopt(_TRIM_THRESHOLD, KEPT))
