"""Crash-safe changes of a store.

A writer holds the lock, writes ``begin`` to the history, then the files, the record last, then
``added``. The record decides: after a crash the next writer finds a ``begin`` without an end, and
either adds the end (if the record exists) or removes the files.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

import napari_flomo
from napari_flomo.corrections.store.addition import Addition, same_image, shape_of
from napari_flomo.corrections.store.history import History, HistoryEntry
from napari_flomo.corrections.store.layout import Layout, read_settings, write_settings
from napari_flomo.corrections.store.migration import SCHEMA
from napari_flomo.corrections.store.record import Record, StoredFile, read_record
from napari_flomo.corrections.store.verification import file_hash
from napari_flomo.corrections.stored_files import read_stored, write_stored
from napari_flomo.errors import FlomoError, reason_of
from napari_flomo.files import acquire_lock, make_folder, write_text
from napari_flomo.volumes import Volume

LOCK_SECONDS = 30.0
"""How long to wait for another program; writing a long cine takes some seconds."""


@contextmanager
def store_lock(layout: Layout, seconds: float = LOCK_SECONDS) -> Iterator[None]:
    """Hold the write lock of a store."""
    with acquire_lock(
        layout.lock,
        seconds,
        busy=(
            f"Another program is writing to the store {layout.folder}; wait until it is done and "
            "try again."
        ),
        refused=lambda reason: (
            f"The store {layout.folder} can be read but not written ({reason}); choose another "
            "store to save to."
        ),
    ):
        yield


@contextmanager
def writing(layout: Layout) -> Iterator[Transaction]:
    """Lock a store, and complete or roll back an interrupted change."""
    with store_lock(layout):
        yield Transaction(layout)


@dataclass(frozen=True)
class _RevisionId:
    id: str
    revision: int
    group: str
    digest: str


class Transaction:
    """Changes of a locked store."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.history = History(layout.history)
        self.history.truncate_incomplete()
        self.recover()
        self.settings, schema = read_settings(layout)
        if schema < SCHEMA:
            write_settings(layout, self.settings)
            self.history.append("migrated", older=schema, newer=SCHEMA)

    def recover(self) -> None:
        """Complete or roll back a change that was interrupted."""
        last = self.history.last()
        if last is None:
            # The file was lost: continue with the numbers of the records.
            records = (
                self.layout.record(id, n)
                for id in self.layout.ids()
                for n in self.layout.revisions(id)
            )
            numbers = [found.sequence for path in records if (found := _readable(path))]
            self.history.append("created", max(numbers, default=0) + 1, schema=SCHEMA)
        elif last.event == "begin":
            if last.about["action"] == "add":
                record = self.layout.record(last.about["id"], last.about["revision"])
                if record.exists():
                    self._end_addition(record, last)
                else:
                    self._roll_back(last)
            elif self.layout.tombstone(last.about["id"]).exists():
                self._finish_removal(last.about["id"])
            else:
                self._remove_temporary_files(last.about["id"])
                self.history.append("abandoned", id=last.about["id"])

    def add(self, addition: Addition, *, imported: bool = False) -> tuple[str, bool]:
        """Write a correction, new or as the next revision of an earlier one.

        An ``imported`` one is also skipped if an older revision is equal, or if it was deleted
        here. Returns its id, and whether anything was written.
        """
        generation = 0
        while self.layout.tombstone(addition.id(self.settings, generation)).exists():
            generation += 1
        id = addition.id(self.settings, 0 if imported else generation)
        if imported and generation:
            return id, False
        numbers = self.layout.revisions(id)
        compared = [
            _readable(self.layout.record(id, n)) for n in (numbers if imported else numbers[-1:])
        ]
        latest = compared[-1] if compared else None
        group = addition.correction.group or (
            latest.group if latest else self.settings.token("group", addition.image_hash)
        )
        digest = addition.digest(group)
        if any(record is not None and record.digest == digest for record in compared):
            return id, False
        if latest is not None and shape_of(addition.correction.corrected) != latest.image.shape:
            raise FlomoError(
                "The labels have another shape than the image in the store; open the image that "
                "was corrected."
            )
        head = _RevisionId(id, max(numbers, default=0) + 1, group, digest)
        self._write(addition, latest, head)
        return id, True

    def remove(self, id: str) -> None:
        """Delete all revisions of a correction and leave a tombstone."""
        if not self.layout.revisions(id):
            raise FlomoError(f"There is no correction {id} in {self.layout.folder}.")
        self.history.append("begin", action="remove", id=id)
        text = json.dumps({"schema": SCHEMA, "id": id}) + "\n"
        write_text(self.layout.tombstone(id), text)
        self._finish_removal(id)

    def _write(self, addition: Addition, latest: Record | None, head: _RevisionId) -> None:
        """Write image, labels and record of a revision between ``begin`` and ``added``."""
        layout, correction = self.layout, addition.correction
        copy, missing = self._image_copy(addition, latest)
        new_image = None if missing is None or missing.exists() else layout.name(missing)
        begin = self.history.append(
            "begin", action="add", id=head.id, revision=head.revision, new_image=new_image
        )
        try:
            for folder in (layout.images, layout.corrections, layout.correction(head.id)):
                make_folder(folder)
            if missing is not None and correction.image is not None:
                write_stored(replace(correction.image, source=""), missing)
                copy = self._stored(missing)
            proposed = self._write_proposed(correction.proposed, latest, head)
            corrected = layout.labels(head.id, head.revision, "corrected")
            write_stored(correction.corrected, corrected)
            record = Record(
                **vars(head),
                sequence=begin.sequence,
                year=time.gmtime().tm_year,
                state=correction.state,
                reader=correction.reader,
                seconds=round(correction.seconds),
                model=correction.model,
                structures={
                    str(code): name for code, name in sorted(correction.structures.items())
                },
                image=addition.image_entry(copy),
                proposed=proposed,
                corrected=self._stored(corrected),
                seen=tuple(correction.seen),
                changed=correction.changed,
                software=dict(correction.software) | _own_software(),
            )
            path = layout.record(head.id, head.revision)
            write_text(path, record.to_text())
            self._end_addition(path, begin)
        except BaseException:
            if self.history.last() == begin:
                with suppress(FlomoError, OSError):
                    self._roll_back(begin)
            raise

    def _image_copy(
        self, addition: Addition, latest: Record | None
    ) -> tuple[StoredFile | None, Path | None]:
        """Return the copy of the image, and the path to write it to if there is no valid one."""
        image = addition.correction.image
        known = latest.image.copy if latest is not None else None
        if image is None or not self.settings.copy_images:
            return known, None
        path = self.layout.image(self.settings.token("image", addition.image_hash), image)
        try:
            if known is not None and self.layout.path(known.file) == path:
                good = file_hash(path) == known.sha256
            else:
                good = path.exists() and same_image(read_stored(path), image)
        except (FlomoError, OSError):
            good = False
        return (self._stored(path), None) if good else (None, path)

    def _write_proposed(
        self, labels: Volume | None, latest: Record | None, head: _RevisionId
    ) -> StoredFile | None:
        """Write the proposed labels, unless the previous revision has the same ones."""
        if labels is None:
            return None
        before = latest.proposed if latest is not None else None
        if before is not None:
            with suppress(FlomoError, OSError):
                path = self.layout.path(before.file)
                if file_hash(path) == before.sha256 and np.array_equal(
                    read_stored(path).data, labels.data
                ):
                    return before
        path = self.layout.labels(head.id, head.revision, "proposed")
        write_stored(labels, path)
        return self._stored(path)

    def _end_addition(self, record: Path, begin: HistoryEntry) -> None:
        about = {key: begin.about[key] for key in ("id", "revision")}
        self.history.append("added", **about, record_sha256=file_hash(record))

    def _roll_back(self, begin: HistoryEntry) -> None:
        """Remove the files of an incomplete addition."""
        id, revision = begin.about["id"], begin.about["revision"]
        self.layout.record(id, revision).unlink(missing_ok=True)
        self.layout.labels(id, revision, "proposed").unlink(missing_ok=True)
        self.layout.labels(id, revision, "corrected").unlink(missing_ok=True)
        if begin.about["new_image"]:
            self.layout.path(begin.about["new_image"]).unlink(missing_ok=True)
        self._remove_temporary_files(id)
        self.history.append("abandoned", id=id, revision=revision)

    def _remove_temporary_files(self, id: str) -> None:
        """Remove temporary files; no other program is writing."""
        for folder in (self.layout.correction(id), self.layout.images, self.layout.folder):
            for leftover in folder.glob(".flomo-*"):
                leftover.unlink(missing_ok=True)
        with suppress(OSError):
            self.layout.correction(id).rmdir()  # if empty

    def _finish_removal(self, id: str) -> None:
        folder, keep = self.layout.correction(id), self.layout.tombstone(id)
        try:
            for path in folder.iterdir():
                if path != keep:
                    path.unlink(missing_ok=True)
            used: set[Path] = set()
            for other in self.layout.ids():
                for number in self.layout.revisions(other):
                    record = _readable(self.layout.record(other, number))
                    if record is None:
                        used.update(self.layout.images.iterdir())  # the image it uses is unknown
                    elif record.image.copy is not None:
                        used.add(self.layout.path(record.image.copy.file))
            for path in self.layout.images.iterdir():
                if path not in used:
                    path.unlink(missing_ok=True)
        except OSError as error:
            raise FlomoError(
                f"The correction {id} is marked as deleted, but not all of its files could be "
                f"removed ({reason_of(error)}); the next change of the store tries again."
            ) from error
        self.history.append("removed", id=id)

    def _stored(self, path: Path) -> StoredFile:
        return StoredFile(self.layout.name(path), file_hash(path))


def _readable(path: Path) -> Record | None:
    try:
        return read_record(path)
    except (FlomoError, FileNotFoundError):
        return None


def _own_software() -> dict[str, str]:
    return {"napari-flomo": napari_flomo.__version__, "python": platform.python_version()}
