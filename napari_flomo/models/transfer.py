"""One file from the Hub to the disk: resumed, locked, verified, and only then given its name.

While a file is on its way there are up to three files beside it: ``X.part`` (what arrived),
``X.part.json`` (of which content that is a part) and ``X.lock`` (who is fetching). A file whose
content is wrong becomes ``X.bad``.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from napari_flomo.errors import FlomoError
from napari_flomo.models.address import PATIENCE, Patience, Request, host
from napari_flomo.models.faults import Cut
from napari_flomo.models.wire import TICK, Cancel, Progressed, Stream, check, persist, wait

Progress = Callable[[int, int, "float | None"], None]
"""Called with bytes done, bytes in all, and seconds left (None while unknown)."""

_BLOCK = 1 << 20
_SPARE = 1 << 20
_WINDOW = 5.0
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SHA1 = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class FilePin:
    """What the content of a file must be: bytes and SHA-256 in lower-case hexadecimal."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Remote:
    """A file of a repository, as the Hub describes it.

    Parameters
    ----------
    request
        Repository, commit and name, for messages.
    url
        Where its bytes are.
    etag
        The Hub's name for the content: its SHA-256, or git's SHA-1 for small files.
    size
        Bytes.
    sha256
        What we demand; None to demand what ``etag`` says.
    """

    request: Request
    url: str
    etag: str
    size: int
    sha256: str | None

    @property
    def name(self) -> str:
        """Name of the file."""
        return self.request.file or ""

    def describes(self, path: Path, cancelled: Cancel = None) -> bool:
        """Tell whether a file has this content."""
        if self.sha256 is not None:
            return matches(path, FilePin(self.size, self.sha256), cancelled)
        if _SHA256.fullmatch(self.etag):
            return matches(path, FilePin(self.size, self.etag), cancelled)
        if not _has_size(path, self.size):
            return False
        blob = hashlib.sha1(b"blob %d\0" % self.size, usedforsecurity=False)
        return _digest(path, blob, cancelled) == self.etag

    @property
    def is_verifiable(self) -> bool:
        """Whether there is anything to compare the content with."""
        hashes = self.sha256 or _SHA256.fullmatch(self.etag) or _SHA1.fullmatch(self.etag)
        return bool(hashes)


class Meter:
    """Adds up the bytes of several files, and tells how long the rest will take.

    Parameters
    ----------
    total
        Bytes of all files.
    progress
        Who wants to know; told at most ten times a second.
    """

    def __init__(self, total: int, progress: Progress | None) -> None:
        self.total = total
        self._progress = progress
        self._finished = 0
        self._current = 0
        self._arrived = 0
        self._told = 0.0
        self._history: deque[tuple[float, int]] = deque()

    def at(self, position: int, arrived: int = 0) -> None:
        """Note the position in the current file and how many bytes the network just gave."""
        now = time.monotonic()
        self._current = position
        self._arrived += arrived
        if now - self._told >= TICK:
            self._tell(now)

    def finish(self, size: int) -> None:
        """Note that the current file is there."""
        self._finished += size
        self._current = 0
        self._tell(time.monotonic())

    def _tell(self, now: float) -> None:
        self._told = now
        self._history.append((now, self._arrived))
        while now - self._history[0][0] > _WINDOW:
            self._history.popleft()
        if self._progress is None:
            return
        done = min(self._finished + self._current, self.total)
        seconds, bytes_ = (b - a for a, b in zip(self._history[0], self._history[-1], strict=True))
        left = None
        if done == self.total:
            left = 0.0
        elif seconds > 0 and bytes_ > 0:
            left = (self.total - done) * seconds / bytes_
        self._progress(done, self.total, left)


def matches(path: Path, pin: FilePin, cancelled: Cancel = None) -> bool:
    """Tell whether a file is there with the size and SHA-256 of its pin.

    Raises
    ------
    FlomoError
        If the file is there and cannot be read.
    """
    if not _has_size(path, pin.size):
        return False
    return _digest(path, hashlib.sha256(), cancelled) == pin.sha256


def set_aside(path: Path) -> Path:
    """Rename a bad file to ``X.bad``, which is never used; an older one is replaced.

    Raises
    ------
    FlomoError
        If the folder cannot be written.
    """
    bad = path.with_name(f"{path.name}.bad")
    try:
        path.replace(bad)
    except OSError as error:
        raise explain_disk(error, path) from error
    return bad


def check_space(folder: Path, remotes: Sequence[Remote]) -> None:
    """Raise unless the disk has room for what is still to come."""
    missing = 0
    for remote in remotes:
        part = _part(folder / remote.name)
        there = part.stat().st_size if part.is_file() else 0
        missing += max(remote.size - there, 0)
    free = shutil.disk_usage(folder).free
    if missing and free < missing + _SPARE:
        raise FlomoError(
            f"The disk of {folder} has {_megabytes(free)} free, but {_megabytes(missing + _SPARE)} "
            "are needed; free some space, or set FLOMO_HOME to a folder on another disk."
        )


def fetch(
    remote: Remote, folder: Path, meter: Meter, cancelled: Cancel, patience: Patience = PATIENCE
) -> None:
    """Bring one file into the folder, or raise; nobody else fetches it meanwhile.

    Raises
    ------
    FlomoError
        One sentence for every failure.
    Cancelled
        If the person asked for it; ``X.part`` stays.
    """
    target = folder / remote.name
    try:
        with _locked(target, meter, cancelled):
            if not remote.describes(target, cancelled):  # else another process just brought it
                if target.exists():
                    set_aside(target)
                _fetch_locked(remote, target, meter, cancelled, patience)
            with contextlib.suppress(OSError):  # Windows keeps a file that someone waits for
                _lock_path(target).unlink()
    except OSError as error:
        raise explain_disk(error, target) from error


