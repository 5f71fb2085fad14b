"""NIfTI-1 and NIfTI-2 in one file (.nii, .nii.gz) or two (.hdr and .img, also compressed).

On disk the fastest axis is the column index and time is the fourth axis, so a C-ordered array of
(frames, slices, rows, columns) has exactly the bytes of the file. World coordinates are RAS on disk
and LPS in `Geometry`.

NIfTI stores its geometry in float32: positions are exact to about 1e-7 of their size (0.00003 mm at
300 mm). A second round trip changes nothing.
"""

from __future__ import annotations

import gzip
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from nibabel.nifti1 import Nifti1Header
from nibabel.nifti2 import Nifti2Header
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from napari_flomo.errors import FlomoError
from napari_flomo.volumes import limits
from napari_flomo.volumes.data_files import header_beside
from napari_flomo.volumes.nifti_files import drain, image_file, open_stream, read_header
from napari_flomo.volumes.nifti_grid import GRID_FIELDS, SCANNER, header_grid
from napari_flomo.volumes.volume import SPATIAL_AXES, Volume

_TIME_FACTORS = {8: 1.0, 16: 1e-3, 24: 1e-6}  # s, ms, us -> s
_LARGEST_NIFTI1_AXIS = 32767
_LARGEST_OFFSET = 1 << 40
_COMPRESSION = 5  # label maps shrink as much as with 9, in a third of the time
_CLASSES = b"classes"  # our intent name if the last axis holds a network's classes, not frames
_VECTOR = 1007  # the intent of images with several values in each voxel
_VECTOR_NOTE = (
    "The header calls the values along the fifth axis a vector; they were read as frames."
)
_NO_FRAMES = (1004, 1005, 1006, 2003, 2004)  # intents: matrices, displacements, colours


def read_nifti(path: Path) -> Volume:
    """Read a NIfTI file, or a pair by either of its files, compressed or not.

    The volume is (slices, rows, columns), or (frames, slices, rows, columns) of a 4-D file, or of a
    5-D file whose fourth axis has length 1. The stored scaling (``scl_slope``, ``scl_inter``) is
    applied; see `nifti_grid` for contradictory geometry. Bytes after the voxels are ignored.
    """
    with ExitStack() as files:
        file = header_beside(path) or path
        stream, ratio = files.enter_context(open_stream(file))
        header, is_single_file = read_header(stream, file)
        shape, axes, fifth = _axes(header, path)
        dtype = _number_type(header, path)
        scaling = _scaling(header)
        peak = dtype.itemsize + (np.dtype(_scaled_type(dtype)).itemsize if scaling else 0)
        limits.check_declared_size(path, shape, peak)
        grid = header_grid(header)
        start = float(header["vox_offset"])
        if not 0 <= start < _LARGEST_OFFSET:  # also false for NaN
            raise limits.damaged(path, "its NIfTI header is invalid")
        if is_single_file:
            file = image_file(file)
            stream, ratio = files.enter_context(open_stream(file))
        else:
            start = max(start, header.sizeof_hdr)
        count = int(np.prod(shape, dtype=np.int64))
        limits.check_packed_size(file, count * dtype.itemsize, file.stat().st_size, ratio)
        stream.seek(int(start))
        data = _read_data(stream, count, dtype).reshape(shape[::-1])
    if scaling:
        slope, offset = scaling
        data = data.astype(_scaled_type(dtype))
        data *= slope
        data += offset
    fields, is_vector = grid.fields, int(header["intent_code"]) == _VECTOR
    if fields is not None and fifth:
        fields["pixdim"][4] = float(header["pixdim"][5])
    return Volume(
        data,
        grid.geometry,
        axes,
        frame_step=_frame_step(header, 5 if fifth else 4) if "frames" in axes else None,
        extra={} if fields is None else {"nifti": fields},
        notes=(*grid.notes, _VECTOR_NOTE) if fifth and is_vector else grid.notes,
    )


def write_nifti(volume: Volume, path: Path) -> None:
    """Write a volume without channels as NIfTI-1, or NIfTI-2 if an axis is too long.

    Element types are kept (float16 becomes float32). Classes become the last axis. The file depends
    only on the volume: it contains no name and no time.
    """
    if "channels" in volume.axes:
        raise FlomoError("A colour image cannot be written as NIfTI; choose .png or .tif.")
    data = limits.storable(volume.data, "=")
    header = _header_for(volume, data)
    with path.open("wb") as raw:
        if path.name.lower().endswith(".gz"):
            with gzip.GzipFile("", "wb", _COMPRESSION, raw, mtime=0) as packed:
                _write_stream(cast(BinaryIO, packed), header, data)
        else:
            _write_stream(raw, header, data)


