"""The append-only history of a store: one JSON object a line, each with its checksum.

A line is ``{"crc32":"0a1b2c3d","sequence":7,"event":"added",...}``. The checksum is the CRC-32 of
the line with ``"crc32":"0a1b2c3d",`` taken out, in hexadecimal digits. Sequence numbers order what
happened: clocks are not trusted, and times of day would tell too much about patients.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_flomo.errors import FlomoError
from napari_flomo.files import append

_PREFIX = len('{"crc32":"01234567",')
_WINDOW = 1 << 16


@dataclass(frozen=True)
class Entry:
    """One line.

    Attributes
    ----------
    sequence
        1, 2, 3, ...
    event
        ``"created"``, ``"migrated"``, ``"begin"`` (of something that the next line ends),
        ``"added"``, ``"removed"`` or ``"abandoned"``.
    about
        All else that the line says.
    """

    sequence: int
    event: str
    about: Mapping[str, Any]

    def to_line(self) -> bytes:
        """Return the line with its checksum and end."""
        content = {"sequence": self.sequence, "event": self.event, **self.about}
        body = json.dumps(content, separators=(",", ":"), allow_nan=False).encode("ascii")
        return b'{"crc32":"%08x",' % zlib.crc32(body) + body[1:] + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Entry | None:
        """Read a line without its end; None if it is damaged."""
        body = b"{" + line[_PREFIX:]
        if line[:_PREFIX] != b'{"crc32":"%08x",' % zlib.crc32(body):
            return None
        with suppress(ValueError, LookupError, TypeError):
            content = json.loads(body)
            return cls(int(content.pop("sequence")), str(content.pop("event")), content)
        return None


class History:
    """The file of all entries. Whoever appends holds the lock of the store.

    Parameters
    ----------
    path
        The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, event: str, sequence: int | None = None, **about: Any) -> Entry:
        """Add an entry; when this returns it is on the disk.

        Parameters
        ----------
        event, about
            See `Entry`.
        sequence
            Its number where it is known; else the one after the last.

        Raises
        ------
        FlomoError
            If it cannot be written; the file is as it was.
        """
        if sequence is None:
            last = self.last()
            sequence = 1 if last is None else last.sequence + 1
        entry = Entry(sequence, event, about)
        append(self.path, entry.to_line())
        return entry

    def entries(self, damaged: Callable[[int], None] | None = None) -> list[Entry]:
        """Return all good entries.

        Parameters
        ----------
        damaged
            Is told the number, from 1, of each line that is not good. An end without a line break
            is what a kill leaves, or is just being written: it is not told.

        Raises
        ------
        FlomoError
            If the file cannot be read.
        """
        lines = self._read().split(b"\n")[:-1]
        found = []
        for number, line in enumerate(lines, 1):
            entry = Entry.from_line(line)
            if entry is not None:
                found.append(entry)
            elif damaged is not None:
                damaged(number)
        return found

    def last(self) -> Entry | None:
        """Return the last good entry; reads only the end of the file where that is enough."""
        for start in (-_WINDOW, 0):
            for line in reversed(self._read(start).split(b"\n")[:-1]):
                entry = Entry.from_line(line)
                if entry is not None:
                    return entry
        return None

    def mend(self) -> None:
        """Cut off what a kill left behind the last line break: nobody was told that it is safe.

        Raises
        ------
        FlomoError
            If the file cannot be changed.
        """
        content = self._read(-_WINDOW)
        torn = len(content) - content.rfind(b"\n") - 1
        if not torn:
            return
        if torn == len(content):
            content = self._read()
            torn = len(content) - content.rfind(b"\n") - 1
        try:
            with self.path.open("r+b") as stream:
                stream.truncate(self.path.stat().st_size - torn)
        except OSError as error:
            raise _unreadable(self.path, error) from error

    def _read(self, start: int = 0) -> bytes:
        """Return the content from an offset, which counts from the end when it is negative."""
        try:
            with self.path.open("rb") as stream:
                size = stream.seek(0, 2)
                stream.seek(max(start + size, 0) if start < 0 else start)
                return stream.read()
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise _unreadable(self.path, error) from error


def _unreadable(path: Path, error: OSError) -> FlomoError:
    return FlomoError(f"{path} cannot be used: {error.strerror or error}; check the store's disk.")
