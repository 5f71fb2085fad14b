"""Atomic writing and locking of files."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_flomo.errors import FlomoError, reason_of
from napari_flomo.paths import NOWHERE

if TYPE_CHECKING:
    from filelock import AcquireReturnProxy

_TEMPORARY = re.compile(r"\.flomo-[0-9a-f]{12}(\..+)?")
_A_DAY = 24 * 3600.0

PathLike = str | os.PathLike[str]
OutputFile = tuple[PathLike, Callable[[Path], object]]
"""A path, and a function that writes the file to the temporary path it is given."""


@contextmanager
def atomic_write(path: PathLike) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that replaces it only when the block succeeds.

    The temporary file is in the same folder (a rename across file systems is not atomic) and has
    the full suffix, by which writers such as ITK choose the format. It is flushed to the disk
    before the rename, so that a power cut leaves the old or the new file. The permissions of a
    replaced file are kept; a symbolic link stays a link and its target is replaced.

    Parameters
    ----------
    path
        The file to create or replace. Its folder must exist.

    Yields
    ------
    Path
        The temporary file, empty.

    Raises
    ------
    FlomoError
        If the folder is missing or not writable, the path is not a plain file, or the disk is full.
    """
    with atomic_write_all([path]) as temporaries:
        yield temporaries[0]


@contextmanager
def atomic_write_all(paths: Sequence[PathLike]) -> Iterator[list[Path]]:
    """Like :func:`atomic_write` for several files that belong together: all of them or none.

    All files are complete and flushed before the first is renamed. If a later rename fails (on
    Windows, while another program has the file open), the earlier ones are undone.

    Parameters
    ----------
    paths
        The files to create or replace, each once.

    Yields
    ------
    list of Path
        One empty temporary file for each path, in order.

    Raises
    ------
    FlomoError
        As :func:`atomic_write`, naming the file that failed.
    """
    targets = [_plain_target(path) for path in paths]
    temporaries: list[Path] = []
    try:
        for target in targets:
            temporaries.append(_create_beside(target))  # noqa: PERF401  (removed if one fails)
        try:
            yield temporaries
            for temporary in temporaries:
                _flush(temporary)
        except OSError as error:
            # A failed write, such as on a full disk, names no file.
            named = {"None": targets[0]} | dict(zip(map(str, temporaries), targets, strict=True))
            if str(error.filename) not in named:
                raise
            raise _explain(error, named[str(error.filename)]) from error
        _replace_all(temporaries, targets)
    finally:
        for temporary in temporaries:
            temporary.unlink(missing_ok=True)


