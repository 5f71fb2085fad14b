"""Errors that a user reads.

Every message is one clear sentence that says what is wrong and what to do about it. The command
line prints it and exits with code 2; the viewers show it in their panel.
"""

from __future__ import annotations

import signal


class FlomoError(Exception):
    """Something a user can understand and mend: bad input, missing weights, no space."""


class Cancelled(FlomoError):
    """The user asked a running task to stop; nothing was written."""

    def __init__(self, message: str = "Cancelled; nothing was written.") -> None:
        super().__init__(message)


def how_it_ended(code: int | None) -> str:
    """Return how a process that was not meant to end did so, as the rest of a sentence.

    Parameters
    ----------
    code
        As `subprocess.Popen.returncode` or a shell has it; None if it is not known.
    """
    if code in (-9, 137):  # what the kernel sends where memory is short, and few others
        return "was ended by the system, most likely because memory ran out"
    if code is None:
        return "ended unexpectedly"
    number = -code if code < 0 else code - 128
    try:
        return f"ended unexpectedly with the signal {signal.Signals(number).name}"
    except ValueError:
        return f"ended unexpectedly with exit code {code}"
