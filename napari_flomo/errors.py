"""Errors that a user reads.

Every message is one clear sentence that says what is wrong and what to do about it. The command
line prints it and exits with code 2; the viewers show it in their panel.
"""

from __future__ import annotations


class FlomoError(Exception):
    """Something a user can understand and mend: bad input, missing weights, no space."""


class Cancelled(FlomoError):
    """The user asked a running task to stop; nothing was written."""

    def __init__(self, message: str = "Cancelled; nothing was written.") -> None:
        super().__init__(message)
