"""The voxels of an NRRD file: behind its header, in another file or in several.

pynrrd reads one file at a time, all of it before it compares sizes, and applies a byte skip to
compressed data twice, so the bytes are read here.
"""

from __future__ import annotations

import bz2
import gzip
import zlib
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from napari_flomo.errors import FlomoError
from napari_flomo.volumes import limits
from napari_flomo.volumes.detached import beside, check_length, check_shares, numbered_names
from napari_flomo.volumes.nrrd_header import NrrdHeader

_ENCODINGS = {
    **{name: name for name in ("raw", "gzip", "bzip2", "ascii", "hex")},
    "gz": "gzip",
    "bz2": "bzip2",
    "txt": "ascii",
    "text": "ascii",
}
_TAIL_STEP = 1 << 22


def read_data(header: NrrdHeader, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Read all elements of an image, one after the other, in the byte order of this computer.

    Parameters
    ----------
    header
        Its sizes were checked against the free memory.
    dtype
        On disk.

    Raises
    ------
    FlomoError
        If a file is missing or too short, or the encoding is not supported.
    """
    path = header.path
    encoding = _ENCODINGS.get(header.fields.get("encoding", "raw"))
    if encoding is None:
        raise FlomoError(
            f"{path.name} uses the NRRD encoding '{header.fields['encoding']}', which is not "
            "supported; save it with encoding raw or gzip."
        )
    count = int(np.prod(header.sizes, dtype=np.int64))
    sources = _data_files(header)
    starts = [0] * len(sources)
    if not sources:
        sources, starts = [path], [header.data_start]
    parts = [
        _read_part(
            header, source, start=start, encoding=encoding, count=count // len(sources), dtype=dtype
        )
        for source, start in zip(sources, starts, strict=True)
    ]
    data = parts[0] if len(parts) == 1 else np.concatenate(parts)
    return data.astype(dtype.newbyteorder("="), copy=False)


def _data_files(header: NrrdHeader) -> list[Path]:
    """Return the files that hold the data, in order; none where they follow the header."""
    text = header.fields.get("data file")
    if text is None:
        return []
    names, within = [text], None
    if header.is_list:
        names, within = header.files, next(map(int, text.split()[1:]), None)
    elif (numbered := numbered_names(text, header.path)) is not None:
        names, within = numbered
    check_shares(header.path, header.sizes, len(names), within)
    return beside(header.path, names)


def _read_part(
    header: NrrdHeader,
    source: Path,
    *,
    start: int,
    encoding: str,
    count: int,
    dtype: np.dtype[Any],
) -> NDArray[Any]:
    """Read the elements that one file holds."""
    needed = count * dtype.itemsize
    lines, skip = header.fields.get("line skip", 0), header.fields.get("byte skip", 0)
    if lines < 0 or skip < -1 or (skip == -1 and encoding in ("ascii", "hex")):
        raise limits.damaged(header.path, "its NRRD header has an invalid byte skip or line skip")
    with limits.open_file(source) as raw:
        stored = source.stat().st_size - start
        if encoding != "bzip2":  # it has no limit
            largest = {"raw": 1, "gzip": limits.DEFLATE_LIMIT, "hex": 1, "ascii": dtype.itemsize}
            limits.check_packed_size(source, needed, stored, largest[encoding])
        raw.seek(start)
        for _ in range(lines):
            raw.readline()
        try:
            if encoding == "ascii":
                raw.seek(skip, 1)
                data = np.array(raw.read().split(), dtype=dtype)
            elif encoding == "hex":
                raw.seek(skip, 1)
                data = np.frombuffer(bytearray.fromhex(raw.read().decode("ascii")), dtype)
            elif encoding == "raw":
                if skip == -1:
                    raw.seek(-needed, 2)
                else:
                    raw.seek(skip, 1)
                    if source != header.path:
                        check_length(source, stored - raw.tell(), needed)
                data = limits.read_elements(raw, count, dtype)
            else:
                data = _unpack(raw, encoding, skip, count, dtype)
        except (EOFError, zlib.error, OSError, ValueError, OverflowError) as error:
            raise limits.damaged(source) from error
    if data.size != count:
        raise limits.damaged(source)
    return data


def _unpack(
    raw: BinaryIO, encoding: str, skip: int, count: int, dtype: np.dtype[Any]
) -> NDArray[Any]:
    """Read compressed elements; the skip counts unpacked bytes, and -1 takes the last ones."""
    unpacked = gzip.GzipFile(fileobj=raw) if encoding == "gzip" else bz2.BZ2File(raw)
    with cast(BinaryIO, unpacked) as stream:
        if skip >= 0:
            while skip:
                skipped = len(stream.read(min(skip, _TAIL_STEP)))
                if not skipped:
                    raise EOFError
                skip -= skipped
            data = limits.read_elements(stream, count, dtype)
            limits.drain(stream)
            return data
        needed = count * dtype.itemsize
        tail = bytearray()
        while some := stream.read(_TAIL_STEP):
            tail += some
            if len(tail) > 2 * needed + _TAIL_STEP:
                del tail[:-needed]
        if len(tail) < needed:
            raise EOFError
        del tail[:-needed]
        return np.frombuffer(tail, dtype)
