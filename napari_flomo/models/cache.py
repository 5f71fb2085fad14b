"""Where fetched models lie on this computer, and what is known of each.

``models/<organisation>--<name>/<commit>/`` holds the files of one commit and ``origin.json``, which
is written last: a folder without it is not a model yet. ``models/<...>/refs/<revision>.txt`` tells
which commit a branch or tag was when it was fetched, so that a model does not change under its user
until it is pulled again.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from napari_flomo.errors import FlomoError
from napari_flomo.files import atomic_write
from napari_flomo.models.hub import FilePin, HubSource
from napari_flomo.models.index import COMMIT
from napari_flomo.models.schema import SchemaFault, decode, encode, read_json
from napari_flomo.paths import cache_folder

ORIGIN_FILE = "origin.json"


@dataclass(frozen=True)
class Origin:
    """Where the files of a fetched model came from and what they were when they were checked.

    Parameters
    ----------
    repo, commit
        Repository and commit (40 digits) on the Hub.
    files
        Size and SHA-256 of every file, by name.
    """

    repo: str
    commit: str
    files: Mapping[str, Any]

    @property
    def source(self) -> HubSource:
        """The place on the Hub, pinned."""
        return HubSource(self.repo, self.commit)

    @property
    def pins(self) -> dict[str, FilePin]:
        """What every file must be."""
        return {name: decode(FilePin, pin, f"files.{name}") for name, pin in self.files.items()}

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(pin.size for pin in self.pins.values())


def repo_folder(repo: str) -> Path:
    """Return the folder of all commits of a repository."""
    return cache_folder() / "models" / repo.replace("/", "--")


def commit_folder(source: HubSource) -> Path:
    """Return the folder of a source whose revision is a commit."""
    assert source.revision is not None
    assert COMMIT.fullmatch(source.revision)
    return repo_folder(source.repo) / source.revision


def pinned(source: HubSource) -> HubSource | None:
    """Return the source at the commit that its branch or tag was when it was fetched, or None."""
    if source.revision is not None and COMMIT.fullmatch(source.revision):
        return source
    try:
        commit = _ref(source).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return HubSource(source.repo, commit) if COMMIT.fullmatch(commit) else None


def read_origin(folder: Path) -> Origin | None:
    """Return what is known of a fetched model; None for any other folder."""
    try:
        origin = decode(Origin, read_json(folder / ORIGIN_FILE))
        # Somebody's own copy is his own folder, even with this file in it.
        right = commit_folder(origin.source) == folder.absolute() and origin.size > 0
    except (OSError, SchemaFault, AssertionError):
        return None
    return origin if right else None


def find(source: HubSource) -> tuple[Path, Origin] | None:
    """Return the folder of a fetched model whose files all have their size; None if there is none.

    Contents are not read here; `bad_files` does that.
    """
    fixed = pinned(source)
    if fixed is None:
        return None
    folder = commit_folder(fixed)
    origin = read_origin(folder)
    if origin is None:
        return None
    for name, pin in origin.pins.items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != pin.size:
            return None
    return folder, origin


def installed() -> list[tuple[Path, Origin]]:
    """Return all fetched models, sorted by repository and commit."""
    folders = sorted(path.parent for path in cache_folder().glob(f"models/*/*/{ORIGIN_FILE}"))
    found = [(folder, read_origin(folder)) for folder in folders]
    return [(folder, origin) for folder, origin in found if origin is not None]


def record(folder: Path, source: HubSource, names: list[str], asked: HubSource) -> Origin:
    """Write down that the files of a folder were checked; from now on it is a model.

    Parameters
    ----------
    folder
        Of the commit.
    source
        The repository at that commit.
    names
        Its files.
    asked
        As the user named it; a branch or tag is remembered.
    """
    files = {name: fingerprint(folder / name) for name in names}
    origin = Origin(
        source.repo, str(source.revision), encode({n: vars(p) for n, p in files.items()})
    )
    with atomic_write(folder / ORIGIN_FILE) as temporary:
        temporary.write_text(json.dumps(encode(origin), indent=2) + "\n", encoding="utf-8")
    if asked.revision != source.revision:
        ref = _ref(asked)
        try:
            ref.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = error.strerror or error
            raise FlomoError(f"The folder {ref.parent} cannot be made: {reason}.") from error
        with atomic_write(ref) as temporary:
            temporary.write_text(f"{source.revision}\n", encoding="ascii")
    return origin


def fingerprint(path: Path) -> FilePin:
    """Return size and SHA-256 of a file.

    Raises
    ------
    FlomoError
        If it cannot be read.
    """
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256")
            return FilePin(file.tell(), digest.hexdigest())
    except OSError as error:
        reason = error.strerror or error
        raise FlomoError(f"The file {path} cannot be read: {reason}.") from error


def bad_files(folder: Path, pins: Mapping[str, FilePin]) -> list[str]:
    """Read all files and return the names of those that are missing or not what they must be."""
    return [
        name
        for name, pin in pins.items()
        if not (folder / name).is_file() or fingerprint(folder / name) != pin
    ]


def set_aside(path: Path) -> None:
    """Rename a wrong file to ``*.bad``; in a read-only cache it stays, and is refused again."""
    from napari_flomo.models import transfer

    with suppress(OSError, FlomoError):
        transfer.set_aside(path)


def delete(folder: Path) -> None:
    """Remove a folder of the cache; other processes see all of it or nothing.

    Raises
    ------
    FlomoError
        If it cannot be removed.
    """
    doomed = folder.with_name(f".removed-{os.getpid()}-{folder.name}")
    try:
        folder.rename(doomed)
        shutil.rmtree(doomed)
        with suppress(OSError):  # other commits may be there
            folder.parent.rmdir()
    except OSError as error:
        reason = error.strerror or error
        raise FlomoError(f"{folder} cannot be removed: {reason}.") from error


def _ref(source: HubSource) -> Path:
    name = quote(source.revision or "main", safe="")
    return repo_folder(source.repo) / "refs" / f"{name}.txt"
