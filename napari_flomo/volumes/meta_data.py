"""The voxels of a MetaImage: after its header, or in one or several other files."""

from __future__ import annotations

import re
import sys
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from napari_flomo.volumes import limits
from napari_flomo.volumes.detached_headers import (
    check_existence,
    check_file_count,
    check_length,
    names_of,
    numbered_names,
)

_LONGEST_HEADER = 1 << 20
_ZLIB_OR_GZIP = zlib.MAX_WBITS | 32


@dataclass
class Storage:
    """How a MetaImage stores its voxels."""

    fields: dict[str, str]  # names in lower case
    data_file: str  # "LOCAL", "LIST", a name or a pattern of names
    files: list[str] = field(default_factory=list)  # lines after LIST
    data_start: int = 0

    def is_true(self, *names: str) -> bool:
        """Return True if one of the fields is true."""
        return any(self.fields.get(name, "").lower() in ("true", "1") for name in names)

    def data_paths(self, path: Path) -> tuple[list[Path], int | None]:
        """Return the data files of a header in order (none if LOCAL), and the axes in each file.

        The files may not exist; the number of axes is None if the header does not state it.
        """
        text, within = self.data_file, None
        if text.upper() == "LOCAL":
            return [], None
        words, names = text.split(), [text]
        if words[:1] == ["LIST"]:
            names = self.files
            within = next(
                (int(word.rstrip("Dd")) for word in words[1:2] if word[:1].isdigit()), None
            )
        elif not (path.parent / text).is_file():
            numbered = numbered_names(text, path)
            # Without numbers a pattern counts the slices from 1.
            names, within = numbered or (
                names_of(text, range(1, self._slices() + 1)) or names,
                None,
            )
        return [path.parent / name for name in names], within

    def _slices(self) -> int:
        """Return the length of the last axis, 0 if unknown."""
        last = self.fields.get("dimsize", "").split()[-1:]
        return int(last[0]) if last and last[0].isdecimal() else 0

    def checksum_of(self, path: Path) -> int | None:
        """Return the checksum of the voxels if they are a little-endian zlib stream, else None."""
        size = path.stat().st_size - self.data_start
        plain = ("headersize", "elementbyteordermsb", "binarydatabyteordermsb")
        if (
            self.data_file.upper() != "LOCAL"
            or not self.is_true("compresseddata")
            or self.fields.get("compresseddatasize") != str(size)
            or any(self.fields.get(name, "false").lower() not in ("false", "0") for name in plain)
            or sys.byteorder != "little"
        ):
            return None
        with path.open("rb") as stream:
            stream.seek(self.data_start)
            if stream.read(1) != b"\x78":  # the first byte of zlib, and not of gzip
                return None
            stream.seek(-4, 2)
            return int.from_bytes(stream.read(4), "big")


def read_storage(path: Path) -> Storage:
    """Read the text of a header, up to ElementDataFile."""
    fields: dict[str, str] = {}
    with limits.open_file(path) as stream:
        while stream.tell() < _LONGEST_HEADER and (line := stream.readline(_LONGEST_HEADER)):
            text = line.decode("utf-8", errors="surrogateescape").strip()
            found = re.fullmatch(r"(\w+)\s*[=:]\s*(.*)", text)
            name = found[1].lower() if found else ""
            if found and name == "elementdatafile":
                storage = Storage(fields, found[2], data_start=stream.tell())
                if found[2].split()[:1] == ["LIST"]:
                    rest = stream.read(_LONGEST_HEADER).decode("utf-8", "surrogateescape")
                    storage.files = [name.strip() for name in rest.splitlines() if name.strip()]
                return storage
            if found:
                fields[name] = found[2]
            if not found and b"\0" in line:
                break
    raise limits.damaged(path, "it is not a MetaImage, or its header is damaged")


def read_voxels(
    path: Path, storage: Storage, size: Sequence[int], dtype: np.dtype[Any]
) -> NDArray[Any]:
    """Read all elements into a flat array in native byte order.

    ``size`` has the lengths of the axes, the fastest first.
    """
    count = int(np.prod(size, dtype=np.int64))
    big = storage.is_true("elementbyteordermsb", "binarydatabyteordermsb")
    stored = dtype.newbyteorder(">" if big else "<")
    if storage.data_file.upper() == "LOCAL":
        start = storage.data_start
        data = _read_part(path, path, storage, start=start, count=count, dtype=stored)
        return data.astype(dtype, copy=False)
    sources, within = storage.data_paths(path)
    check_file_count(path, size, len(sources), within)
    check_existence(path, sources)
    share = count // len(sources)
    parts = [
        _read_part(path, source, storage, start=0, count=share, dtype=stored) for source in sources
    ]
    return (np.concatenate(parts) if len(parts) > 1 else parts[0]).astype(dtype, copy=False)


def _read_part(
    path: Path,
    source: Path,
    storage: Storage,
    *,
    start: int,
    count: int,
    dtype: np.dtype[Any],
) -> NDArray[Any]:
    """Read the elements that one file holds."""
    needed = count * dtype.itemsize
    packed = storage.is_true("compresseddata")
    text = "binarydata" in storage.fields and not storage.is_true("binarydata")
    try:
        skip = int(storage.fields.get("headersize", "0"))
        promised = int(storage.fields.get("compresseddatasize", "0"))
    except ValueError:
        raise limits.damaged(path, "its header has an invalid size of data or header") from None
    with limits.open_file(source) as raw:
        stored = source.stat().st_size - start - max(skip, 0)
        ratio = limits.DEFLATE_LIMIT if packed else dtype.itemsize if text else 1
        limits.check_packed_size(source, needed, stored, ratio)
        if packed and stored < promised:
            raise limits.damaged(source)
        if skip < 0 and (packed or text):
            raise limits.damaged(path, "its header has an invalid HeaderSize")
        if not packed and not text and skip >= 0 and source != path:
            check_length(source, stored, needed)
        raw.seek(*((-needed, 2) if skip < 0 else (start + skip, 0)))
        try:
            if text:
                data = np.array(raw.read().split(), dtype=dtype)
            elif packed:
                data = np.frombuffer(_decompress(raw, needed), dtype)
            else:
                data = limits.read_elements(raw, count, dtype)
        except (EOFError, zlib.error, OSError, ValueError, OverflowError) as error:
            raise limits.damaged(source) from error
    if data.size != count:
        raise limits.damaged(source)
    return data


def _decompress(raw: BinaryIO, needed: int) -> bytearray:
    """Return the bytes of a stream; raise EOFError for fewer than needed, ValueError for more."""
    stream = zlib.decompressobj(_ZLIB_OR_GZIP)
    found = bytearray(stream.decompress(raw.read(), needed))
    while not stream.eof:  # the checksum follows, or more than was declared
        more = stream.decompress(stream.unconsumed_tail, 1)
        if more:
            raise ValueError
        if not stream.unconsumed_tail and not stream.eof:
            raise EOFError
    if len(found) != needed:
        raise EOFError
    return found
