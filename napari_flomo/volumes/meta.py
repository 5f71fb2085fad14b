"""MetaImage (.mha, .mhd): headers read by ITK, most voxels without it.

ITK interprets a % in a name as a pattern of names, and returns uninitialised memory if a file is
missing.
"""

from __future__ import annotations

import errno
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk  # noqa: N813  (its usual name)
from numpy.typing import NDArray

from napari_flomo.errors import FlomoError
from napari_flomo.volumes import limits
from napari_flomo.volumes.geometry import Geometry
from napari_flomo.volumes.meta_data import Storage, read_storage, read_voxels
from napari_flomo.volumes.native_paths import is_text, readable_path, writable_path
from napari_flomo.volumes.volume import SPATIAL_AXES, Volume

_TYPES = {
    **{
        f"{8 * size}-bit {sign}signed integer": np.dtype(f"{kind}{size}")
        for size in (1, 2, 4, 8)
        for sign, kind in (("", "i"), ("un", "u"))
    },
    "32-bit float": np.dtype("f4"),
    "64-bit float": np.dtype("f8"),
}


def read_meta(path: Path) -> Volume:
    """Read ``.mha``, or ``.mhd`` with its data in one or several other files.

    The volume is (slices, rows, columns), or (frames, slices, rows, columns). The fourth spacing
    counts as seconds unless it is 1, which means "not set".
    """
    storage = read_storage(path)
    with readable_path(path) as name:
        reader = sitk.ImageFileReader()
        reader.SetImageIO("MetaImageIO")
        reader.SetFileName(name)
        try:
            reader.ReadImageInformation()
        except RuntimeError as error:
            raise limits.damaged(path, "it is not a MetaImage, or its header is damaged") from error
    size = reader.GetSize()
    type_name = sitk.GetPixelIDValueAsString(reader.GetPixelID())
    dtype = _TYPES.get(type_name)
    # Twice: ITK's image and the array.
    limits.check_declared_size(path, size, 2 * (dtype.itemsize if dtype else 8))
    if reader.GetNumberOfComponents() != 1 or dtype is None:
        raise FlomoError(
            f"{path.name} holds colours, vectors or complex numbers, not one number per voxel; "
            "save one component as a separate image."
        )
    rank = reader.GetDimension()
    if rank not in (2, 3, 4):
        raise FlomoError(
            f"{path.name} is {rank}-dimensional, but an image has 2, 3 or 4 dimensions (columns, "
            "rows, slices, frames); save it as 3-D or 4-D files first."
        )
    geometry = _geometry(reader)
    data = _decompressed_by_itk(path, reader, storage)
    if data is None:
        data = read_voxels(path, storage, size, dtype).reshape(size[::-1])
    if rank == 4:
        step = float(reader.GetSpacing()[3])
        return Volume(
            data, geometry, ("frames", *SPATIAL_AXES), frame_step=step if step != 1 else None
        )
    return Volume(data if rank == 3 else data[np.newaxis], geometry)


def _decompressed_by_itk(
    path: Path, reader: sitk.ImageFileReader, storage: Storage
) -> NDArray[Any] | None:
    """Return the verified voxels of a compressed single file; None for any other.

    ITK decompresses faster than Python.
    """
    checksum = storage.checksum_of(path)
    if checksum is None or not is_text(path):
        return None
    try:
        data: NDArray[Any] = sitk.GetArrayFromImage(reader.Execute())
    except RuntimeError:
        return None
    return data if zlib.adler32(data.reshape(-1).view(np.uint8).data) == checksum else None


def write_meta(volume: Volume, path: Path, *, compress: bool = True) -> None:
    """Write a volume without classes and channels as ``.mha``."""
    limits.check_axes(volume.axes, "MetaImage")
    if not volume.geometry.spacing_known:
        raise FlomoError(
            "A MetaImage cannot have an unknown pixel size; choose .png, .tif, .nii.gz or .nrrd."
        )
    data = volume.data
    if data.dtype == np.float16:
        data = data.astype(np.float32)
    if "frames" in volume.axes:
        frames = [_image(frame, volume.geometry) for frame in data]
        image = sitk.JoinSeries(frames, 0.0, volume.frame_step or 1.0)
    else:
        image = _image(data, volume.geometry)
    with writable_path(path) as name:
        try:
            sitk.WriteImage(image, name, useCompression=compress)
        except RuntimeError as error:
            reason = "ITK could not write it; is the disk full?"
            raise OSError(errno.EIO, reason, str(path)) from error


def _geometry(image: sitk.ImageFileReader) -> Geometry:
    """Return the grid of the first three axes of a 2-D to 4-D image."""
    rank = image.GetDimension()
    matrix = np.eye(max(rank, 3))
    matrix[:rank, :rank] = np.array(image.GetDirection()).reshape(rank, rank)
    x, y, z = (*image.GetSpacing(), 1.0)[:3]
    origin = (*image.GetOrigin(), 0.0)[:3]
    return Geometry((x, y, z), origin, tuple(matrix[:3, :3].ravel().tolist()))


def _image(data: Any, geometry: Geometry) -> sitk.Image:
    image = sitk.GetImageFromArray(np.ascontiguousarray(data))
    image.SetSpacing(geometry.spacing)
    image.SetOrigin(geometry.origin)
    image.SetDirection(geometry.direction)
    return image
