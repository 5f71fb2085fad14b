"""The files of a journal.

======================  ==========================================================================
``image.nrrd``          copy of the image (``image.tif`` for a colour photo)
``labels-0.nrrd``       labels of the network before editing
``strokes-0.bin``       changes since then
``labels-N.nrrd``       labels after compaction N; ``strokes-N.bin`` has the changes since then
``journal.json``        hash of the image, model, times; written last, so a journal has it
``lock``                held while a program has the journal open
======================  ==========================================================================
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_flomo.corrections.strokes import MAGIC, DamagedRecord, Stroke, records
from napari_flomo.errors import FlomoError, reason_of
from napari_flomo.files import acquire_lock, write_json
from napari_flomo.volumes import Volume

if TYPE_CHECKING:
    from filelock import BaseFileLock

SCHEMA = 1
ABOUT_FILE = "journal.json"
LOCK_FILE = "lock"
_STROKES = re.compile(r"strokes-(\d+)\.bin")


@dataclass(frozen=True)
class About:
    """The content of ``journal.json``."""

    image_hash: str
    created: float  # seconds since 1970
    shape: tuple[int, ...]  # of the labels
    note: Mapping[str, Any]  # model, card hash, names of the codes, versions


@dataclass(frozen=True)
class Content:
    """The valid strokes of a journal since its last compaction."""

    generation: int  # number of compactions
    strokes: list[Stroke]
    end: int  # offset after the last valid stroke
    fault: str | None  # why the rest of the file is damaged


def labels_file(folder: Path, generation: int) -> Path:
    """Return the file of the labels before the strokes of a generation."""
    return folder / f"labels-{generation}.nrrd"


def strokes_file(folder: Path, generation: int) -> Path:
    """Return the file of the strokes of a generation."""
    return folder / f"strokes-{generation}.bin"


def image_file(folder: Path, image: Volume | None = None) -> Path:
    """Return the file of the image copy, existing or for ``image``."""
    photo = folder / "image.tif"
    coloured = photo.exists() if image is None else "channels" in image.axes
    return photo if coloured else folder / "image.nrrd"


def lock_journal(folder: Path, seconds: float = 0.0) -> BaseFileLock:
    """Acquire the lock of a journal; wait some seconds for another program."""
    return acquire_lock(
        folder / LOCK_FILE,
        seconds,
        busy="These corrections are open in another window or program; close them there first.",
        refused=lambda reason: f"The journal {folder} cannot be locked: {reason}.",
    ).lock


def write_about(folder: Path, about: About) -> None:
    """Write ``journal.json``."""
    content = {
        "schema": SCHEMA,
        "image_sha256": about.image_hash,
        "created": about.created,
        "shape": list(about.shape),
        "about": dict(about.note),
    }
    write_json(folder / ABOUT_FILE, content)


def read_about(folder: Path) -> About:
    """Read ``journal.json``."""
    try:
        content = json.loads((folder / ABOUT_FILE).read_text(encoding="utf-8"))
        if content["schema"] > SCHEMA:
            raise FlomoError(
                "These corrections were written by a newer napari-flomo; update it to open them."
            )
        return About(
            str(content["image_sha256"]),
            float(content["created"]),
            tuple(int(length) for length in content["shape"]),
            dict(content["about"]),
        )
    except FileNotFoundError as error:
        raise FlomoError(f"The folder {folder} holds no journal of corrections.") from error
    except OSError as error:
        raise FlomoError(f"The journal {folder} cannot be read: {reason_of(error)}.") from error
    except (ValueError, LookupError, TypeError) as error:
        raise FlomoError(
            f"The journal {folder} is damaged: its {ABOUT_FILE} was changed or truncated."
        ) from error


def read_content(folder: Path) -> Content:
    """Read the strokes of the present generation."""
    generation = _generation(folder)
    try:
        content = strokes_file(folder, generation).read_bytes()
    except OSError as error:
        raise FlomoError(f"The journal {folder} cannot be read: {reason_of(error)}.") from error
    strokes: list[Stroke] = []
    end, fault = min(len(MAGIC), len(content)), None
    try:
        for stroke, offset in records(content):
            strokes.append(stroke)
            end = offset
    except DamagedRecord as damage:
        fault = str(damage)
        if content[: len(MAGIC)] != MAGIC:
            end = 0
    return Content(generation, strokes, end, fault)


def _generation(folder: Path) -> int:
    """Return the latest generation with labels and strokes."""
    try:
        names = {path.name for path in folder.iterdir()}
    except OSError as error:
        raise FlomoError(f"The folder {folder} holds no journal of corrections.") from error
    numbers = sorted(int(match[1]) for name in names if (match := _STROKES.fullmatch(name)))
    complete = [number for number in numbers if labels_file(folder, number).name in names]
    if not complete:
        raise FlomoError(f"The journal {folder} is damaged: its labels or strokes are missing.")
    return complete[-1]
