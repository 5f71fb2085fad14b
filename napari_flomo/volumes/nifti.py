"""NIfTI-1 and NIfTI-2 in single files (.nii, .nii.gz).

On disk the fastest axis is the column index and time is the fourth axis, so a C-ordered array of
(frames, slices, rows, columns) has exactly the bytes of the file: nothing is transposed, and
nothing can be mixed up. World coordinates are RAS on disk and LPS in `Geometry`.

NIfTI keeps its geometry in float32: positions are exact to about 1e-7 of their size (0.00003 mm at
300 mm). What has been through a file once comes back from every later round trip unchanged.
"""

from __future__ import annotations

import contextlib
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from nibabel.nifti1 import Nifti1Header
from nibabel.nifti2 import Nifti2Header
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from napari_flomo.errors import FlomoError
from napari_flomo.files import atomic_write
from napari_flomo.volumes import limits
from napari_flomo.volumes.geometry import Geometry
from napari_flomo.volumes.volume import SPATIAL_AXES, Volume

_GZIP_MAGIC = b"\x1f\x8b"
_SCANNER = 1  # the code of a form that says where the patient lay in the scanner
_SPACE_FACTORS = {0: 1.0, 1: 1e3, 2: 1.0, 3: 1e-3}  # unknown, metre, mm, micrometre -> mm
_TIME_FACTORS = {8: 1.0, 16: 1e-3, 24: 1e-6}  # s, ms, us -> s
_LARGEST_NIFTI1_AXIS = 32767
_LARGEST_OFFSET = 1 << 40
_COMPRESSION = 5  # label maps shrink as much as with 9, in a third of the time
_CLASSES = b"classes"  # our mark that the last axis holds a network's classes, not frames

# All that places the voxels. A file written on the grid of another one repeats these numbers bit
# for bit, so that tools that prefer the qform and tools that prefer the sform both see one grid.
_PLACING_FIELDS = (
    "qform_code",
    "sform_code",
    "quatern_b",
    "quatern_c",
    "quatern_d",
    "qoffset_x",
    "qoffset_y",
    "qoffset_z",
    "srow_x",
    "srow_y",
    "srow_z",
    "xyzt_units",
)


def read_nifti(path: Path) -> Volume:
    """Read a NIfTI file, compressed or not whatever its name says.

    The stored scaling (``scl_slope``, ``scl_inter``) is applied. Where sform and qform disagree,
    the one that tells scanner coordinates is taken, as ITK does: the sform when its code is 1 or
    there is no qform, else the qform. With neither, the grid has its spacing and no place.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    Volume
        (slices, rows, columns), or (frames, slices, rows, columns) of a 4-D file.

    Raises
    ------
    FlomoError
        If the file is missing, no NIfTI, damaged, too large for memory, of a rank other than 2 to
        4, complex or coloured, or has an impossible geometry.
    """
    with _open_stream(path) as (stream, ratio):
        header = _read_header(stream, path)
        shape, axes = _axes(header, path)
        dtype = _number_type(header, path)
        scaling = _scaling(header)
        peak = dtype.itemsize + (np.dtype(_scaled_type(dtype)).itemsize if scaling else 0)
        limits.check_declared_size(path, shape, peak)
        count = int(np.prod(shape, dtype=np.int64))
        limits.check_packed_size(path, count * dtype.itemsize, path.stat().st_size, ratio)
        geometry = _geometry(header)
        data = _read_data(stream, header, count, dtype, path).reshape(shape[::-1])
    if scaling:
        slope, offset = scaling
        data = data.astype(_scaled_type(dtype))
        data *= slope
        data += offset
    return Volume(
        data,
        geometry,
        axes,
        frame_step=_frame_step(header) if "frames" in axes else None,
        extra={"nifti": _placing(header)},
    )


