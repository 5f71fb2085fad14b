"""Every stroke on the disk before the next one: a crash costs the last stroke at most."""

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
from types import TracebackType
from typing import IO, Any, Self

from filelock import BaseFileLock

from napari_flomo.corrections import layout
from napari_flomo.corrections.identity import identity
from napari_flomo.corrections.layout import About
from napari_flomo.corrections.replaying import Tally, lost_sentence, painted
from napari_flomo.corrections.stored_files import read_stored, write_stored
from napari_flomo.corrections.strokes import MAGIC, Stroke
from napari_flomo.errors import FlomoError
from napari_flomo.files import atomic_write, atomic_write_all
from napari_flomo.paths import data_folder
from napari_flomo.volumes import Volume

COMPACT_BYTES = 16 << 20
"""Bytes of strokes, some 50,000 with a brush, after which a snapshot replaces them."""

LOOK_SECONDS = 1.0
"""A program that looks for what was left has a journal open for less time than this."""


def journals_folder() -> Path:
    """Return the folder of all journals: ``journals`` in the user's data folder."""
    return data_folder() / "journals"


class Journal:
    """The journal of one image; made by `Journal.create` or `Journal.open`.

    A folder with a copy of the image and of the network's labels (NRRD, readable without us), what
    made them (``journal.json``) and the strokes; `napari_flomo.corrections.layout` describes it. It
    is locked while it is open, so that no other program offers it for restoring.

    Attributes
    ----------
    folder
        Where it lies; the name is random.
    problem
        One sentence while strokes cannot be written (disk full, read-only), else None. They are
        kept in memory and written with the next stroke that succeeds.
    lost
        One sentence when a torn end was cut off as the journal was opened, else None.
    """

    def __init__(self, folder: Path, lock: BaseFileLock, *, compact_bytes: int) -> None:
        self.folder = folder
        self.problem: str | None = None
        self._lock = lock
        self._compact_bytes = compact_bytes
        self._pending: list[bytes] = []
        self._file: IO[bytes] | None = None
        content = layout.read_content(folder)
        self._generation, self._end = content.generation, content.end
        self._tally = Tally.of(content.strokes)
        self.lost = lost_sentence(content.fault)
        if content.fault is not None:
            self._cut()
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
        """Begin a journal. Takes as long as writing the image; best done in another thread.

        Parameters
        ----------
        image
            Is copied, without name.
        labels
            What is about to be corrected, on the image's grid. A viewer that goes on painting in
            the meantime passes a copy.
        image_hash
            `identity` of the image, where it is known already.
        about
            Plain JSON types: ``{"model": ..., "card_sha256": ..., "structures": {"1": "RV"}}``.
            Never a path or anything of the patient.
        locked, accepted
            Codes of labels that are finished already, and slices ``(frame, slice)`` accepted.
        parent
            Folder to make it in; `journals_folder` by default.
        compact_bytes
            Strokes of this size are replaced by a snapshot.

        Raises
        ------
        FlomoError
            If it cannot be written; nothing is left of it.
        """
        begun = Tally(locked=set(locked), accepted={(int(f), int(s)) for f, s in accepted})
        folder = (parent or journals_folder()) / secrets.token_hex(8)
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            folder.mkdir(mode=0o700)  # the image is a patient's
        except OSError as error:
            raise FlomoError(
                f"No journal can be kept in {folder.parent}: {_reason(error)}."
            ) from error
        try:
            lock = layout.lock_of(folder)
            _write_plainly(image, layout.image_file(folder, image))
            _write_plainly(labels, layout.labels_file(folder, 0))
            with atomic_write(layout.strokes_file(folder, 0)) as temporary:
                temporary.write_bytes(MAGIC + (begun.to_stroke().to_record() if begun else b""))
            note = dict(about or {})
            known = image_hash or identity(image)
            layout.write_about(folder, About(known, time.time(), labels.data.shape, note))
            return cls(folder, lock, compact_bytes=compact_bytes)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    @classmethod
    def open(cls, folder: Path, *, compact_bytes: int = COMPACT_BYTES) -> Self:
        """Go on with a journal that a crash left; a torn end is cut off and kept as ``*.cut``.

        Raises
        ------
        FlomoError
            If another program has it open, or it cannot be read.
        """
        layout.read_about(folder)
        lock = layout.lock_of(folder, LOOK_SECONDS)
        try:
            return cls(folder, lock, compact_bytes=compact_bytes)
        except BaseException:
            lock.release()
            raise

    @property
    def strokes(self) -> int:
        """How many changes of voxels it holds."""
        return self._tally.strokes

    def record(self, stroke: Stroke) -> str | None:
        """Write a stroke; when this returns it is on the disk, or the reason why not is returned.

        Never raises for the sake of the disk: painting goes on. A long journal is compacted first.

        Returns
        -------
        str or None
            `problem`.
        """
        self._tally.add(stroke)
        self._pending.append(stroke.to_record())
        try:
            self._write(b"".join(self._pending))
        except OSError as error:
            self.problem = _sentence(error)
            return self.problem
        self._pending.clear()
        self.problem = None
        if self._end > self._compact_bytes:
            with suppress(FlomoError, OSError):  # the journal is whole as it is, only long
                self.compact()
        return None

    def compact(self) -> None:
        """Replace the strokes by a snapshot of the labels, both files or none.

        Raises
        ------
        FlomoError
            If it cannot be written; the journal is as it was.
        """
        old, new = self._generation, self._generation + 1
        base = read_stored(layout.labels_file(self.folder, old))
        flat, tally, _ = painted(base.data, layout.read_content(self.folder))
        labels = base.with_data(flat.reshape(base.data.shape), axes=base.axes)
        head = MAGIC + tally.to_stroke().to_record()
        places = [layout.labels_file(self.folder, new), layout.strokes_file(self.folder, new)]
        with atomic_write_all(places) as (snapshot, strokes):
            write_stored(labels, snapshot, compress=False)
            strokes.write_bytes(head)
        self._close_strokes()
        self._generation, self._end = new, len(head)
        self._open_strokes()
        layout.strokes_file(self.folder, old).unlink(missing_ok=True)
        if old:  # the labels of the network stay
            layout.labels_file(self.folder, old).unlink(missing_ok=True)

    def finish(self) -> None:
        """Close and remove the journal, because its labels are safe elsewhere now.

        Raises
        ------
        FlomoError
            If it cannot be removed.
        """
        self._close_strokes()
        remove(self.folder, self._lock)

    def close(self) -> None:
        """Close it as it is; it will be offered for restoring, unless nothing was ever changed."""
        if self._file is None:
            return
        self._close_strokes()
        if self._tally:
            self._lock.release()
        else:
            with suppress(FlomoError):
                remove(self.folder, self._lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _write(self, data: bytes) -> None:
        """Append and flush to the disk; a half-written record is taken back."""
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
        path = layout.strokes_file(self.folder, self._generation)
        try:
            self._file = path.open("r+b", buffering=0)
        except OSError as error:
            raise FlomoError(
                f"The journal {self.folder} cannot be written: {_reason(error)}."
            ) from (error)

    def _close_strokes(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _cut(self) -> None:
        """Cut off what cannot be read, and keep it aside for whoever wants to look."""
        path = layout.strokes_file(self.folder, self._generation)
        content = path.read_bytes()
        with atomic_write(path.with_suffix(".cut")) as aside:
            aside.write_bytes(content[self._end :])
        good = content[: self._end] or MAGIC
        with atomic_write(path) as temporary:
            temporary.write_bytes(good)
        self._end = len(good)


def remove(folder: Path, lock: BaseFileLock) -> None:
    """Remove a journal whose lock is held, and let the lock go.

    Raises
    ------
    FlomoError
        If it cannot be removed.
    """
    try:
        # Without it the folder is no journal, should the rest not succeed.
        (folder / layout.ABOUT_FILE).unlink(missing_ok=True)
        lock.release()
        shutil.rmtree(folder)
    except OSError as error:
        raise FlomoError(
            f"The journal {folder} could not be removed: {_reason(error)}; delete the folder."
        ) from error
    finally:
        lock.release()


def _write_plainly(volume: Volume, path: Path) -> None:
    """Write a volume without name; slices are the slowest axis, as strokes count the voxels."""
    anonymous = replace(volume, source="", extra={})
    write_stored(anonymous, path, compress=False)


def _reason(error: OSError) -> str:
    return str(error.strerror or error)


def _sentence(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            "The disk is full, so your strokes are safe in memory only; free some space and they "
            "are written with the next stroke, or save the labels elsewhere."
        )
    return (
        f"Your strokes cannot be written ({_reason(error)}) and are safe in memory only; save the "
        "labels soon."
    )
