"""Workers reuse freed memory, despite Dask's settings."""

from __future__ import annotations

import ctypes
import json
import sys
from collections.abc import Callable
from typing import Any

import pytest

from napari_flomo.cohorts.allocation import keep_freed_memory

PROGRAM = """
import json, resource, sys
from napari_flomo.cohorts.allocation import keep_freed_memory
import numpy as np

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(50):
        np.ones(1 << 17, np.float64)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

first = faults()
reported = keep_freed_memory()
faults()
print(json.dumps([first, reported, faults()]))
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="not glibc")
def test_memory_is_reused(run_python: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "65536")
    first, reported, then = json.loads(run_python("-c", PROGRAM).stdout)
    assert reported
    assert first > 50 * 200, "each of 50 times 1 MB was new pages"
    assert then < first / 20


def test_other_c_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    assert not keep_freed_memory()
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: object())
    assert not keep_freed_memory()
