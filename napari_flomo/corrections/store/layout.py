"""Where everything lies in a store, and the two files that make a folder one."""

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
from napari_flomo.errors import FlomoError
from napari_flomo.files import atomic_write
from napari_flomo.schema import SchemaError, decode, encode, read_json
from napari_flomo.volumes import Volume

_RECORD = re.compile(r"revision-(\d{4,})\.json")

README = """\
A store of corrected segmentations, written by napari-flomo
============================================================

Everything here can be read without that program: images and labels are NIfTI files, the rest is
JSON. Please change nothing by hand; `flomo corrections verify --store FOLDER` would tell.

store.json
    Version of this layout (schema), the secret that makes the names below lead back to nobody
    (salt), and whether images are copied into the store (copy_images).

images/KEY.nii.gz
    Copies of the images, named by a salted hash. Position and spacing are those of the original;
    nothing else of its header was kept. (.png or .tif for photos, .nrrd for other colour images.)

corrections/ID/revision-0001.json
    What one person said of one image: a record, one key a line. It names the model and the hash of
    its card, the reader's alias, what the label codes stand for (structures), which slices were
    looked at (seen) and which were changed, as pairs [frame, slice] counted from 0, the state
    (draft, accepted or rejected), the seconds spent, and the files with their SHA-256. A change of
    mind is a new revision; the highest one counts, and the older ones stay. A slice that was seen
    and not changed was right: that is information, too.

corrections/ID/revision-0001-corrected.nii.gz
corrections/ID/revision-0001-proposed.nii.gz
    The labels as the person left them and as the model gave them, on the grid of the image.
    A later revision refers to the same proposed file if it did not change.

corrections/ID/removed.json
    The correction was deleted on purpose; its labels are gone.

history.jsonl
    What happened, in order, one JSON object a line. "crc32" is the CRC-32 of the line with
    "crc32":"...", taken out. Lines are only ever added. "begin" is followed by "added", "removed"
    or "abandoned" when all went well.

store.lock
    Held by a program while it writes. It may stay and is always empty.

Order is told by "sequence", not by a clock. Of the time only the year is kept: no dates, no names,
no folders and nothing of DICOM headers. An image is recognised by "image.sha256", the hash of its
voxels and geometry.
"""


@dataclass(frozen=True)
class Settings:
    """What ``store.json`` holds.

    Parameters
    ----------
    salt
        Secret of this store, hexadecimal.
    copy_images
        Whether images are copied into the store.
    schema
        Version of the layout.
    """

    salt: str
    copy_images: bool = True
    schema: int = SCHEMA

    def token(self, *parts: str) -> str:
        """Return 16 hexadecimal digits that stand for some texts in this store only."""
        message = json.dumps(parts).encode()
        return hmac.new(self.salt.encode(), message, hashlib.sha256).hexdigest()[:16]


class Layout:
    """Paths of a store.

    Parameters
    ----------
    folder
        Of the store.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = folder / "store.json"
        self.readme = folder / "README.txt"
        self.history = folder / "history.jsonl"
        self.lock = folder / "store.lock"
        self.images = folder / "images"
        self.corrections = folder / "corrections"

    def image(self, key: str, image: Volume) -> Path:
        """Return where the copy of an image lies, in a format that can hold it."""
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
        """Return the file that says that a correction was deleted."""
        return self.correction(id) / "removed.json"

    def path(self, file: str) -> Path:
        """Return the path of a `StoredFile`."""
        return self.folder.joinpath(*file.split("/"))

    def name(self, path: Path) -> str:
        """Return what a `StoredFile` calls a path."""
        return path.relative_to(self.folder).as_posix()

    def ids(self) -> Iterator[str]:
        """Yield the corrections of which there is a folder, deleted ones too."""
        try:
            yield from sorted(path.name for path in self.corrections.iterdir() if _is_id(path.name))
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
    """Write ``store.json`` and the explanation beside it."""
    with atomic_write(layout.readme) as temporary:
        temporary.write_text(README, encoding="utf-8")
    with atomic_write(layout.settings) as temporary:  # last: it makes the folder a store
        temporary.write_text(json.dumps(encode(settings), indent=1) + "\n", encoding="utf-8")


def new_settings(copy_images: bool) -> Settings:
    """Return the settings of a new store, with a salt of its own."""
    return Settings(secrets.token_hex(32), copy_images)


def read_settings(layout: Layout) -> tuple[Settings, int]:
    """Return the settings in the layout of today, and the layout that they are written in."""
    try:
        content = read_json(layout.settings)
        settings = decode(Settings, upgrade_settings(content))
    except FileNotFoundError as error:
        raise FlomoError(
            f"{layout.folder} is not a store of corrections; choose another folder or make one."
        ) from error
    except OSError as error:
        raise _unreadable(layout.settings, error) from error
    except SchemaError as fault:
        raise FlomoError(f"The store {layout.folder} cannot be opened: {fault}.") from fault
    return settings, int(content["schema"])


def _is_id(name: str) -> bool:
    return ID.fullmatch(name) is not None


def _unreadable(path: Path, error: OSError) -> FlomoError:
    return FlomoError(f"{path} cannot be read: {error.strerror or error}.")
