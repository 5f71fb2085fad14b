"""Downloaded models on this computer.

``models/<organisation>--<name>/<commit>/`` holds the files of one commit and ``origin.json``, which
is written last: a folder without it is not a model yet. ``models/<...>/refs/<revision>.txt`` holds
the commit of a branch or tag when it was downloaded, so that a model does not change until it is
pulled again.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from napari_flomo.errors import FlomoError, reason_of
from napari_flomo.files import make_folder, write_json, write_text
from napari_flomo.models.checksums import FilePin, fingerprint, has_size
from napari_flomo.models.hub import HubSource
from napari_flomo.paths import cache_folder
from napari_flomo.schema import SchemaError, decode, encode, read_json

ORIGIN_FILE = "origin.json"


@dataclass(frozen=True)
class Origin:
    """The repository on the Hub and verified files of a downloaded model."""

    repo: str
    commit: str
    files: Mapping[str, Any]  # size and SHA-256 by name

    @property
    def source(self) -> HubSource:
        """The repository on the Hub, pinned to the commit."""
        return HubSource(self.repo, self.commit)

    @property
    def pins(self) -> dict[str, FilePin]:
        """Expected size and hash of every file."""
        return {name: decode(FilePin, pin, f"files.{name}") for name, pin in self.files.items()}

    @property
    def size(self) -> int:
        """Size of all files in bytes."""
        return sum(pin.size for pin in self.pins.values())


def repo_folder(repo: str) -> Path:
    """Return the folder that holds all downloaded commits of a repository."""
    return cache_folder() / "models" / repo.replace("/", "--")


def commit_folder(source: HubSource) -> Path:
    """Return the folder of a source that is pinned to a commit."""
    assert source.is_pinned
    return repo_folder(source.repo) / str(source.revision)


def resolve(source: HubSource) -> HubSource | None:
    """Return the source at the commit of its branch or tag when it was downloaded, or None."""
    if source.is_pinned:
        return source
    try:
        commit = _ref(source).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    resolved = HubSource(source.repo, commit)
    return resolved if resolved.is_pinned else None


def read_origin(folder: Path) -> Origin | None:
    """Return the origin of a downloaded model; None for any other folder."""
    try:
        origin = decode(Origin, read_json(folder / ORIGIN_FILE))
        # A user's own copy of such a folder is not part of the cache.
        right = commit_folder(origin.source) == folder.absolute() and origin.size > 0
    except (OSError, SchemaError, AssertionError):
        return None
    return origin if right else None


def find(source: HubSource) -> tuple[Path, Origin] | None:
    """Return folder and origin of a downloaded model whose files have the right sizes, or None."""
    pinned = resolve(source)
    folder = commit_folder(pinned) if pinned else None
    origin = read_origin(folder) if folder else None
    if folder is None or origin is None:
        return None
    complete = all(has_size(folder / name, pin.size) for name, pin in origin.pins.items())
    return (folder, origin) if complete else None


def downloaded() -> list[tuple[Path, Origin]]:
    """Return all downloaded models, sorted by repository and commit."""
    folders = sorted(path.parent for path in cache_folder().glob(f"models/*/*/{ORIGIN_FILE}"))
    found = [(folder, read_origin(folder)) for folder in folders]
    return [(folder, origin) for folder, origin in found if origin is not None]


def record(folder: Path, source: HubSource, names: Iterable[str], requested: HubSource) -> None:
    """Record the verified files of a pinned source, which makes their folder a model.

    The commit of the requested branch or tag is recorded, too.
    """
    files = {name: fingerprint(folder / name) for name in names}
    origin = Origin(source.repo, str(source.revision), encode(files))
    write_json(folder / ORIGIN_FILE, encode(origin), indent=2)
    if requested.revision != source.revision:
        ref = _ref(requested)
        make_folder(ref.parent)
        write_text(ref, f"{source.revision}\n")


def delete(folder: Path) -> int:
    """Delete a folder atomically and return the freed bytes."""
    freed = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    removed = folder.with_name(f".removed-{os.getpid()}-{folder.name}")
    try:
        folder.rename(removed)
        shutil.rmtree(removed)
        with suppress(OSError):  # unless there are other commits
            folder.parent.rmdir()
    except OSError as error:
        raise FlomoError(f"{folder} cannot be deleted: {reason_of(error)}.") from error
    return freed


def _ref(source: HubSource) -> Path:
    name = quote(source.revision or "main", safe="")
    return repo_folder(source.repo) / "refs" / f"{name}.txt"
