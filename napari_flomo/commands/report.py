"""JSON output of the commands."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import sys
from collections.abc import Mapping
from typing import Any


def print_json(report: Mapping[str, Any]) -> None:
    """Print a report on stdout as one JSON object, ASCII only, without NaN or infinity."""
    json.dump(plain(report), sys.stdout, indent=2, allow_nan=False)
    sys.stdout.write("\n")
    sys.stdout.flush()


def plain(value: Any) -> Any:
    """Convert dataclasses, arrays, numpy scalars and paths to JSON types; NaN becomes null."""
    if hasattr(value, "tolist"):  # numpy arrays and scalars
        value = value.tolist()
    elif isinstance(value, os.PathLike):
        value = os.fspath(value)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
        value = {name: getattr(value, name) for name in names}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