def _axes(header: Any, path: Path) -> tuple[tuple[int, ...], tuple[str, ...], bool]:
    """Return lengths in disk order (columns first), names in array order, and if frames are fifth.

    Some programs store frames along the fifth axis.
    """
    rank = int(header["dim"][0])
    if not 1 <= rank <= 7:
        raise limits.damaged(path, "its NIfTI header is invalid")
    shape = [int(length) for length in header["dim"][1 : rank + 1]]
    limits.check_declared_size(path, shape, 0)
    while len(shape) > 4 and shape[-1] == 1:
        shape.pop()
    classes = bytes(header["intent_name"]).rstrip(b"\0") == _CLASSES
    if len(shape) == 2:
        shape.append(1)
    if len(shape) == 3:
        return tuple(shape), SPATIAL_AXES, False
    if len(shape) == 4:
        return tuple(shape), ("classes" if classes else "frames", *SPATIAL_AXES), False
    if len(shape) == 5 and classes:
        return tuple(shape), ("classes", "frames", *SPATIAL_AXES), False
    if len(shape) == 5 and shape[3] == 1:
        if int(header["intent_code"]) in _NO_FRAMES:
            raise FlomoError(
                f"{path.name} holds vectors, matrices or colours, not one number per voxel; save "
                "one component as a separate image."
            )
        del shape[3]
        return tuple(shape), ("frames", *SPATIAL_AXES), True
    raise FlomoError(
        f"{path.name} is {len(shape)}-dimensional, but an image has 2, 3 or 4 dimensions (columns, "
        "rows, slices, frames); save it as 3-D or 4-D files first."
    )


def _number_type(header: Any, path: Path) -> np.dtype[Any]:
    try:
        dtype: np.dtype[Any] = header.get_data_dtype()
    except (HeaderDataError, KeyError) as error:
        raise limits.damaged(path, "its NIfTI header has an unknown voxel type") from error
    if dtype.kind in "iuf":
        return dtype
    kind = "complex numbers" if dtype.kind == "c" else "colours"
    advice = "save its magnitude" if dtype.kind == "c" else "save it as .png or .tif"
    raise FlomoError(f"{path.name} holds {kind}, not one number per voxel; {advice} and open that.")


def _scaling(header: Any) -> tuple[float, float] | None:
    """Return slope and offset, or None; a slope of 0 or NaN means no scaling."""
    slope, offset = float(header["scl_slope"]), float(header["scl_inter"])
    if not np.isfinite(slope) or slope == 0:
        return None
    offset = offset if np.isfinite(offset) else 0.0
    return None if (slope, offset) == (1.0, 0.0) else (slope, offset)


def _scaled_type(dtype: np.dtype[Any]) -> type[np.floating[Any]]:
    """Up to 16 bits fit into float32 without loss; larger types need float64."""
    return np.float32 if dtype.itemsize <= 2 or dtype == np.float32 else np.float64


def _read_data(stream: BinaryIO, count: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Read the voxels at the current position, and the rest of the stream."""
    data = limits.read_elements(stream, count, dtype)
    drain(stream)
    native = dtype.newbyteorder("=")
    return data if dtype == native else data.astype(native)


def _frame_step(header: Any, axis: int = 4) -> float | None:
    """Return the seconds between frames, None if the header has no step or no unit."""
    factor = _TIME_FACTORS.get(int(header["xyzt_units"]) & 56)
    step = float(header["pixdim"][axis])
    return step * factor if factor and np.isfinite(step) and step > 0 else None


def _header_for(volume: Volume, data: NDArray[Any]) -> Any:
    """Return a header with the original geometry fields if they are still correct."""
    header: Any = Nifti1Header() if max(data.shape) <= _LARGEST_NIFTI1_AXIS else Nifti2Header()
    shape = data.shape[::-1]
    if "classes" in volume.axes:
        header["intent_name"] = _CLASSES
    header.set_data_dtype(data.dtype)
    header.set_data_shape(shape)
    header["scl_slope"], header["scl_inter"] = 1, 0
    header["magic"] = b"n+1" if isinstance(header, Nifti1Header) else b"n+2"
    header["vox_offset"] = header.sizeof_hdr + 4  # four bytes: no header extensions follow

    frames = "frames" in volume.axes
    original = volume.extra.get("nifti")
    if original is not None:
        restored = header.copy()
        for name in GRID_FIELDS:
            restored[name] = original[name]
        restored["pixdim"][: 5 if frames else 4] = original["pixdim"][: 5 if frames else 4]
        if header_grid(restored).geometry == volume.geometry and (
            not frames or _frame_step(restored) == volume.frame_step
        ):
            return restored

    if volume.geometry.spacing_known:
        affine = volume.geometry.affine_ras()
        header.set_qform(affine, SCANNER, strip_shears=True)
        header.set_sform(affine, SCANNER)
        header["xyzt_units"] = 2 | 8
    header["pixdim"][1:4] = volume.geometry.spacing
    if frames:
        header["pixdim"][4] = volume.frame_step or 1.0
        space_unit = int(header["xyzt_units"]) & 7
        header["xyzt_units"] = space_unit | (8 if volume.frame_step else 0)
    return header


def _write_stream(stream: BinaryIO, header: Any, data: NDArray[Any]) -> None:
    stream.write(header.binaryblock)
    stream.write(bytes(4))
    stream.write(data.reshape(-1).view(np.uint8).data)
