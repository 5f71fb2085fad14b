"""The append-only history of a store: one JSON object per line, with a checksum.

A line is ``{"crc32":"0a1b2c3d","sequence":7,"event":"added",...}``. The checksum is the CRC-32 of
the line with ``"crc32":"0a1b2c3d",`` taken out, in hexadecimal digits. Sequence numbers define the
order: clocks are not reliable, and times could identify patients.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_flomo.errors import FlomoError, reason_of
from napari_flomo.files import append

_PREFIX = len('{"crc32":"01234567",')
_WINDOW = 1 << 16


@dataclass(frozen=True)
class HistoryEntry:
    """One line of the history.

    Attributes
    ----------
    sequence
        1, 2, 3, ...
    event
        ``"created"``, ``"migrated"``, ``"begin"`` (of a change that the next line ends),
        ``"added"``, ``"removed"`` or ``"abandoned"``.
    about
        All other fields.
    """

    sequence: int
    event: str
    about: Mapping[str, Any]

    def to_line(self) -> bytes:
        """Return the line with its checksum and line feed."""
        content = {"sequence": self.sequence, "event": self.event, **self.about}
        body = json.dumps(content, separators=(",", ":"), allow_nan=False).encode("ascii")
        return b'{"crc32":"%08x",' % zlib.crc32(body) + body[1:] + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> HistoryEntry | None:
        """Read a line without its line feed; return None if it is damaged."""
        body = b"{" + line[_PREFIX:]
        if line[:_PREFIX] != b'{"crc32":"%08x",' % zlib.crc32(body):
            return None
        with suppress(ValueError, LookupError, TypeError):
            content = json.loads(body)
            return cls(int(content.pop("sequence")), str(content.pop("event")), content)
        return None


class History:
    """The history file; hold the lock of the store while appending."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, event: str, sequence: int | None = None, **about: Any) -> HistoryEntry:
        """Append an entry, by default with the next number, and flush it to the disk."""
        if sequence is None:
            last = self.last()
            sequence = 1 if last is None else last.sequence + 1
        entry = HistoryEntry(sequence, event, about)
        append(self.path, entry.to_line())
        return entry

    def entries(self, damaged: Callable[[int], None] | None = None) -> list[HistoryEntry]:
        """Return all valid entries, and call ``damaged`` with the number of each damaged line.

        An incomplete last line is ignored: it may still be written, or the program was killed.
        """
        lines = self._read().split(b"\n")[:-1]
        found = []
        for number, line in enumerate(lines, 1):
            entry = HistoryEntry.from_line(line)
            if entry is not None:
                found.append(entry)
            elif damaged is not None:
                damaged(number)
        return found

    def last(self) -> HistoryEntry | None:
        """Return the last valid entry, reading only the end of the file if possible."""
        for start in (-_WINDOW, 0):
            for line in reversed(self._read(start).split(b"\n")[:-1]):
                entry = HistoryEntry.from_line(line)
                if entry is not None:
                    return entry
        return None

    def truncate_incomplete(self) -> None:
        """Truncate an incomplete last line, which was never confirmed."""
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
        """Return the content from an offset; negative ones count from the end."""
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
    return FlomoError(f"{path} cannot be used: {reason_of(error)}; check the store's disk.")