def write_nifti(volume: Volume, path: Path) -> None:
    """Write a volume as NIfTI-1, or NIfTI-2 when an axis is longer than NIfTI-1 allows.

    Element types are kept (float16 becomes float32). Compressed bytes depend on nothing but the
    volume: no name and no time go into the file. Classes become the last axis.

    Parameters
    ----------
    volume
        What to write; may have frames and classes, but no colour channels.
    path
        ``.nii`` or ``.nii.gz``.

    Raises
    ------
    FlomoError
        If it has colour channels, or cannot be written.
    """
    if "channels" in volume.axes:
        raise FlomoError("A colour image cannot be written as NIfTI; choose .png or .tif.")
    data = volume.data
    if data.dtype == np.float16:
        data = data.astype(np.float32)
    if data.dtype.kind == "f" and data.dtype.itemsize > 8:
        data = data.astype(np.float64)
    data = np.ascontiguousarray(data, dtype=data.dtype.newbyteorder("="))
    header = _header_for(volume, data)
    with atomic_write(path) as temporary, temporary.open("wb") as raw:
        if path.name.lower().endswith(".gz"):
            with gzip.GzipFile("", "wb", _COMPRESSION, raw, mtime=0) as packed:
                _write_stream(cast(BinaryIO, packed), header, data)
        else:
            _write_stream(raw, header, data)


