"""The index of our models: the repository, commit and files behind each name.

The index is part of the package, so the meaning of a name changes only with a new version. A
published name is pinned to a commit, and every file to its size and SHA-256. Some models are
bundled with the package.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from napari_flomo.errors import FlomoError
from napari_flomo.models.card import CARD_FILE
from napari_flomo.models.checksums import FilePin
from napari_flomo.models.hub import HubSource, is_commit
from napari_flomo.schema import SchemaError, decode, read_json

INDEX = Path(__file__).with_name("index.json")
BUNDLED = Path(__file__).with_name("bundled")
_REPO = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class IndexEntry:
    """One of our models, pinned to a commit on the Hub once it is published."""

    name: str
    summary: str  # what it segments
    repo: str  # "organisation/name"
    revision: str | None = None  # the commit
    bundled: bool = False
    files: Mapping[str, Any] = field(default_factory=dict)  # size and SHA-256 by name

    def __post_init__(self) -> None:
        if _REPO.fullmatch(self.repo) is None:
            raise SchemaError(f"'repo' must look like organisation/name, not {self.repo!r}")
        if self.revision is not None and not is_commit(self.revision):
            raise SchemaError(f"'revision' must be a full commit or null, not {self.revision!r}")
        if (self.revision is None) != (not self.files):
            raise SchemaError("'revision' and 'files' must be given together")
        for name in self.files:
            self._pin(name)

    @property
    def source(self) -> HubSource | None:
        """The pinned repository on the Hub; None while the model is not published."""
        return None if self.revision is None else HubSource(self.repo, self.revision)

    @property
    def pins(self) -> dict[str, FilePin]:
        """Expected size and hash of every file."""
        return {name: self._pin(name) for name in self.files}

    def _pin(self, name: str) -> FilePin:
        pin = decode(FilePin, self.files[name], f"files.{name}")
        if pin.size <= 0 or _SHA256.fullmatch(pin.sha256) is None:
            raise SchemaError(f"'files.{name}' must have a size and 64 hexadecimal digits")
        return pin


@dataclass(frozen=True)
class _Index:
    models: tuple[IndexEntry, ...]


def available() -> list[str]:
    """Return the names of the models that are bundled with the package, sorted."""
    return sorted(card.parent.name for card in BUNDLED.glob(f"*/{CARD_FILE}"))


def read_index(path: Path | None = None) -> dict[str, IndexEntry]:
    """Return the entries of an index by name, by default that of the package; raise if invalid."""
    return dict(_read(INDEX if path is None else path))


def entry_of(source: HubSource) -> IndexEntry | None:
    """Return the entry that is pinned to a source, or None."""
    return next((entry for entry in read_index().values() if entry.source == source), None)


@cache
def _read(path: Path) -> Mapping[str, IndexEntry]:
    try:
        entries = decode(_Index, read_json(path)).models
        names = [entry.name for entry in entries]
        if len(set(names)) < len(names):
            raise SchemaError(f"'models' must not repeat a name: {names}")
    except (OSError, SchemaError) as error:
        raise FlomoError(
            f"The index of models {path} cannot be used: {error}; reinstall napari-flomo."
        ) from error
    return {entry.name: entry for entry in entries}
