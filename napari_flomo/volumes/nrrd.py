"""NRRD: .nrrd in one piece, .nhdr with its data beside it.

Read and written here rather than through ITK, because ITK turns the frames of a Slicer sequence
into colour components, refuses a time axis, and reports a cut file only after allocating all of it.
The header is text, so spacing, origin and direction pass through it in full float64 precision.
"""

from __future__ import annotations

import bz2
import gzip
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from napari_flomo.errors import FlomoError
from napari_flomo.files import atomic_write
from napari_flomo.volumes import limits
from napari_flomo.volumes.nrrd_header import (
    TYPES,
    NrrdHeader,
    frame_axis_of,
    frame_step_of,
    geometry_of,
    read_header,
)
from napari_flomo.volumes.volume import SPATIAL_AXES, Volume

_NAMES = {
    "i1": "int8",
    "u1": "uint8",
    "i2": "int16",
    "u2": "uint16",
    "i4": "int32",
    "u4": "uint32",
    "i8": "int64",
    "u8": "uint64",
    "f4": "float",
    "f8": "double",
}
_RATIOS = {"raw": 1, "gzip": limits.DEFLATE_LIMIT}
_COMPRESSION = 5


def read_nrrd(path: Path) -> Volume:
    """Read an NRRD file.

    Its axes may come in any order of space and frames: the axis without a space direction is the
    frames (Slicer stores it first, NIfTI converters last); the others are columns, rows and slices
    in the order of the file.

    Parameters
    ----------
    path
        ``.nrrd``, or ``.nhdr`` whose data lie in one other file.

    Returns
    -------
    Volume
        (slices, rows, columns), with frames in front where there are any.

    Raises
    ------
    FlomoError
        If the file is missing, no NRRD, damaged, too large for memory, of a rank other than 2 to 4,
        coloured, or has an impossible or unsupported geometry.
    """
    header = read_header(path)
    try:
        sizes = [int(word) for word in header.words("sizes")]
        rank = int(header.fields["dimension"])
    except (KeyError, ValueError):
        raise limits.damaged(path, "its NRRD header gives no dimension and sizes") from None
    type_name = header.fields.get("type", "").lower()
    if type_name not in TYPES or rank != len(sizes):
        raise limits.damaged(
            path, f"its NRRD header has {len(sizes)} sizes for {rank} axes of type '{type_name}'"
        )
    order = ">" if header.fields.get("endian", "little").lower() == "big" else "<"
    dtype = np.dtype(order + TYPES[type_name])
    limits.check_declared_size(path, sizes, dtype.itemsize)
    frame_axis = frame_axis_of(header, rank, path)
    geometry = geometry_of(header, rank, frame_axis, path)
    data = _read_data(header, sizes, dtype, path).reshape(sizes[::-1])
    if frame_axis is None:
        return Volume(data if rank == 3 else data[np.newaxis], geometry)
    data = np.moveaxis(data, rank - 1 - frame_axis, 0)
    if rank == 3:
        data = data[:, np.newaxis]
    return Volume(
        np.ascontiguousarray(data),
        geometry,
        ("frames", *SPATIAL_AXES),
        frame_step=frame_step_of(header, frame_axis, sizes[frame_axis]),
    )


def write_nrrd(volume: Volume, path: Path, *, compress: bool = True) -> None:
    """Write a volume as NRRD in LPS, frames as the last axis on disk.

    Slicer opens a file with frames as a sequence, and ITK as an image with one component per frame.

    Parameters
    ----------
    volume
        What to write; may have frames, but neither classes nor colour channels.
    path
        ``.nrrd``.
    compress
        Whether to store gzip or raw data.

    Raises
    ------
    FlomoError
        If the volume has classes or channels, or cannot be written.
    """
    limits.check_axes(volume.axes, "NRRD")
    data = volume.data
    if data.dtype == np.float16:
        data = data.astype(np.float32)
    if data.dtype.kind == "f" and data.dtype.itemsize > 8:
        data = data.astype(np.float64)
    data = np.ascontiguousarray(data, dtype=data.dtype.newbyteorder("<"))
    text = _header_text(volume, data, "gzip" if compress else "raw")
    with atomic_write(path) as temporary, temporary.open("wb") as raw:
        raw.write(text.encode("ascii"))
        flat = data.reshape(-1).view(np.uint8).data
        if compress:
            with gzip.GzipFile("", "wb", _COMPRESSION, raw, mtime=0) as packed:
                packed.write(flat)
        else:
            raw.write(flat)