def write_text(path: PathLike, text: str) -> None:
    """Write UTF-8 text atomically, see `atomic_write`."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: PathLike, content: Any, indent: int = 1) -> None:
    """Write JSON atomically, see `atomic_write`; NaN and infinity raise ValueError."""
    text = json.dumps(content, indent=indent, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n")


def write_all(files: Sequence[OutputFile]) -> None:
    """Write several files that belong together: all of them or none, see `atomic_write_all`."""
    with atomic_write_all([path for path, _ in files]) as temporaries:
        for temporary, (_, write) in zip(temporaries, files, strict=True):
            write(temporary)


@contextmanager
def atomic_folder(path: PathLike) -> Iterator[Path]:
    """Yield a temporary folder beside ``path`` that is renamed to it only when the block succeeds.

    Parameters
    ----------
    path
        The folder to create; must be new or empty. Its parent must exist.

    Yields
    ------
    Path
        The temporary folder, empty.

    Raises
    ------
    FlomoError
        If the folder is not empty, or cannot be written.
    """
    target = Path(path).absolute()
    temporary = target.with_name(f".flomo-{secrets.token_hex(6)}")
    try:
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise FlomoError(f"{target} exists already; choose a new or empty folder.")
        temporary.mkdir()
        yield temporary
        if target.exists():
            target.rmdir()
        temporary.replace(target)
        with contextlib.suppress(OSError):
            _flush(target.parent)
    except OSError as error:
        ours = (None, str(target), str(temporary))
        if error.filename not in ours and temporary not in Path(error.filename).parents:
            raise  # concerns a file that the block reads
        raise _explain(error, target) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def append(path: PathLike, data: bytes) -> None:
    """Append bytes to a file and flush it; after a failure it has its old length.

    If the process is killed, a part of ``data`` may remain, so records need a checksum.

    Raises
    ------
    FlomoError
        If the file cannot be written, or the disk is full.
    """
    target = Path(path)
    try:
        with target.open("ab", buffering=0) as stream:
            length = stream.tell()
            try:
                rest = memoryview(data)
                while rest:
                    rest = rest[stream.write(rest) :]
                os.fsync(stream.fileno())
            except BaseException:
                with contextlib.suppress(OSError):
                    stream.truncate(length)
                raise
    except OSError as error:
        raise _explain(error, target) from error


def make_folder(path: PathLike, mode: int = 0o777) -> Path:
    """Create a folder if it does not exist, and flush its parent to the disk.

    Raises
    ------
    FlomoError
        If it cannot be created.
    """
    target = Path(path)
    if target.is_dir():
        return target
    try:
        target.mkdir(mode, exist_ok=True)
        with contextlib.suppress(OSError):  # some network folders cannot be flushed
            _flush(target.parent)
    except OSError as error:
        raise _explain(error, target) from error
    return target


def acquire_lock(
    path: PathLike, seconds: float, *, busy: str, refused: Callable[[str], str]
) -> AcquireReturnProxy:
    """Acquire the lock of a file; it is released with the process at the latest.

    Parameters
    ----------
    path
        The lock file, which is created if it does not exist.
    seconds
        How long to wait for another program.
    busy
        The message if another program holds the lock.
    refused
        Makes the message from the reason if the file cannot be locked.

    Returns
    -------
    AcquireReturnProxy
        A context manager that releases the lock; any thread may.

    Raises
    ------
    FlomoError
        If another program holds the lock, or the file cannot be locked.
    """
    from filelock import FileLock, Timeout

    try:
        return FileLock(path, timeout=seconds, thread_local=False).acquire()
    except Timeout as error:
        raise FlomoError(busy) from error
    except (OSError, NotImplementedError) as error:  # some network folders have no locks
        raise FlomoError(refused(reason_of(error))) from error


def check_writable(path: PathLike) -> None:
    """Raise unless ``path`` can be written, for a check before a long computation.

    A temporary file is created beside ``path`` and removed: permission bits are not reliable on
    read-only mounts, network shares or for administrators.

    Raises
    ------
    FlomoError
        As :func:`atomic_write`.
    """
    _create_beside(_plain_target(path)).unlink(missing_ok=True)


def _plain_target(path: PathLike) -> Path:
    """Resolve symbolic links to an ordinary file that may not exist yet."""
    target = Path(path).resolve()
    try:
        kind = target.stat().st_mode if target.exists() else stat.S_IFREG
    except OSError as error:
        raise _explain(error, target) from error
    if stat.S_ISDIR(kind):
        raise FlomoError(f"{path} is a folder; give the name of a file to write.")
    if not stat.S_ISREG(kind):
        raise FlomoError(f"{path} is not an ordinary file; give another name to write to.")
    return target


def _create_beside(target: Path) -> Path:
    """Create an empty temporary file beside ``target``, with its permissions."""
    _sweep(target.parent)
    compressed = target.name.lower().endswith(".gz")
    suffix = "".join(target.suffixes[-2:]) if compressed else target.suffix
    temporary = target.with_name(f".flomo-{secrets.token_hex(6)}{suffix}")
    try:
        mode = target.stat().st_mode & 0o777 if target.exists() else None
        if mode is not None and not mode & 0o222:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        if mode is not None:
            temporary.chmod(mode)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise _explain(error, target) from error
    return temporary


@lru_cache(maxsize=1024)
def _sweep(folder: Path) -> None:
    """Remove temporary files of killed processes, once per folder.

    Files younger than a day may belong to a running process.
    """
    yesterday = time.time() - _A_DAY
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if _TEMPORARY.fullmatch(entry.name):
                with contextlib.suppress(OSError):
                    if entry.is_file(follow_symlinks=False) and entry.stat().st_mtime < yesterday:
                        Path(entry.path).unlink()


def _replace_all(temporaries: Sequence[Path], targets: Sequence[Path]) -> None:
    """Rename each temporary file to its target; undo the earlier renames if one fails."""
    undo: list[tuple[Path, Path | None]] = []
    backups: list[Path] = []
    try:
        for temporary, target in zip(temporaries, targets, strict=True):
            existed = target.exists()
            backup = _second_name(target) if existed and len(targets) > 1 else None
            if backup is not None:
                backups.append(backup)
            try:
                temporary.replace(target)
            except OSError as error:
                raise _explain(error, target) from error
            if backup is not None or not existed:  # without a backup the new file stays
                undo.append((target, backup))
    except BaseException:
        for target, backup in undo:
            with contextlib.suppress(OSError):
                if backup is None:
                    target.unlink()
                else:
                    backup.replace(target)
        raise
    finally:
        for backup in backups:
            backup.unlink(missing_ok=True)
    for folder in {target.parent for target in targets}:
        with contextlib.suppress(OSError):  # some network folders cannot be flushed
            _flush(folder)


def _second_name(target: Path) -> Path | None:
    """Create a hard link to ``target`` as a backup, if the file system supports it."""
    backup = target.with_name(f".flomo-{secrets.token_hex(6)}.old")
    try:
        os.link(target, backup)
    except OSError:
        return None
    return backup


def _flush(path: Path) -> None:
    """Flush a file, or the entries of a folder, to the disk."""
    if path.is_dir() and os.name == "nt":
        return  # Windows cannot flush folders, but journals renames.
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _explain(error: OSError, target: Path) -> FlomoError:
    """Return a `FlomoError` for an operating system error."""
    if NOWHERE in target.parents:
        return FlomoError(
            "This user has no home folder, so no files can be stored; set FLOMO_HOME to a folder."
        )
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return FlomoError(
            f"The folder {target.parent} does not exist; create it or choose another."
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return FlomoError(f"No permission to write {target}; choose another folder.")
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return FlomoError(f"The disk is full, so {target} was not written; free some space.")
    if error.errno == errno.ENAMETOOLONG:
        return FlomoError(
            f"The name {target.name} is too long for this disk; choose a shorter one."
        )
    return FlomoError(f"{target} could not be written: {reason_of(error)}.")
