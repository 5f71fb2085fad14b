"""Read older layouts of a store.

Records are upgraded in memory and never rewritten: the history has their hashes, and an old store
also works on a read-only share.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari_flomo.schema import SchemaError

SCHEMA = 2
"""Version of the layout; incremented when a field changes its meaning."""

Step = Callable[[dict[str, Any]], dict[str, Any]]


def upgrade_record(content: Any) -> Any:
    """Return the content of a record's file in the present layout."""
    return _upgrade(content, {1: _record_with_frames})


def upgrade_settings(content: Any) -> Any:
    """Return the content of ``store.json`` in the present layout."""
    return _upgrade(content, {1: _settings_with_references})


def _upgrade(content: Any, steps: dict[int, Step]) -> Any:
    """Apply the steps from the layout of some content to the present one."""
    schema = content.get("schema") if isinstance(content, dict) else None
    if not isinstance(schema, int) or isinstance(schema, bool) or schema < 1:
        raise SchemaError("it has no valid 'schema'")
    if schema > SCHEMA:
        raise SchemaError(f"it has the newer layout {schema}, so update napari-flomo first")
    for older in range(schema, SCHEMA):
        content = steps[older](dict(content)) | {"schema": older + 1}
    return content


def _record_with_frames(content: dict[str, Any]) -> dict[str, Any]:
    """Layout 1 knew stacks only, counted slices without frames and had no digest."""
    try:
        for old, new in (("slices_seen", "seen"), ("slices_changed", "changed")):
            content[new] = [[0, index] for index in content.pop(old)]
    except (KeyError, TypeError) as error:
        raise SchemaError(f"the key {error} is missing or wrong") from error
    return {"digest": "", **content}


def _settings_with_references(content: dict[str, Any]) -> dict[str, Any]:
    """In layout 1 every image was copied."""
    return {"copy_images": True, **content}