def explain_disk(error: OSError, path: Path) -> FlomoError:
    """Turn an error of the operating system into one sentence."""
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return FlomoError(
            f"No permission to write in {path.parent}; set FLOMO_HOME to a folder of your own."
        )
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return FlomoError(
            f"The disk is full, so {path.name} was not finished; free some space and try again: "
            "what arrived is kept."
        )
    return FlomoError(f"{path} cannot be written: {error.strerror or error}.")


def _fetch_locked(
    remote: Remote, target: Path, meter: Meter, cancelled: Cancel, patience: Patience
) -> None:
    part, note = _part(target), _note(target)
    start = _resumable(part, note, remote)
    resumed = start > 0
    if not resumed:
        _begin(part, note, remote)
    while True:
        _fill(remote, part, meter, cancelled, patience)
        if remote.describes(part, cancelled):
            break
        bad = part.replace(target.with_name(f"{target.name}.bad"))
        note.unlink(missing_ok=True)
        if not resumed:
            raise FlomoError(
                f"{host()} sent wrong bytes for {remote.name} of {remote.request.repo} (the hash "
                f"is not the expected one); they are set aside as {bad.name} and are not used: try "
                "again, and tell the maintainers if it happens twice."
            )
        resumed = False  # the older half may have been torn by a power cut: once more, afresh
        _begin(part, note, remote)
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    part.replace(target)
    note.unlink(missing_ok=True)


def _fill(remote: Remote, part: Path, meter: Meter, cancelled: Cancel, patience: Patience) -> None:
    """Append to the part until it has its full size."""

    def attempt() -> None:
        start = before = part.stat().st_size
        meter.at(start)
        if start == remote.size:
            return
        position = start
        try:
            with (
                Stream(remote.url, start, cancelled, patience) as stream,
                part.open("rb+", buffering=0) as file,
            ):
                if not _continues(stream, start, remote):
                    position = 0  # the server knows no ranges, so it begins again
                file.truncate(position)
                file.seek(position)
                for chunk in stream:
                    position += len(chunk)
                    if position > remote.size:
                        file.truncate(0)
                        raise _wrong_length(remote, "more than the")
                    write_all(file.fileno(), chunk)
                    meter.at(position, len(chunk))
            if position < remote.size:
                raise Cut
        except (FlomoError, OSError):
            raise
        except Exception as error:
            if position > before:
                raise Progressed(error) from error
            raise

    persist(attempt, remote.request, cancelled, patience)


def write_all(descriptor: int, content: bytes) -> None:
    """Write all bytes; nothing stays in a buffer that would die with the process."""
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


def _continues(stream: Stream, start: int, remote: Remote) -> bool:
    """Tell whether the answer begins at ``start``; refuse one that promises another length."""
    headers = {name.lower(): value for name, value in stream.headers.items()}
    begins = start
    if stream.status == 206:
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", headers.get("content-range", "").strip())
        if found is None or int(found[1]) != start or found[2] not in ("*", str(remote.size)):
            raise _wrong_length(remote, "another part or length than the")
    else:
        begins = 0
    length = headers.get("content-length", "")
    plain = headers.get("content-encoding", "identity") == "identity"
    if plain and length.isdigit() and int(length) != remote.size - begins:
        raise _wrong_length(remote, f"{int(length) + begins} instead of the")
    return begins == start


def _wrong_length(remote: Remote, found: str) -> FlomoError:
    return FlomoError(
        f"{host()} sends {found} {remote.size} bytes expected for {remote.name} of "
        f"{remote.request.repo}; nothing of it is used: try again, and tell the maintainers if it "
        "happens twice."
    )


def _resumable(part: Path, note: Path, remote: Remote) -> int:
    """Return how many bytes of exactly this content an earlier attempt left."""
    try:
        known = json.loads(note.read_text(encoding="utf-8"))
        size = part.stat().st_size
    except (OSError, ValueError):
        return 0
    return size if known == _content_of(remote) and size <= remote.size else 0


def _begin(part: Path, note: Path, remote: Remote) -> None:
    """Make an empty part and note what it will be a part of, in an order that never lies."""
    note.unlink(missing_ok=True)
    part.write_bytes(b"")
    note.write_text(json.dumps(_content_of(remote)), encoding="utf-8")


def _content_of(remote: Remote) -> dict[str, object]:
    return {"etag": remote.etag, "size": remote.size, "sha256": remote.sha256}


@contextmanager
def _locked(target: Path, meter: Meter, cancelled: Cancel) -> Iterator[None]:
    """Hold the file's lock, which the operating system drops when its process dies."""
    from filelock import FileLock, Timeout

    lock = FileLock(_lock_path(target))
    while True:
        check(cancelled)
        try:
            lock.acquire(timeout=0)
            break
        except Timeout:
            with contextlib.suppress(OSError):  # show how far the other one is
                meter.at(_part(target).stat().st_size)
            wait(2 * TICK, cancelled)
    try:
        yield
    finally:
        lock.release()


def _digest(path: Path, algorithm: hashlib._Hash, cancelled: Cancel) -> str:
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                check(cancelled)
                algorithm.update(block)
    except OSError as error:
        raise FlomoError(f"{path} cannot be read: {error.strerror or error}.") from error
    return algorithm.hexdigest()


def _has_size(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def _part(target: Path) -> Path:
    return target.with_name(f"{target.name}.part")


def _note(target: Path) -> Path:
    return target.with_name(f"{target.name}.part.json")


def _lock_path(target: Path) -> Path:
    return target.with_name(f"{target.name}.lock")


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
