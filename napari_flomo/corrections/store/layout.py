"""The files of a store."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from napari_flomo.corrections.store.migration import SCHEMA, upgrade_settings
from napari_flomo.corrections.store.record import ID
from napari_flomo.errors import FlomoError, reason_of
from napari_flomo.files import write_json, write_text
from napari_flomo.schema import SchemaError, decode, encode, read_json
from napari_flomo.volumes import Volume

_RECORD = re.compile(r"revision-(\d{4,})\.json")

README = """\
A store of corrected segmentations, written by napari-flomo
============================================================

Everything here can be read without that program: images and labels are NIfTI files, the rest is
JSON. Do not change anything by hand; `flomo corrections verify --store FOLDER` reports changes.

store.json
    Version of this layout (schema), the secret of the salted hashes below (salt), and whether
    images are copied into the store (copy_images).

images/KEY.nii.gz
    Copies of the images, named by a salted hash. Position and spacing are those of the original;
    the rest of its header was dropped. (.png or .tif for photos, .nrrd for other colour images.)

corrections/ID/revision-0001.json
    The record of one person's correction of one image, one key a line: the model and the hash of
    its card, the reader's alias, the names of the label codes (structures), the slices that were
    checked (seen) and changed, as pairs [frame, slice] counted from 0, the state (draft, accepted
    or rejected), the seconds spent, and the files with their SHA-256. Each change is a new
    revision; the highest one counts, and the older ones stay. A slice that was seen and not changed
    was right.

corrections/ID/revision-0001-corrected.nii.gz
corrections/ID/revision-0001-proposed.nii.gz
    The labels of the person and those of the model, on the grid of the image.
    A later revision refers to the same proposed file if it did not change.

corrections/ID/removed.json
    The correction and its labels were deleted.

history.jsonl
    All changes in order, one JSON object a line. "crc32" is the CRC-32 of the line without
    "crc32":"...",. Lines are only added. "begin" is followed by "added", "removed" or "abandoned".

store.lock
    Locked by a program while it writes; always empty.

"sequence" defines the order, not a clock. Only the year is stored: no dates, no names, no folders
and nothing from DICOM headers. An image is identified by "image.sha256", the hash of its voxels and
geometry.
"""


@dataclass(frozen=True)
class Settings:
    """The content of ``store.json``."""

    salt: str  # hexadecimal
    copy_images: bool = True
    schema: int = SCHEMA

    def token(self, *parts: str) -> str:
        """Return the salted hash of some texts: 16 hexadecimal digits."""
        message = json.dumps(parts).encode()
        return hmac.new(self.salt.encode(), message, hashlib.sha256).hexdigest()[:16]


class Layout:
    """Paths of a store."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = folder / "store.json"
        self.readme = folder / "README.txt"
        self.history = folder / "history.jsonl"
        self.lock = folder / "store.lock"
        self.images = folder / "images"
        self.corrections = folder / "corrections"

    def image(self, key: str, image: Volume) -> Path:
        """Return the path of the copy of an image, in a format that can store it."""
        if "channels" not in image.axes:
            suffix = ".nii.gz"
        elif image.geometry.spacing_known or "frames" in image.axes:
            suffix = ".nrrd"
        else:
            suffix = ".png" if image.n_slices == 1 else ".tif"
        return self.images / f"{key}{suffix}"

    def correction(self, id: str) -> Path:
        """Return the folder of a correction."""
        return self.corrections / id

    def record(self, id: str, revision: int) -> Path:
        """Return the record of a revision."""
        return self.correction(id) / f"revision-{revision:04}.json"

    def labels(self, id: str, revision: int, which: Literal["proposed", "corrected"]) -> Path:
        """Return the labels of a revision."""
        return self.correction(id) / f"revision-{revision:04}-{which}.nii.gz"

    def tombstone(self, id: str) -> Path:
        """Return the file that marks a correction as deleted."""
        return self.correction(id) / "removed.json"

    def path(self, file: str) -> Path:
        """Return the path of a `StoredFile`."""
        return self.folder.joinpath(*file.split("/"))

    def name(self, path: Path) -> str:
        """Return the name of a path in a `StoredFile`."""
        return path.relative_to(self.folder).as_posix()

    def ids(self) -> Iterator[str]:
        """Yield the ids of all corrections, including deleted ones."""
        try:
            names = sorted(path.name for path in self.corrections.iterdir())
            yield from filter(ID.fullmatch, names)
        except FileNotFoundError:
            return
        except OSError as error:
            raise _unreadable(self.corrections, error) from error

    def revisions(self, id: str) -> list[int]:
        """Return the revisions of a correction, ascending; empty if it was deleted."""
        try:
            names = {path.name for path in self.correction(id).iterdir()}
        except FileNotFoundError:
            return []
        except OSError as error:
            raise _unreadable(self.correction(id), error) from error
        if self.tombstone(id).name in names:
            return []
        return sorted(int(match[1]) for name in names if (match := _RECORD.fullmatch(name)))


def is_store(folder: Path) -> bool:
    """Return True if a folder is a store."""
    return (folder / "store.json").is_file()


def write_settings(layout: Layout, settings: Settings) -> None:
    """Write ``README.txt`` and ``store.json``."""
    write_text(layout.readme, README)
    write_json(layout.settings, encode(settings))  # last: it makes the folder a store


def new_settings(copy_images: bool) -> Settings:
    """Return the settings of a new store with a random salt."""
    return Settings(secrets.token_hex(32), copy_images)


def read_settings(layout: Layout) -> tuple[Settings, int]:
    """Return the settings in the present layout, and the version of the stored one."""
    try:
        content = read_json(layout.settings)
        settings = decode(Settings, upgrade_settings(content))
    except FileNotFoundError as error:
        raise FlomoError(
            f"{layout.folder} is not a store of corrections; choose another folder or create one."
        ) from error
    except OSError as error:
        raise _unreadable(layout.settings, error) from error
    except SchemaError as fault:
        raise FlomoError(f"The store {layout.folder} cannot be opened: {fault}.") from fault
    return settings, int(content["schema"])


def _unreadable(path: Path, error: OSError) -> FlomoError:
    return FlomoError(f"{path} cannot be read: {reason_of(error)}.")
