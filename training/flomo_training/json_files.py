"""Strict JSON files, written atomically."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_flomo.errors import FlomoError
from napari_flomo.files import atomic_write
from napari_flomo.tables import read_text


def write_json(content: Mapping[str, Any], path: Path) -> None:
    """Write a JSON file; NaN and infinity become null."""
    with atomic_write(path) as temporary:
        temporary.write_text(json_text(content), encoding="utf-8")


def json_text(content: Mapping[str, Any]) -> str:
    """Return the content of a JSON file; NaN and infinity become null."""
    text = json.dumps(_finite(content), indent=2, ensure_ascii=False, allow_nan=False)
    return text + "\n"


def read_object(path: Path, remedy: str) -> dict[str, Any]:
    """Read a JSON object; the message of the `FlomoError` if this fails ends with ``remedy``."""
    try:
        content = json.loads(read_text(path))
    except (OSError, ValueError) as error:
        raise FlomoError(f"{path} cannot be read ({error}); {remedy}.") from error
    if not isinstance(content, dict):
        raise FlomoError(f"{path} is not a JSON object; {remedy}.")
    return content


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
