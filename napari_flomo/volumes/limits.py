"""Checks of readers: declared size, memory, access, finite values."""

from __future__ import annotations

import ctypes
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from napari_flomo.errors import FlomoError, reason_of

# Deflate cannot pack more than 1032 bytes into one, so a header that promises more is wrong.
DEFLATE_LIMIT = 1032

_READ_STEP = 1 << 24


def open_file(path: Path) -> BinaryIO:
    """Open a file for reading, or raise a `FlomoError`."""
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise FlomoError(f"There is no file {path}; check the spelling and the folder.") from None
    except IsADirectoryError:
        raise FlomoError(f"{path} is a folder, but an image file is needed.") from None
    except PermissionError:
        raise no_permission(path) from None
    except OSError as error:
        raise FlomoError(f"{path} could not be opened: {reason_of(error)}.") from error


def no_permission(path: Path | str) -> FlomoError:
    """Return the error for a file or folder that the user may not read."""
    return FlomoError(
        f"No permission to read {path}; ask its owner or copy it to a folder of yours."
    )


def damaged(path: Path, why: str = "it is damaged or truncated") -> FlomoError:
    """Return the error for a file whose content cannot be read."""
    return FlomoError(f"{path.name} cannot be read: {why}; copy or export it again.")


def check_declared_size(path: Path, shape: Sequence[int], item_bytes: float) -> None:
    """Raise if an axis is empty, or the image does not fit into the free memory.

    ``item_bytes`` is what one element needs at the peak of reading.
    """
    if not shape or min(shape) <= 0:
        raise FlomoError(
            f"{path.name} is empty: its axes have the lengths {_by(shape)}; export it again."
        )
    needed = math.prod(int(length) for length in shape) * item_bytes
    free = available_memory()
    if free is not None and needed > free:
        raise FlomoError(
            f"{path.name} declares {_by(shape)} voxels, which need {_size(needed)} of memory where "
            f"{_size(free)} are free; crop the image, or export it again if that size is wrong."
        )


def check_packed_size(path: Path, data_bytes: int, stored_bytes: int, ratio: int) -> None:
    """Raise if a file is too short for its header, before reading it.

    ``ratio`` is the largest possible compression ratio: 1 for raw data.
    """
    if data_bytes > stored_bytes * ratio:
        raise damaged(
            path,
            f"its header declares {_size(data_bytes)} of voxels, but the file ends too early",
        )


def read_elements(stream: BinaryIO, count: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Read exactly ``count`` elements into a new array; raise EOFError if there are fewer."""
    array = np.empty(count, dtype)
    view = array.view(np.uint8).data
    filled = 0
    while filled < len(view):
        step = stream.readinto(view[filled : filled + _READ_STEP])  # type: ignore[attr-defined]
        if not step:
            raise EOFError
        filled += step
    return array


def drain(stream: BinaryIO) -> None:
    """Read to the end, so that a compressed stream verifies its checksum."""
    while stream.read(_READ_STEP):
        pass


def check_axes(axes: Sequence[str], form: str) -> None:
    """Raise if a volume has channels or classes, which the format ``form`` cannot hold."""
    for axis, advice in (("channels", ".png or .tif"), ("classes", ".nii.gz")):
        if axis in axes:
            raise FlomoError(f"An image with {axis} cannot be written as {form}; choose {advice}.")


def storable(data: NDArray[Any], byte_order: str) -> NDArray[Any]:
    """Return a contiguous array of a type that NIfTI and NRRD can store."""
    if data.dtype == np.float16:
        data = data.astype(np.float32)
    if data.dtype.kind == "f" and data.dtype.itemsize > 8:
        data = data.astype(np.float64)
    return np.ascontiguousarray(data, dtype=data.dtype.newbyteorder(byte_order))  # type: ignore[arg-type]


def check_finite(data: NDArray[Any], name: str) -> None:
    """Raise if data contain NaN or infinite values."""
    if data.dtype.kind != "f":
        return
    bad = data.size - int(np.count_nonzero(np.isfinite(data)))
    if bad:
        raise FlomoError(
            f"{name} has {bad} of {data.size} voxels that are not finite numbers (NaN or "
            "infinite); replace them, for example by 0, and open it again."
        )


def available_memory() -> int | None:
    """Return the available memory in bytes without swapping, or None if unknown."""
    if sys.platform == "win32":
        return _available_on_windows()
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    try:  # macOS reports only the installed memory; better than no limit
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return None


def _available_on_windows() -> int | None:
    """Return the free physical memory on Windows (the structure MEMORYSTATUSEX)."""
    fields = (ctypes.c_ulonglong * 8)()
    # The structure starts with two 32-bit fields, its own size and the load in percent.
    ctypes.cast(fields, ctypes.POINTER(ctypes.c_uint32))[0] = ctypes.sizeof(fields)
    loader = getattr(ctypes, "windll", None)
    if loader is None or not loader.kernel32.GlobalMemoryStatusEx(ctypes.byref(fields)):
        return None
    return int(fields[2])


def _by(shape: Sequence[int]) -> str:
    return " x ".join(str(int(length)) for length in shape)


def _size(count: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.0f} TB"
