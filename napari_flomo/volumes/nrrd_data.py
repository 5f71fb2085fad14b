"""The voxels of an NRRD file: after its header, or in one or several other files.

pynrrd maps the types and reads the raw bytes of one file. The standard library decompresses,
because pynrrd 1.1 accepts truncated data, and so does not check their checksum; reads only the
first of several members; decompresses the whole file before it compares sizes; and applies a byte
skip also to the compressed bytes. NumPy reads text, because in pynrrd a number that is too large
for its type silently overflows.
"""

from __future__ import annotations

import bz2
import gzip
import io
import zlib
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from napari_flomo.errors import FlomoError
from napari_flomo.volumes import limits
from napari_flomo.volumes.detached_headers import (
    check_existence,
    check_file_count,
    check_length,
    numbered_names,
)
from napari_flomo.volumes.nrrd_header import NrrdHeader, is_list

_UNPACK: dict[str, Callable[..., IO[Any]]] = {"gzip": gzip.open, "bzip2": bz2.open}
_TEXT = ("ascii", "hex")


def element_type(header: NrrdHeader) -> np.dtype[Any] | None:
    """Return the type on disk, None if it is not numeric."""
    import nrrd

    try:
        dtype = nrrd.read_data(_part(header, 0), io.BytesIO()).dtype
    except (KeyError, ValueError, nrrd.NRRDError):  # "block" has no size of its own
        return None
    return dtype if dtype.kind in "iuf" else None


def _part(header: NrrdHeader, count: int) -> dict[str, Any]:
    """Return the header of raw elements at the start of a stream."""
    types = {name: header.fields[name] for name in ("type", "endian")}
    return {"dimension": 1, "sizes": np.array([count]), "encoding": "raw", **types}


def read_data(header: NrrdHeader, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Read all elements, stored as ``dtype``, into a flat array in native byte order."""
    path, encoding = header.path, header.fields["encoding"]
    if encoding not in ("raw", *_UNPACK, *_TEXT):
        raise FlomoError(
            f"{path.name} uses the NRRD encoding '{encoding}', which is not supported; save it "
            "with encoding raw or gzip."
        )
    least = 0 if encoding in _TEXT else -1
    if header.fields["line skip"] < 0 or header.fields["byte skip"] < least:
        raise limits.damaged(path, "its NRRD header has an invalid byte skip or line skip")
    sources, within = data_paths(header)
    if "data file" in header.fields:
        check_file_count(path, header.sizes, len(sources), within)
        check_existence(path, sources)
    else:
        sources = [path]
    count = int(np.prod(header.sizes, dtype=np.int64)) // len(sources)
    parts = [_read_part(header, source, count, dtype) for source in sources]
    data = parts[0] if len(parts) == 1 else np.concatenate(parts)
    return data.astype(dtype.newbyteorder("="), copy=False)


def data_paths(header: NrrdHeader) -> tuple[list[Path], int | None]:
    """Return the data files in order (none if data follow the header), and the axes in each file.

    The files may not exist; the number of axes is None if the header does not state it.
    """
    text = header.fields.get("data file")
    if text is None:
        return [], None
    names, within = [text], None
    if is_list(text):
        names, within = header.files, next(map(int, text.split()[1:]), None)
    elif (numbered := numbered_names(text, header.path)) is not None:
        names, within = numbered
    return [header.path.parent / name for name in names], within


def _read_part(header: NrrdHeader, source: Path, count: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Read the elements that one file holds."""
    import nrrd

    encoding, skip = header.fields["encoding"], header.fields["byte skip"]
    needed, start = count * dtype.itemsize, header.data_start if source == header.path else 0
    with limits.open_file(source) as raw:
        stored = source.stat().st_size - start
        if encoding != "bzip2":  # it has no limit
            largest = {"gzip": limits.DEFLATE_LIMIT, "ascii": dtype.itemsize}
            limits.check_packed_size(source, needed, stored, largest.get(encoding, 1))
        raw.seek(start)
        try:
            for _ in islice(raw, header.fields["line skip"]):
                pass
            if encoding == "raw":
                raw.seek(*((-needed, io.SEEK_END) if skip == -1 else (skip, io.SEEK_CUR)))
                left = start + stored - raw.tell()
                if source != header.path:
                    check_length(source, left, needed)
                # pynrrd reads a file to its end, so only what is needed where more follows.
                plain = raw if left == needed else io.BytesIO(raw.read(needed))
            else:
                plain = io.BytesIO(_unpacked(raw, encoding, skip, needed, dtype))
            return nrrd.read_data(_part(header, count), plain)
        except (EOFError, zlib.error, OSError, ValueError, OverflowError, nrrd.NRRDError) as error:
            raise limits.damaged(source) from error


def _unpacked(raw: BinaryIO, encoding: str, skip: int, needed: int, dtype: np.dtype[Any]) -> bytes:
    """Return the decoded bytes; ``skip`` counts decoded bytes of compressed data."""
    if encoding in _TEXT:
        raw.seek(skip, io.SEEK_CUR)
        text = raw.read()
        if encoding == "hex":
            plain = bytes.fromhex(text.decode("ascii"))
        else:
            plain = np.array(text.split(), dtype).tobytes()
        if len(plain) != needed:
            raise EOFError
        return plain
    unpack, start = _UNPACK[encoding], raw.tell()
    if skip == -1:  # only the last bytes; how many are before them is known after decompression
        skip = max(0, unpack(raw).seek(0, io.SEEK_END) - needed)
        raw.seek(start)
    with cast(BinaryIO, unpack(raw)) as stream:
        stream.seek(skip)
        plain = stream.read(needed)
        limits.drain(stream)
    return plain
