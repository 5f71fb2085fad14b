"""The journal of an image: every stroke is saved at once, so a crash costs at most the last one."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

from napari_flomo.corrections import journal_files
from napari_flomo.corrections.identity import identity
from napari_flomo.corrections.journal_files import About
from napari_flomo.corrections.replaying import StrokeSummary, apply_strokes, lost_sentence
from napari_flomo.corrections.stored_files import read_stored, write_stored
from napari_flomo.corrections.strokes import MAGIC, Stroke
from napari_flomo.errors import FlomoError, reason_of
from napari_flomo.files import atomic_write, atomic_write_all
from napari_flomo.paths import data_folder
from napari_flomo.volumes import Volume

if TYPE_CHECKING:
    from filelock import BaseFileLock

COMPACT_BYTES = 16 << 20
"""Size of the strokes (some 50,000) at which a snapshot replaces them."""

LOCK_TIMEOUT_SECONDS = 1.0
"""Longer than a program that searches for unfinished journals holds their locks."""


def journals_folder() -> Path:
    """Return the folder of all journals: ``journals`` in the user's data folder."""
    return data_folder() / "journals"


class Journal:
    """The journal of one image; use `Journal.create` or `Journal.open`.

    It is a folder with copies of the image and of the network's labels (NRRD), their origin
    (``journal.json``) and the strokes, see `napari_flomo.corrections.journal_files`. It is locked
    while it is open, so that no other program offers to restore it.

    Attributes
    ----------
    folder
        Its folder, with a random name.
    problem
        One sentence while strokes cannot be written (disk full, read-only), else None. They stay
        in memory and are written with the next stroke that succeeds.
    lost
        One sentence if a damaged end was truncated when the journal was opened, else None.
    """

    def __init__(self, folder: Path, lock: BaseFileLock, *, compact_bytes: int) -> None:
        self.folder = folder
        self.problem: str | None = None
        self._lock = lock
        self._compact_bytes = compact_bytes
        self._pending: list[bytes] = []
        self._file: IO[bytes] | None = None
        content = journal_files.read_content(folder)
        self._generation, self._end = content.generation, content.end
        self._summary = StrokeSummary.of(content.strokes)
        self.lost = lost_sentence(content.fault)
        if content.fault is not None:
            self._truncate_damaged_end()
        self._open_strokes()

    @classmethod
    def create(
        cls,
        image: Volume,
        labels: Volume,
        *,
        image_hash: str | None = None,
        about: Mapping[str, Any] | None = None,
        locked: Iterable[int] = (),
        accepted: Iterable[tuple[int, int]] = (),
        parent: Path | None = None,
        compact_bytes: int = COMPACT_BYTES,
    ) -> Self:
        """Create a journal. Takes as long as writing the image; call it in another thread.

        Parameters
        ----------
        image
            The image; copied without its name.
        labels
            Labels to correct, on the grid of the image. Pass a copy if they may change meanwhile.
        image_hash
            `identity` of the image, if known.
        about
            Plain JSON types: ``{"model": ..., "card_sha256": ..., "image": ...}``, with a name for
            the image. Without paths and patient data.
        locked, accepted
            Codes of locked labels, and accepted slices ``(frame, slice)``.
        parent
            Parent folder; by default `journals_folder`.
        compact_bytes
            Size at which a snapshot replaces the strokes.

        Raises
        ------
        FlomoError
            If it cannot be written; no files remain.
        """
        initial = StrokeSummary(
            locked=set(locked), accepted={(int(f), int(s)) for f, s in accepted}
        )
        folder = (parent or journals_folder()) / secrets.token_hex(8)
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            folder.mkdir(mode=0o700)  # the image is a patient's
        except OSError as error:
            raise FlomoError(
                f"No journal can be kept in {folder.parent}: {reason_of(error)}."
            ) from error
        try:
            lock = journal_files.lock_journal(folder)
            _write_anonymous(image, journal_files.image_file(folder, image))
            _write_anonymous(labels, journal_files.labels_file(folder, 0))
            with atomic_write(journal_files.strokes_file(folder, 0)) as temporary:
                temporary.write_bytes(MAGIC + (initial.to_stroke().to_record() if initial else b""))
            note = dict(about or {})
            known = image_hash or identity(image)
            journal_files.write_about(folder, About(known, time.time(), labels.data.shape, note))
            return cls(folder, lock, compact_bytes=compact_bytes)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    @classmethod
    def open(cls, folder: Path, *, compact_bytes: int = COMPACT_BYTES) -> Self:
        """Open a journal after a crash; a damaged end is truncated and kept as ``*.cut``.

        Raises
        ------
        FlomoError
            If another program has it open, or it cannot be read.
        """
        journal_files.read_about(folder)
        lock = journal_files.lock_journal(folder, LOCK_TIMEOUT_SECONDS)
        try:
            return cls(folder, lock, compact_bytes=compact_bytes)
        except BaseException:
            lock.release()
            raise

    @property
    def strokes(self) -> int:
        """Number of changes of voxels."""
        return self._summary.strokes

    def record(self, stroke: Stroke) -> str | None:
        """Write a stroke and flush it to the disk.

        Disk errors are returned, not raised, so that painting can continue. A long journal is
        compacted.

        Returns
        -------
        str or None
            `problem`.
        """
        self._summary.add(stroke)
        self._pending.append(stroke.to_record())
        try:
            self._write(b"".join(self._pending))
        except OSError as error:
            self.problem = _sentence(error)
            return self.problem
        self._pending.clear()
        self.problem = None
        if self._end > self._compact_bytes:
            with suppress(FlomoError, OSError):  # the journal is valid, only long
                self.compact()
        return None

    def compact(self) -> None:
        """Replace the strokes by a snapshot of the labels, both files or none.

        Raises
        ------
        FlomoError
            If it cannot be written; the journal is unchanged.
        """
        old, new = self._generation, self._generation + 1
        base = read_stored(journal_files.labels_file(self.folder, old))
        flat, summary, _ = apply_strokes(base.data, journal_files.read_content(self.folder))
        labels = base.with_data(flat.reshape(base.data.shape), axes=base.axes)
        head = MAGIC + summary.to_stroke().to_record()
        places = [
            journal_files.labels_file(self.folder, new),
            journal_files.strokes_file(self.folder, new),
        ]
        with atomic_write_all(places) as (snapshot, strokes):
            write_stored(labels, snapshot, compress=False)
            strokes.write_bytes(head)
        self._close_strokes()
        self._generation, self._end = new, len(head)
        self._open_strokes()
        journal_files.strokes_file(self.folder, old).unlink(missing_ok=True)
        if old:  # keep the labels of the network
            journal_files.labels_file(self.folder, old).unlink(missing_ok=True)

    def finish(self) -> None:
        """Close and remove the journal, after its labels were saved elsewhere.

        Raises
        ------
        FlomoError
            If it cannot be removed.
        """
        self._close_strokes()
        remove(self.folder, self._lock)

    def close(self) -> None:
        """Close the journal. It can be restored later; without changes it is removed."""
        if self._file is None:
            return
        self._close_strokes()
        if self._summary:
            self._lock.release()
        else:
            with suppress(FlomoError):
                remove(self.folder, self._lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write(self, data: bytes) -> None:
        """Append and flush to the disk; truncate a partial record after an error."""
        if self._file is None:
            raise OSError(errno.EBADF, "the journal is closed")
        if os.fstat(self._file.fileno()).st_nlink == 0:
            raise OSError(errno.ENOENT, "its file was deleted")
        try:
            self._file.seek(self._end)
            rest = memoryview(data)
            while rest:
                rest = rest[self._file.write(rest) :]
            os.fsync(self._file.fileno())
        except OSError:
            with suppress(OSError):
                self._file.truncate(self._end)
            raise
        self._end += len(data)

    def _open_strokes(self) -> None:
        path = journal_files.strokes_file(self.folder, self._generation)
        try:
            self._file = path.open("r+b", buffering=0)
        except OSError as error:
            raise FlomoError(
                f"The journal {self.folder} cannot be written: {reason_of(error)}."
            ) from (error)

    def _close_strokes(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _truncate_damaged_end(self) -> None:
        """Truncate a damaged end, and keep it in another file."""
        path = journal_files.strokes_file(self.folder, self._generation)
        content = path.read_bytes()
        with atomic_write(path.with_suffix(".cut")) as aside:
            aside.write_bytes(content[self._end :])
        good = content[: self._end] or MAGIC
        with atomic_write(path) as temporary:
            temporary.write_bytes(good)
        self._end = len(good)


def remove(folder: Path, lock: BaseFileLock) -> None:
    """Remove a journal whose lock is held, and release the lock.

    Raises
    ------
    FlomoError
        If it cannot be removed.
    """
    try:
        # First, because a folder without it is not a journal.
        (folder / journal_files.ABOUT_FILE).unlink(missing_ok=True)
        lock.release()
        shutil.rmtree(folder)
    except OSError as error:
        raise FlomoError(
            f"The journal {folder} could not be removed: {reason_of(error)}; delete the folder."
        ) from error
    finally:
        lock.release()


def _write_anonymous(volume: Volume, path: Path) -> None:
    """Write a volume without its name; slices are the slowest axis, as for the strokes."""
    anonymous = replace(volume, source="", extra={})
    write_stored(anonymous, path, compress=False)


def _sentence(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            "The disk is full, so your strokes are in memory only; free some space and they are "
            "written with the next stroke, or save the labels elsewhere."
        )
    return (
        f"Your strokes cannot be written ({reason_of(error)}) and are in memory only; save the "
        "labels soon."
    )
