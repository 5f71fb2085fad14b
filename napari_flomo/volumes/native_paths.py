"""Paths for libraries that take text and no bytes, such as ITK, whatever a folder is called."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def is_text(path: Path) -> bool:
    """Return True if a path is text that every library takes."""
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


@contextmanager
def readable_path(path: Path) -> Iterator[str]:
    """Yield the path of a file, or of a link to it or a copy, as text that every library takes.

    A name that is not UTF-8 cannot be handed to a library of C++: some end the process.
    """
    if is_text(path):
        yield str(path)
        return
    with tempfile.TemporaryDirectory(prefix="flomo-") as folder:
        link = Path(folder, "image" + path.suffix.encode("ascii", "ignore").decode())
        try:
            link.symlink_to(path.absolute())
        except OSError:  # Windows asks for a privilege
            shutil.copyfile(path, link)
        yield str(link)


@contextmanager
def writable_path(path: Path) -> Iterator[str]:
    """Yield the path of a file to write; it is copied there if the path is not text."""
    if is_text(path):
        yield str(path)
        return
    with tempfile.TemporaryDirectory(prefix="flomo-") as folder:
        draft = Path(folder, "image" + path.suffix.encode("ascii", "ignore").decode())
        yield str(draft)
        shutil.copyfile(draft, path)
