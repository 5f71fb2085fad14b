"""What host and child say to each other: one JSON object a line, in ASCII.

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

``progress`` may hold ``"data": {...}``, such as a point of a training's curves; such a message is
never left out, however quickly they come. Arrays lie as ``.npy`` files in the folder, which the
host makes and removes. Unknown keys and kinds are ignored, so that either side can be newer. When
stdin ends the child ends.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def to_line(message: Mapping[str, Any]) -> str:
    """Return a message as one line, without its end.

    Raises
    ------
    TypeError, ValueError
        If it holds something that JSON does not know, NaN and infinity included.
    """
    return json.dumps(message, allow_nan=False, separators=(",", ":"))


def from_line(line: str) -> dict[str, Any] | None:
    """Return the message of a line; None for anything else, such as a stray print."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) else None
