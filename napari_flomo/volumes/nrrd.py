"""NRRD by pynrrd: .nrrd in one piece, .nhdr with its data beside it.

ITK is not used: it reads the frames of a Slicer sequence as colour components, rejects a time axis,
and reports a truncated file only after allocating all of it.
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from napari_flomo.volumes import limits
from napari_flomo.volumes.nrrd_data import element_type, read_data
from napari_flomo.volumes.nrrd_header import frame_axis_of, frame_step_of, geometry_of, read_header
from napari_flomo.volumes.volume import SPATIAL_AXES, Volume

_COMPRESSION = 5


def read_nrrd(path: Path) -> Volume:
    """Read ``.nrrd``, or ``.nhdr`` with its data in one or several other files.

    Frames lie along the axis without a space direction (first for Slicer, last for NIfTI
    converters), or along the fourth dimension of the space (ITK); the other axes are columns, rows
    and slices in the order of the file. The volume is (frames?, slices, rows, columns).
    """
    header = read_header(path)
    sizes, rank = header.sizes, header.fields["dimension"]
    dtype = element_type(header)
    if dtype is None or not rank or rank != len(sizes):
        raise limits.damaged(
            path,
            f"its NRRD header has {len(sizes)} sizes for {rank} axes of type "
            f"'{header.fields['type']}'",
        )
    limits.check_declared_size(path, sizes, 2 * dtype.itemsize)  # parts and their concatenation
    frame_axis = frame_axis_of(header)
    geometry, notes = geometry_of(header, frame_axis)
    data = read_data(header, dtype).reshape(sizes[::-1])
    if frame_axis is None:
        return Volume(data if rank == 3 else data[np.newaxis], geometry, notes=notes)
    data = np.moveaxis(data, rank - 1 - frame_axis, 0)
    if rank == 3:
        data = data[:, np.newaxis]
    return Volume(
        np.ascontiguousarray(data),
        geometry,
        ("frames", *SPATIAL_AXES),
        frame_step=frame_step_of(header, frame_axis),
        notes=notes,
    )


def map_nrrd(path: Path) -> NDArray[Any] | None:
    """Return the voxels of a file that `write_nrrd` wrote uncompressed, mapped and not read.

    The axes are those of the volume in the order of the file: (frames?, slices, rows, columns).
    None if they cannot be mapped: compressed, or with the data in other files.
    """
    header = read_header(path)
    dtype = element_type(header)
    if dtype is None or header.fields["encoding"] != "raw" or "data file" in header.fields:
        return None
    shape = tuple(header.sizes[::-1])
    try:
        return np.memmap(path, dtype, "r", header.data_start, shape)
    except (OSError, ValueError) as error:
        raise limits.damaged(path) from error


def write_nrrd(volume: Volume, path: Path, *, compress: bool = True) -> None:
    """Write a volume without classes and channels as NRRD in LPS, frames as the last axis on disk.

    Slicer opens a file with frames as a sequence, and ITK as an image with one component per frame.
    """
    import nrrd

    limits.check_axes(volume.axes, "NRRD")
    data = limits.storable(volume.data, "<")
    header = _header(volume, "gzip" if compress else "raw")
    with path.open("wb") as raw, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # pynrrd calls datetime.utcnow
        nrrd.write(
            _WithoutComments(raw), data, header, compression_level=_COMPRESSION, index_order="C"
        )


class _WithoutComments(io.RawIOBase):
    """Skips the comments in the header, which hold the time of writing.

    pynrrd writes each line of the header, and the empty line after it, in one call.
    """

    def __init__(self, target: BinaryIO) -> None:
        super().__init__()
        self._target = target
        self._in_header = True

    def write(self, content: Any) -> int:
        if self._in_header and bytes(content[:1]) == b"#":
            return len(content)
        self._in_header = self._in_header and content != b"\n"
        return self._target.write(content)


def _header(volume: Volume, encoding: str) -> dict[str, Any]:
    frames = "frames" in volume.axes
    geometry = volume.geometry
    header: dict[str, Any] = {"encoding": encoding, "kinds": ["domain"] * 3 + ["list"] * frames}
    if geometry.spacing_known:
        rows = [*geometry.affine_lps()[:3, :3].T, *([np.full(3, np.nan)] * frames)]
        header["space"] = "left-posterior-superior"
        header["space directions"] = np.array(rows)
        header["space origin"] = np.array(geometry.origin)
    if frames:
        step = volume.frame_step or 1.0
        times = " ".join(repr(index * step) for index in range(volume.n_frames))
        header |= {"axis 3 index type": "numeric", "axis 3 index values": times}
        if volume.frame_step is not None:
            header["axis 3 index unit"] = "s"
    return header