def _read_data(
    header: NrrdHeader, sizes: Sequence[int], dtype: np.dtype[Any], path: Path
) -> NDArray[Any]:
    encoding = header.fields.get("encoding", "raw").lower()
    encoding = {"gz": "gzip", "bz2": "bzip2", "txt": "ascii", "text": "ascii"}.get(
        encoding, encoding
    )
    if encoding not in ("raw", "gzip", "bzip2", "ascii"):
        raise FlomoError(
            f"{path.name} uses the NRRD encoding '{encoding}', which is not supported; save it "
            "with encoding raw or gzip."
        )
    source, start = path, header.data_start
    if "data file" in header.fields:
        name = header.fields["data file"]
        if name.upper().startswith("LIST") or "%" in name:
            raise FlomoError(
                f"{path.name} spreads its data over several files, which is not supported; save it "
                "as one .nrrd file."
            )
        source, start = path.parent / name, 0
    count = int(np.prod(sizes, dtype=np.int64))
    with limits.open_file(source) as raw:
        if encoding in _RATIOS:
            stored = source.stat().st_size - start
            limits.check_packed_size(path, count * dtype.itemsize, stored, _RATIOS[encoding])
        raw.seek(start)
        for _ in range(_whole(header, "line skip", path)):
            raw.readline()
        skip = _whole(header, "byte skip", path)
        try:
            if encoding == "ascii":
                data = np.array(raw.read().split(), dtype=dtype)
            else:
                data = _read_binary(raw, encoding, skip, count, dtype)
        except (EOFError, zlib.error, OSError, ValueError) as error:
            raise limits.damaged(path) from error
        if data.size != count:
            raise limits.damaged(path)
    native = dtype.newbyteorder("=")
    return data if dtype == native else data.astype(native)


def _read_binary(
    raw: BinaryIO, encoding: str, skip: int, count: int, dtype: np.dtype[Any]
) -> NDArray[Any]:
    if encoding == "raw":
        if skip == -1:  # the data are the end of the file
            raw.seek(-count * dtype.itemsize, 2)
        else:
            raw.seek(max(skip, 0), 1)
        return limits.read_elements(raw, count, dtype)
    unpack = gzip.GzipFile(fileobj=raw) if encoding == "gzip" else bz2.BZ2File(raw)
    with cast(BinaryIO, unpack) as stream:
        stream.read(max(skip, 0))
        data = limits.read_elements(stream, count, dtype)
        limits.drain(stream)
        return data


def _whole(header: NrrdHeader, name: str, path: Path) -> int:
    try:
        return int(header.fields.get(name.replace(" ", ""), header.fields.get(name, "0")))
    except ValueError:
        raise limits.damaged(path, f"its NRRD header has an invalid {name}") from None


def _header_text(volume: Volume, data: NDArray[Any], encoding: str) -> str:
    frames = "frames" in volume.axes
    geometry = volume.geometry
    lines = [
        "NRRD0005",
        f"type: {_NAMES[data.dtype.str[1:]]}",
        f"dimension: {data.ndim}",
    ]
    if geometry.spacing_known:
        lines.append("space: left-posterior-superior")
    lines.append("sizes: " + " ".join(str(length) for length in data.shape[::-1]))
    if geometry.spacing_known:
        columns = geometry.affine_lps()[:3, :3].T
        words = [_parenthesised(column) for column in columns] + ["none"] * frames
        lines.append("space directions: " + " ".join(words))
    lines.append("kinds: domain domain domain" + " list" * frames)
    if data.dtype.itemsize > 1:
        lines.append("endian: little")
    lines.append(f"encoding: {encoding}")
    if geometry.spacing_known:
        lines.append("space origin: " + _parenthesised(np.array(geometry.origin)))
    if frames:
        step = volume.frame_step or 1.0
        times = " ".join(repr(index * step) for index in range(volume.n_frames))
        lines += ["axis 3 index type:=numeric", f"axis 3 index values:={times}"]
        if volume.frame_step is not None:
            lines.append("axis 3 index unit:=s")
    return "\n".join([*lines, "", ""])


def _parenthesised(vector: NDArray[np.float64]) -> str:
    return "(" + ",".join(repr(float(value)) for value in vector) + ")"