@contextlib.contextmanager
def _open_stream(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    """Yield the uncompressed stream and the largest factor that compression can have saved."""
    with limits.open_file(path) as raw:
        packed = raw.read(2) == _GZIP_MAGIC
        raw.seek(0)
        try:
            if packed:
                with gzip.GzipFile(fileobj=raw) as stream:
                    yield cast(BinaryIO, stream), limits.DEFLATE_LIMIT
            else:
                yield raw, 1
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise limits.damaged(path) from error


def _read_header(stream: BinaryIO, path: Path) -> Any:
    """Return the header as it is on disk, without nibabel's silent repairs."""
    block = stream.read(Nifti1Header.sizeof_hdr)
    size = {int.from_bytes(block[:4], order) for order in ("little", "big")}
    kind: Any = Nifti1Header
    if Nifti2Header.sizeof_hdr in size:
        kind = Nifti2Header
        block += stream.read(Nifti2Header.sizeof_hdr - Nifti1Header.sizeof_hdr)
    elif Nifti1Header.sizeof_hdr not in size:
        raise limits.damaged(path, "it is not a NIfTI image")
    if len(block) < kind.sizeof_hdr:
        raise limits.damaged(path)
    try:
        header = kind(block, check=False)
    except (HeaderDataError, ValueError) as error:
        raise limits.damaged(path, "its NIfTI header makes no sense") from error
    if bytes(header["magic"])[:3] not in (b"n+1", b"n+2"):
        raise limits.damaged(
            path, "it is Analyze or a NIfTI header without its image, not a NIfTI file in one piece"
        )
    return header


def _axes(header: Any, path: Path) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Return the lengths in disk order (columns first) and the names in array order."""
    rank = int(header["dim"][0])
    if not 1 <= rank <= 7:
        raise limits.damaged(path, "its NIfTI header makes no sense")
    shape = [int(length) for length in header["dim"][1 : rank + 1]]
    limits.check_declared_size(path, shape, 0)
    while len(shape) > 4 and shape[-1] == 1:
        shape.pop()
    classes = bytes(header["intent_name"]).rstrip(b"\0") == _CLASSES
    if len(shape) == 2:
        shape.append(1)
    if len(shape) == 3:
        return tuple(shape), SPATIAL_AXES
    if len(shape) == 4:
        return tuple(shape), ("classes" if classes else "frames", *SPATIAL_AXES)
    if len(shape) == 5 and classes:
        return tuple(shape), ("classes", "frames", *SPATIAL_AXES)
    raise FlomoError(
        f"{path.name} is {len(shape)}-dimensional, but an image has 2, 3 or 4 dimensions (columns, "
        "rows, slices, frames); save it as 3-D or 4-D files first."
    )


def _number_type(header: Any, path: Path) -> np.dtype[Any]:
    try:
        dtype: np.dtype[Any] = header.get_data_dtype()
    except (HeaderDataError, KeyError) as error:
        raise limits.damaged(path, "its NIfTI header names no known type of voxel") from error
    if dtype.kind in "iuf":
        return dtype
    kind = "complex numbers" if dtype.kind == "c" else "colours"
    advice = "save its magnitude" if dtype.kind == "c" else "save it as .png or .tif"
    raise FlomoError(f"{path.name} holds {kind}, not one number per voxel; {advice} and open that.")


def _scaling(header: Any) -> tuple[float, float] | None:
    """Return slope and offset when they change anything; a slope of 0 or NaN means none."""
    slope, offset = float(header["scl_slope"]), float(header["scl_inter"])
    if not np.isfinite(slope) or slope == 0:
        return None
    offset = offset if np.isfinite(offset) else 0.0
    return None if (slope, offset) == (1.0, 0.0) else (slope, offset)


def _scaled_type(dtype: np.dtype[Any]) -> type[np.floating[Any]]:
    """Up to 16 bits fit into float32 without loss; larger types need float64."""
    return np.float32 if dtype.itemsize <= 2 or dtype == np.float32 else np.float64


def _read_data(
    stream: BinaryIO, header: Any, count: int, dtype: np.dtype[Any], path: Path
) -> NDArray[Any]:
    offset = float(header["vox_offset"])
    if not 0 <= offset < _LARGEST_OFFSET:  # also false for NaN
        raise limits.damaged(path, "its NIfTI header makes no sense")
    stream.seek(max(int(offset), header.sizeof_hdr))
    data = limits.read_elements(stream, count, dtype)
    limits.drain(stream)
    native = dtype.newbyteorder("=")
    return data if dtype == native else data.astype(native)


def _geometry(header: Any) -> Geometry:
    """Return the grid that the forms of a header describe."""
    q_code, s_code = int(header["qform_code"]), int(header["sform_code"])
    space_unit = int(header["xyzt_units"]) & 7
    steps = np.array(header["pixdim"][1:4], dtype=np.float64)
    flat = int(header["dim"][0]) < 3
    if flat and not steps[2] > 0:
        steps[2] = 1.0
    factor = _SPACE_FACTORS.get(space_unit, 1.0)
    # Building it also refuses zero, negative and absurd steps, which nibabel would repair silently.
    x, y, z = (steps * factor).tolist()
    plain = Geometry(
        (x, y, z),
        spacing_known=bool(q_code or s_code or space_unit or (steps != 1).any()),
    )
    failure: FlomoError | None = None
    sform_first = s_code == _SCANNER or (s_code > 0 and q_code <= 0)
    for form in ("sform", "qform") if sform_first else ("qform", "sform"):
        if (s_code if form == "sform" else q_code) <= 0:
            continue
        try:
            affine = _form(header, form, flat)
            affine[:3] *= factor
            return Geometry.from_affine_ras(affine)
        except FlomoError as error:  # a sheared sform may stand beside a good qform
            failure = failure or error
    if failure is not None:
        raise failure
    return plain


def _form(header: Any, form: str, flat: bool) -> NDArray[np.float64]:
    """Return one of the two affines of a header, columns, rows, slices to RAS."""
    try:
        affine = header.get_sform() if form == "sform" else header.get_qform()
    except (HeaderDataError, ValueError) as error:
        raise FlomoError(
            f"The image's {form} is not a valid orientation; repair the header or export again."
        ) from error
    affine = np.array(affine, dtype=np.float64)
    if flat and not affine[:3, 2].any():  # a 2-D file need not say where a second slice would be
        normal = np.cross(affine[:3, 0], affine[:3, 1])
        affine[:3, 2] = normal / (np.linalg.norm(normal) or 1.0)
    return affine


def _frame_step(header: Any) -> float | None:
    """Return the seconds between frames, None when the header gives no step or no unit."""
    factor = _TIME_FACTORS.get(int(header["xyzt_units"]) & 56)
    step = float(header["pixdim"][4])
    return step * factor if factor and np.isfinite(step) and step > 0 else None


def _placing(header: Any) -> dict[str, Any]:
    """Copy the placing fields out of a header."""
    fields = {name: np.array(header[name]).tolist() for name in _PLACING_FIELDS}
    fields["pixdim"] = np.array(header["pixdim"][:5]).tolist()
    return fields


def _header_for(volume: Volume, data: NDArray[Any]) -> Any:
    """Make the header of a volume, with the placing fields of its origin where they still hold."""
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
        for name in _PLACING_FIELDS:
            restored[name] = original[name]
        restored["pixdim"][: 5 if frames else 4] = original["pixdim"][: 5 if frames else 4]
        if _geometry(restored) == volume.geometry and (
            not frames or _frame_step(restored) == volume.frame_step
        ):
            return restored

    if volume.geometry.spacing_known:
        affine = volume.geometry.affine_ras()
        header.set_qform(affine, _SCANNER, strip_shears=True)
        header.set_sform(affine, _SCANNER)
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
