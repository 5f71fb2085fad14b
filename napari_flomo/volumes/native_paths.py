"""Paths for libraries that require UTF-8, such as ITK."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def is_text(path: Path) -> bool:
    """Return True if a path is valid UTF-8."""
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


@contextmanager
def readable_path(path: Path) -> Iterator[str]:
    """Yield a UTF-8 path of a file: its path, or that of a link or copy."""
    if is_text(path):
        yield str(path)
        return
    with tempfile.TemporaryDirectory(prefix="flomo-") as folder:
        link = Path(folder, "image" + path.suffix.encode("ascii", "ignore").decode())
        try:
            link.symlink_to(path.absolute())
        except OSError:  # Windows needs a privilege for links
            shutil.copyfile(path, link)
        yield str(link)


@contextmanager
def writable_path(path: Path) -> Iterator[str]:
    """Yield a UTF-8 path to write to; the file is copied to ``path`` if they differ."""
    if is_text(path):
        yield str(path)
        return
    with tempfile.TemporaryDirectory(prefix="flomo-") as folder:
        draft = Path(folder, "image" + path.suffix.encode("ascii", "ignore").decode())
        yield str(draft)
        shutil.copyfile(draft, path)
