"""The index of our models: which name means which repository, commit and files.

It is part of the package, so what a name means changes only with a version of it. A name that is
published is pinned: to a commit, and every file to its size and SHA-256.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from napari_flomo.errors import FlomoError
from napari_flomo.models.hub import FilePin, HubSource
from napari_flomo.models.schema import SchemaFault, decode, read_json

INDEX = Path(__file__).with_name("index.json")
COMMIT = re.compile(r"[0-9a-f]{40}")
_REPO = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class IndexEntry:
    """One of our models.

    Parameters
    ----------
    name
        What people ask for.
    summary
        What it segments, in a line.
    repo
        Its repository on the Hub, ``"organisation/name"``.
    revision
        The commit it is pinned to; None while it is not published.
    bundled
        Whether it comes with the package and needs no network.
    files
        Size and SHA-256 of every file at that commit: ``{"card.json": {"size": ..., "sha256":
        ...}}``; empty while it is not published.
    """

    name: str
    summary: str
    repo: str
    revision: str | None = None
    bundled: bool = False
    files: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if _REPO.fullmatch(self.repo) is None:
            raise SchemaFault(f"'repo' must look like organisation/name, not {self.repo!r}")
        if self.revision is not None and COMMIT.fullmatch(self.revision) is None:
            raise SchemaFault(f"'revision' must be a whole commit or null, not {self.revision!r}")
        if (self.revision is None) != (not self.files):
            raise SchemaFault("'revision' and 'files' must be given together")
        for name in self.files:
            self._pin(name)

    @property
    def source(self) -> HubSource | None:
        """The pinned place on the Hub; None while the model is not published."""
        return None if self.revision is None else HubSource(self.repo, self.revision)

    @property
    def pins(self) -> dict[str, FilePin]:
        """What every file must be."""
        return {name: self._pin(name) for name in self.files}

    def _pin(self, name: str) -> FilePin:
        pin = decode(FilePin, self.files[name], f"files.{name}")
        if pin.size <= 0 or _SHA256.fullmatch(pin.sha256) is None:
            raise SchemaFault(f"'files.{name}' must have a size and 64 hexadecimal digits")
        return pin


@dataclass(frozen=True)
class _Index:
    models: tuple[IndexEntry, ...]


def read_index(path: Path | None = None) -> dict[str, IndexEntry]:
    """Return the entries of an index by name, the one of the package by default.

    Raises
    ------
    FlomoError
        If the file is missing or wrong; the message names the key.
    """
    return dict(_read(INDEX if path is None else path))


@cache
def _read(path: Path) -> Mapping[str, IndexEntry]:
    try:
        entries = decode(_Index, read_json(path)).models
        names = [entry.name for entry in entries]
        if len(set(names)) < len(names):
            raise SchemaFault(f"'models' must not repeat a name: {names}")
    except (OSError, SchemaFault) as error:
        raise FlomoError(
            f"The index of models {path} cannot be used: {error}; reinstall napari-flomo."
        ) from error
    return {entry.name: entry for entry in entries}
