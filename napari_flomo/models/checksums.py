"""Sizes and hashes of files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from napari_flomo.errors import FlomoError, reason_of


@dataclass(frozen=True)
class FilePin:
    """Size in bytes and SHA-256 (lower-case hexadecimal) of a file."""

    size: int
    sha256: str

    def matches(self, path: Path) -> bool:
        """Return True if the file exists and has this content."""
        return has_size(path, self.size) and fingerprint(path) == self


@dataclass(frozen=True)
class GitBlob:
    """Size in bytes and git's SHA-1 of a file; the Hub states no other hash for small files."""

    size: int
    sha1: str

    def matches(self, path: Path) -> bool:
        """Return True if the file exists and has this content."""
        if not has_size(path, self.size):
            return False
        digest = hashlib.sha1(b"blob %d\0" % self.size, usedforsecurity=False)
        try:
            digest.update(path.read_bytes())
        except OSError as error:
            raise _unreadable(path, error) from error
        return digest.hexdigest() == self.sha1


Checksum = FilePin | GitBlob


def fingerprint(path: Path) -> FilePin:
    """Return size and SHA-256 of a file."""
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256")
            return FilePin(file.tell(), digest.hexdigest())
    except OSError as error:
        raise _unreadable(path, error) from error


def has_size(path: Path, size: int) -> bool:
    """Return True if the file exists and has this number of bytes."""
    return path.is_file() and path.stat().st_size == size


def bad_files(folder: Path, pins: Mapping[str, FilePin]) -> list[str]:
    """Return the names of files that are missing or have other content; all files are read."""
    return [name for name, pin in pins.items() if not pin.matches(folder / name)]


def set_aside(path: Path) -> None:
    """Rename a wrong file to ``*.bad``; in a read-only cache it stays and is never used."""
    with suppress(OSError):
        path.replace(path.with_name(f"{path.name}.bad"))


def _unreadable(path: Path, error: OSError) -> FlomoError:
    return FlomoError(f"The file {path} cannot be read: {reason_of(error)}.")
