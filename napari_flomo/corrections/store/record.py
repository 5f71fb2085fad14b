"""The record of one revision of a correction: all of it but the voxels, as readable JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_flomo.corrections.store.correction import ModelReference, Place, State
from napari_flomo.corrections.store.migration import SCHEMA, upgrade_record
from napari_flomo.errors import FlomoError
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
        # A record may come from anywhere: it must not lead out of the store.
        _demand(_FILE.fullmatch(self.file) is not None, f"{self.file!r} is no file of a store")
        _demand(_SHA256.fullmatch(self.sha256) is not None, f"{self.sha256!r} is no SHA-256")


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
    """What a store knows of one revision of a correction.

    Parameters
    ----------
    id
        Of the correction; the same for all its revisions. A salted hash of image, reader and
        structures, so it leads back to nobody.
    revision
        1, 2, 3, ...
    sequence
        When it was written: its place among all that happened in this store.
    year
        The calendar year by the computer's clock. Nothing finer is kept, because a reading is often
        made on the day of the examination.
    state, reader, seconds, group, model, software
        As in `Correction`; whole seconds.
    structures
        Code, as text because JSON wants it so, and name.
    image
        Which image.
    proposed, corrected
        The label files.
    seen, changed
        Pairs of frame and slice, counted from 0.
    digest
        SHA-256 of what the revision says; two with the same digest say the same.
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
        _demand(ID.fullmatch(self.id) is not None, "'id' must be 16 hexadecimal digits")
        _demand(self.revision > 0 and self.sequence > 0, "'revision' and 'sequence' start at 1")
        _demand(len(self.image.shape) == 4, "'image.shape' must be four numbers")
        pairs = all(len(place) == 2 for place in (*self.seen, *self.changed))
        _demand(pairs, "'seen' and 'changed' must be pairs of frame and slice")
        named = all(
            code.isdecimal() and isinstance(name, str) for code, name in self.structures.items()
        )
        _demand(bool(self.structures) and named, "'structures' must give codes names")

    @property
    def codes(self) -> dict[int, str]:
        """What the codes stand for."""
        return {int(code): str(name) for code, name in self.structures.items()}

    @property
    def places_seen(self) -> tuple[Place, ...]:
        """What the reader looked at, as `Correction` has it."""
        return tuple((place[0], place[1]) for place in self.seen)

    @property
    def files(self) -> tuple[StoredFile, ...]:
        """All files that it refers to."""
        found = (self.image.copy, self.proposed, self.corrected)
        return tuple(file for file in found if file is not None)

    def to_text(self) -> str:
        """Return the record as its file holds it: one line for each key."""
        content = encode(self)
        lines = [f" {json.dumps(key)}: {json.dumps(value)}" for key, value in content.items()]
        return "{\n" + ",\n".join(lines) + "\n}\n"


def read_record(path: Path) -> Record:
    """Read a record of any layout up to the present one."""
    try:
        return decode(Record, upgrade_record(read_json(path)))
    except FileNotFoundError:
        raise
    except OSError as error:
        reason = error.strerror or error
        raise FlomoError(f"The record {_short(path)} cannot be read: {reason}.") from error
    except SchemaError as fault:
        raise FlomoError(f"The record {_short(path)} is not valid: {fault}.") from fault


def _short(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def _demand(condition: bool, message: str) -> None:
    if not condition:
        raise SchemaError(message)
