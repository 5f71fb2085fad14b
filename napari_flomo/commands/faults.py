"""What kind of failure an exception is, told without importing torch."""

from __future__ import annotations

import traceback
from typing import Any

from napari_flomo.errors import FlomoError


class MissingModel(FlomoError):
    """The model that was asked for cannot be had."""


def out_of_memory(error: BaseException) -> bool:
    """Tell a lack of memory; torch has its own errors for it, known here without importing it."""
    text = str(error)
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError)
        and (_of_gpu(error) or "can't allocate memory" in text or "std::bad_alloc" in text)
    )


def out_of_gpu_memory(error: BaseException) -> bool:
    """Tell a lack of memory on a GPU, also where a sentence was made of it already."""
    cause = error.__cause__
    return _of_gpu(error) or (cause is not None and _of_gpu(cause))


def describe(error: BaseException) -> dict[str, Any]:
    """Return the failure of a task as the protocol of jobs has it.

    Returns
    -------
    dict
        ``sentence`` for the user, ``details`` with the traceback, and ``problem``, the kind.
    """
    if out_of_gpu_memory(error):
        kind = "out_of_gpu_memory"
        sentence = "The GPU's memory is too small for this; choose the device cpu."
    elif isinstance(error, MissingModel):
        kind, sentence = "missing_model", str(error)
    elif isinstance(error, FlomoError):
        kind, sentence = "flomo", str(error)
    elif out_of_memory(error):
        kind = "flomo"
        sentence = "Not enough memory; close other programs or choose fewer frames."
    else:
        kind = "bug"
        sentence = f"Unexpected {type(error).__name__}; report the details, please."
    return {
        "sentence": sentence,
        "details": "".join(traceback.format_exception(error)),
        "problem": kind,
    }


def _of_gpu(error: BaseException) -> bool:
    return type(error).__name__ == "OutOfMemoryError"
