"""Errors that a user reads.

Every message is one clear sentence that says what is wrong and what to do about it. The command
line prints it and exits with code 2; the viewers show it in their panel.
"""

from __future__ import annotations

import signal
import traceback
from dataclasses import dataclass


class FlomoError(Exception):
    """Something a user can understand and fix: bad input, missing weights, no space."""


class Cancelled(FlomoError):
    """The user asked a running task to stop; nothing was written."""

    def __init__(self, message: str = "Cancelled; nothing was written.") -> None:
        super().__init__(message)


class MissingModel(FlomoError):
    """The requested model is neither on this computer nor can it be downloaded."""


class NothingLearnt(FlomoError):
    """Corrections do not show anything that holds for other slices; nothing was changed."""


@dataclass(frozen=True)
class Problem:
    """Why a task failed.

    Attributes
    ----------
    sentence
        For the user: what is wrong and what to do.
    details
        For a bug report, behind a button: the traceback, or the last output of the process.
    kind
        ``"out_of_gpu_memory"`` (offer the CPU), ``"missing_model"`` (offer the list of models),
        ``"nothing_learnt"`` (no error, only a result),
        ``"flomo"`` (anything else that the user can fix), ``"died"`` (the process was ended from
        outside) or ``"bug"`` (a fault of ours).
    """

    sentence: str
    details: str = ""
    kind: str = "bug"


_MEMORY_SIGNS = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "bad_alloc",
    "failed to allocate",
)


def describe(error: BaseException) -> Problem:
    """Return what to tell the user about an exception, without importing anything."""
    if out_of_gpu_memory(error):
        kind = "out_of_gpu_memory"
        sentence = "The GPU's memory is too small for this; choose the device cpu."
    elif isinstance(error, FlomoError):
        kinds = {MissingModel: "missing_model", NothingLearnt: "nothing_learnt"}
        kind = kinds.get(type(error), "flomo")
        sentence = str(error)
    elif out_of_memory(error):
        kind = "flomo"
        sentence = "Not enough memory; close other programs or choose fewer frames."
    else:
        kind = "bug"
        sentence = f"Unexpected {type(error).__name__}; please report the details."
    return Problem(sentence, "".join(traceback.format_exception(error)), kind)


def out_of_memory(error: BaseException) -> bool:
    """Return True if memory ran out; recognises errors of torch and of inference runtimes."""
    if isinstance(error, MemoryError) or _is_cuda_error(error):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(sign in text for sign in _MEMORY_SIGNS)


def out_of_gpu_memory(error: BaseException) -> bool:
    """Return True if a GPU's memory ran out, also where this caused a `FlomoError`."""
    cause = error.__cause__
    return _is_cuda_error(error) or (cause is not None and _is_cuda_error(cause))


def reason_of(error: Exception) -> str:
    """Return why the operating system refused something, without the path, for a sentence."""
    return getattr(error, "strerror", None) or str(error)


def how_it_ended(code: int | None) -> str:
    """Return how a process ended unexpectedly, as the rest of a sentence.

    ``code`` is as in `subprocess.Popen.returncode` or of a shell; None if unknown.
    """
    if code in (-9, 137):  # the kernel sends this when memory is short, and little else does
        return "was ended by the system, most likely because memory ran out"
    if code is None:
        return "ended unexpectedly"
    number = -code if code < 0 else code - 128
    try:
        return f"ended unexpectedly with the signal {signal.Signals(number).name}"
    except ValueError:
        return f"ended unexpectedly with exit code {code}"


def _is_cuda_error(error: BaseException) -> bool:
    return type(error).__name__ == "OutOfMemoryError"
