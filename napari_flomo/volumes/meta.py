"""MetaImage (.mha, .mhd) through ITK, whose own format it is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk  # noqa: N813  (its usual name)

from napari_flomo.errors import FlomoError
from napari_flomo.files import atomic_write
from napari_flomo.volumes import limits
from napari_flomo.volumes.geometry import Geometry
from napari_flomo.volumes.volume import SPATIAL_AXES, Volume


def read_meta(path: Path) -> Volume:
    """Read a MetaImage; the fourth axis of a 4-D one is frames.

    Parameters
    ----------
    path
        ``.mha``, or ``.mhd`` with its data beside it.

    Returns
    -------
    Volume
        (slices, rows, columns), or (frames, slices, rows, columns). The fourth spacing counts as
        seconds unless it is 1, the value that means "not set".

    Raises
    ------
    FlomoError
        If the file is missing, no MetaImage, damaged, too large for memory, of a rank other than 2
        to 4, coloured, or has an impossible geometry.
    """
    with limits.open_file(path):  # for its error messages; ITK reports all failures alike
        pass
    reader = sitk.ImageFileReader()
    reader.SetImageIO("MetaImageIO")
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise limits.damaged(path, "it is not a MetaImage, or its header is damaged") from error
    size = reader.GetSize()
    type_name = sitk.GetPixelIDValueAsString(reader.GetPixelID())  # "16-bit signed integer"
    bits = re.match(r"(8|16|32|64)-bit", type_name)
    # Twice, for ITK's image and the array made of it.
    limits.check_declared_size(path, size, 2 * (int(bits[1]) if bits else 64) / 8)
    if reader.GetNumberOfComponents() != 1 or bits is None:
        raise FlomoError(
            f"{path.name} holds colours, vectors or complex numbers, not one number per voxel; "
            "save one component as an image of its own."
        )
    rank = reader.GetDimension()
    if rank not in (2, 3, 4):
        raise FlomoError(
            f"{path.name} is {rank}-dimensional, but an image has 2, 3 or 4 dimensions (columns, "
            "rows, slices, frames); save it as 3-D or 4-D files first."
        )
    try:
        image = reader.Execute()
    except RuntimeError as error:
        raise limits.damaged(path) from error
    data = sitk.GetArrayFromImage(image)
    geometry = _geometry(image)
    if rank == 4:
        step = float(image.GetSpacing()[3])
        return Volume(
            data, geometry, ("frames", *SPATIAL_AXES), frame_step=step if step != 1 else None
        )
    return Volume(data if rank == 3 else data[np.newaxis], geometry)


def write_meta(volume: Volume, path: Path, *, compress: bool = True) -> None:
    """Write a volume as MetaImage in one file.

    Parameters
    ----------
    volume
        What to write; may have frames, but neither classes nor colour channels.
    path
        ``.mha``.
    compress
        Whether to store zlib or raw data.

    Raises
    ------
    FlomoError
        If the volume has classes or channels, its spacing is unknown (MetaImage cannot say so), or
        it cannot be written.
    """
    limits.check_axes(volume.axes, "MetaImage")
    if not volume.geometry.spacing_known:
        raise FlomoError(
            "A MetaImage would claim that pixels are 1 mm; choose .png, .tif, .nii.gz or .nrrd."
        )
    data = volume.data
    if data.dtype == np.float16:
        data = data.astype(np.float32)
    if "frames" in volume.axes:
        frames = [_image(frame, volume.geometry) for frame in data]
        image = sitk.JoinSeries(frames, 0.0, volume.frame_step or 1.0)
    else:
        image = _image(data, volume.geometry)
    with atomic_write(path) as temporary:
        try:
            sitk.WriteImage(image, str(temporary), useCompression=compress)
        except RuntimeError as error:
            raise FlomoError(f"{path} could not be written; is the disk full?") from error


def _geometry(image: sitk.Image) -> Geometry:
    """Take the grid of the first three axes of a 2-D to 4-D image."""
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
