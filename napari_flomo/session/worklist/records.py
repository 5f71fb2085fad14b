"""What is remembered of each study of a work list: one small file per study.

The files are in the user's data folder, so that folders of images may be read-only. They are named
by hashes of paths, and hold no names, dates or paths: those may identify patients. With one file
per study, windows that work on different studies of a folder do not meet at all; in the same study,
a lock and a revision number keep one from undoing what the other one did.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from napari_flomo.files import acquire_lock, make_folder, write_text
from napari_flomo.paths import data_folder
from napari_flomo.schema import SchemaError, decode, encode, read_json

SCHEMA = 1
LOCK_SECONDS = 5.0

_POSITION = "position.json"

T = TypeVar("T")


class StudyState(StrEnum):
    """How far a study is, in order."""

    NEW = "new"
    SEGMENTED = "segmented"
    IN_REVIEW = "in review"
    ACCEPTED = "accepted"

    @property
    def rank(self) -> int:
        """0 for a new study, 3 for an accepted one."""
        return list(StudyState).index(self)


@dataclass(frozen=True)
class StudyRecord:
    """What is remembered of a study.

    Attributes
    ----------
    revision
        Counts the changes.
    state
        A `StudyState`.
    accepted, slices
        Numbers of accepted and of segmented slices.
    image
        `identity` of the image; empty if unknown.
    stamp
        `stamp_of` the files when the study was opened last.
    series
        Name of the series that was chosen of several.
    labels
        SHA-256 of the labels file that was saved last; empty for none.
    note
        `note_of` the image when its labels were saved.
    """

    schema: int = SCHEMA
    revision: int = 0
    state: str = StudyState.NEW.value
    accepted: int = 0
    slices: int = 0
    image: str = ""
    stamp: str = ""
    series: str = ""
    labels: str = ""
    note: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.schema != SCHEMA:
            raise SchemaError(f"'schema' must be {SCHEMA}, not {self.schema}")
        if self.state not in list(StudyState):
            raise SchemaError(f"'state' must be one of {list(StudyState)}, not {self.state!r}")

    def with_state_of(self, other: StudyRecord) -> StudyRecord:
        """Return the record with the state of another one, if that is more advanced."""
        if StudyState(other.state).rank <= StudyState(self.state).rank:
            return self
        return replace(self, state=other.state, accepted=other.accepted, slices=other.slices)


@dataclass(frozen=True)
class Position:
    """Where the user is in a list: the key of the study, and whether leaving one saves it."""

    schema: int = SCHEMA
    study: str = ""
    save: bool = False


class StudyRecords:
    """The records of the studies below a folder.

    Parameters
    ----------
    root
        Folder of the studies.
    """

    def __init__(self, root: Path) -> None:
        self.folder = data_folder() / "worklists" / _hash(str(root.resolve()))

    def read(self, study: str) -> StudyRecord | None:
        """Return the record of a study; None without one, or if it is damaged."""
        return self._decode(StudyRecord, f"{self.key(study)}.json")

    def write(self, study: str, record: StudyRecord) -> StudyRecord:
        """Write the record of a study, and return it with its new revision.

        If another window changed the record since it was read, the more advanced state is kept.

        Raises
        ------
        FlomoError
            If it cannot be written.
        """
        with self._lock():
            known = self.read(study) or StudyRecord()
            if known.revision != record.revision:
                record = record.with_state_of(known)
            record = replace(record, revision=known.revision + 1)
            self._write(f"{self.key(study)}.json", record)
        return record

    @property
    def position(self) -> Position:
        """Where the user was last."""
        return self._decode(Position, _POSITION) or Position()

    @position.setter
    def position(self, position: Position) -> None:
        with self._lock():
            self._write(_POSITION, position)

    def count_others(self, studies: Collection[str]) -> int:
        """Return how many records belong to none of these studies: their files are gone."""
        known = {f"{self.key(study)}.json" for study in studies} | {_POSITION}
        if not self.folder.is_dir():
            return 0
        return sum(path.name not in known for path in self.folder.glob("*.json"))

    def make_folder(self) -> None:
        """Create the folder of the records; raises `FlomoError` if that fails."""
        for folder in (self.folder.parent.parent, self.folder.parent, self.folder):
            make_folder(folder)

    def key(self, study: str) -> str:
        """Return the name of a study that does not show its path."""
        return _hash(study)

    def _decode(self, kind: type[T], name: str) -> T | None:
        try:
            return decode(kind, read_json(self.folder / name))
        except (OSError, SchemaError):
            return None

    def _write(self, name: str, content: object) -> None:
        write_text(self.folder / name, json.dumps(encode(content)) + "\n")

    def _lock(self) -> Any:
        self.make_folder()
        return acquire_lock(
            self.folder / "lock",
            LOCK_SECONDS,
            busy="The work list is in use by another program; try again.",
            refused=lambda reason: f"The work list cannot be saved: {reason}.",
        )


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:24]
