"""Messages between host and child: one JSON object per line, in ASCII.

Host to child, on stdin::

    {"id": 7, "task": "segment", "arguments": {...}, "folder": ".../flomo-job-x"}
    {"cancel": 7}
    {"preload": {"model": "flomo-b0-acdc", "device": "auto"}}

Child to host, on stdout; ``result``, ``failed`` and ``cancelled`` end a job::

    {"id": 7, "kind": "started"}
    {"id": 7, "kind": "progress", "done": 3, "total": 10, "seconds_left": null, "message": ""}
    {"id": 7, "kind": "result", "result": {...}}
    {"id": 7, "kind": "failed", "sentence": "...", "details": "...", "problem": "flomo"}
    {"id": 7, "kind": "cancelled"}

``progress`` may have ``"data": {...}``, such as a point of the training curves; such a message is
always sent, however short the intervals. Arrays are ``.npy`` files in the folder, which the host
creates and removes. Unknown keys and kinds are ignored, so that either side can be newer. The
child ends when its stdin is closed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from napari_flomo.errors import Problem
from napari_flomo.progress import Progress

CORRECTIONS = "corrections"
"""Folder inside that of a job, for a second volume: labels to learn from."""


def to_line(message: Mapping[str, Any]) -> str:
    """Return a message as one line, without the line end.

    Raises
    ------
    TypeError, ValueError
        If it contains something that JSON does not know, such as NaN or infinity.
    """
    return json.dumps(message, allow_nan=False, separators=(",", ":"))


def from_line(line: str) -> dict[str, Any] | None:
    """Return the message of a line; None for anything else, such as a stray print."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) else None


def progress_message(progress: Progress) -> dict[str, Any]:
    """Return the content of a message of kind ``progress``."""
    content = asdict(progress)
    if progress.data is None:
        del content["data"]
    return content


def progress_of(message: Mapping[str, Any]) -> Progress:
    """Return the progress of a message of kind ``progress`` or ``started``."""
    return Progress(
        int(message.get("done", 0)),
        int(message.get("total", 0)),
        str(message.get("message", "")),
        message.get("seconds_left"),
        message.get("data"),
    )


def problem_message(problem: Problem) -> dict[str, Any]:
    """Return the content of a message of kind ``failed``."""
    return {"sentence": problem.sentence, "details": problem.details, "problem": problem.kind}


def problem_of(message: Mapping[str, Any]) -> Problem:
    """Return the problem of a message of kind ``failed``."""
    return Problem(
        str(message.get("sentence", "")),
        str(message.get("details", "")),
        str(message.get("problem", "bug")),
    )
