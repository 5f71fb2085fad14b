"""The record of one revision of a correction: everything except the voxels, in JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_flomo.corrections.store.correction import FrameSlice, ModelReference, State
from napari_flomo.corrections.store.migration import SCHEMA, upgrade_record
from napari_flomo.errors import FlomoError, reason_of
from napari_flomo.schema import SchemaError, decode, encode, read_json

ID = re.compile(r"[0-9a-f]{16}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_FILE = re.compile(r"[a-z0-9-]+(/[a-z0-9-]+)*\.(nii\.gz|png|tif|nrrd)")


@dataclass(frozen=True)
class StoredFile:
    """A file of the store.

    Parameters
    ----------
    file
        Its place below the store's folder, with forward slashes.
    sha256
        Of its bytes, as ``sha256sum`` prints it.
    """

    file: str
    sha256: str

    def __post_init__(self) -> None:
        # A record is untrusted input: it must not refer to files outside the store.
        _require(_FILE.fullmatch(self.file) is not None, f"{self.file!r} is no file in a store")
        _require(_SHA256.fullmatch(self.sha256) is not None, f"{self.sha256!r} is no SHA-256")


@dataclass(frozen=True)
class ImageEntry:
    """Which image it is.

    Parameters
    ----------
    sha256
        `napari_flomo.corrections.identity` of the image: of its voxels and geometry.
    shape
        Number of frames, slices, rows and columns.
    modality
        "MR", "CT", ...; None when unknown.
    copy
        Its copy in the store; None when the store keeps only the hash.
    """

    sha256: str
    shape: tuple[int, ...]
    modality: str | None
    copy: StoredFile | None


@dataclass(frozen=True)
class Record:
    """One revision of a correction.

    Parameters
    ----------
    id
        Of the correction; the same for all its revisions. A salted hash of image, reader and
        structures.
    revision
        1, 2, 3, ...
    sequence
        Its position in the history of the store.
    year
        The calendar year. No date is stored, because it is often that of the examination.
    state, reader, seconds, group, model, software
        As in `Correction`; whole seconds.
    structures
        Names by code (as text, a JSON key).
    image
        Which image.
    proposed, corrected
        The label files.
    seen, changed
        Pairs of frame and slice, counted from 0.
    digest
        SHA-256 of the content; equal revisions have the same digest.
    schema
        Version of the layout.
    """

    id: str
    revision: int
    sequence: int
    year: int
    state: State
    reader: str
    seconds: float
    group: str
    model: ModelReference | None
    structures: Mapping[str, Any]
    image: ImageEntry
    proposed: StoredFile | None
    corrected: StoredFile
    seen: tuple[tuple[int, ...], ...]
    changed: tuple[tuple[int, ...], ...]
    software: Mapping[str, Any]
    digest: str
    schema: int = SCHEMA

    def __post_init__(self) -> None:
        _require(ID.fullmatch(self.id) is not None, "'id' must be 16 hexadecimal digits")
        _require(self.revision > 0 and self.sequence > 0, "'revision' and 'sequence' start at 1")
        _require(len(self.image.shape) == 4, "'image.shape' must be four numbers")
        pairs = all(len(place) == 2 for place in (*self.seen, *self.changed))
        _require(pairs, "'seen' and 'changed' must be pairs of frame and slice")
        named = all(
            code.isdecimal() and isinstance(name, str) for code, name in self.structures.items()
        )
        _require(bool(self.structures) and named, "'structures' must give codes names")

    @property
    def codes(self) -> dict[int, str]:
        """Names by code."""
        return {int(code): str(name) for code, name in self.structures.items()}

    @property
    def places_seen(self) -> tuple[FrameSlice, ...]:
        """The slices that the reader checked, as in `Correction`."""
        return tuple((place[0], place[1]) for place in self.seen)

    @property
    def files(self) -> tuple[StoredFile, ...]:
        """All files that it refers to."""
        found = (self.image.copy, self.proposed, self.corrected)
        return tuple(file for file in found if file is not None)

    def to_text(self) -> str:
        """Return the text of the file: one line for each key."""
        content = encode(self)
        lines = [f" {json.dumps(key)}: {json.dumps(value)}" for key, value in content.items()]
        return "{\n" + ",\n".join(lines) + "\n}\n"


def read_record(path: Path) -> Record:
    """Read a record of any layout; raise FileNotFoundError or, if it is damaged, FlomoError."""
    try:
        return decode(Record, upgrade_record(read_json(path)))
    except FileNotFoundError:
        raise
    except OSError as error:
        reason = reason_of(error)
        raise FlomoError(f"The record {_short(path)} cannot be read: {reason}.") from error
    except SchemaError as fault:
        raise FlomoError(f"The record {_short(path)} is not valid: {fault}.") from fault


def _short(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise SchemaError(message)
