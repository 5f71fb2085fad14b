"""Photos and plain image files: PNG, JPEG, TIFF.

Their pixel size is unknown, so their `Geometry` has ``spacing_known`` False, and measurements on
them are in pixels. Resolution tags are ignored: they describe the size on paper.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from napari_flomo.errors import FlomoError
from napari_flomo.volumes import limits
from napari_flomo.volumes.geometry import Geometry
from napari_flomo.volumes.volume import SPATIAL_AXES, Volume

_UNCHANGED = {"L", "RGB", "RGBA", "I", "F", "I;16", "I;16L", "I;16B", "I;16N"}
_FORMATS = ("PNG", "JPEG", "TIFF")


def read_photo(path: Path) -> Volume:
    """Read PNG, JPEG or TIFF as (slices, rows, columns, channels?); pages of a TIFF are slices.

    The orientation tag of a camera is applied. Palettes become colours (3 or 4 channels), one-bit
    images 0 and 1; grey with alpha loses its alpha.
    """
    with limits.open_file(path) as stream:
        try:
            with Image.open(stream, formats=_FORMATS) as image:
                pages = getattr(image, "n_frames", 1) if image.format == "TIFF" else 1
                limits.check_declared_size(
                    path, (pages, image.height, image.width), 2 * len(image.getbands())
                )
                arrays = []
                for page in range(pages):
                    if pages > 1:
                        image.seek(page)
                    arrays.append(_page(image, path))
        except UnidentifiedImageError as error:
            raise limits.damaged(path, "it is not a PNG, JPEG or TIFF image") from error
        except (OSError, SyntaxError, ValueError, TypeError, EOFError) as error:
            raise limits.damaged(path) from error
        except Image.DecompressionBombError as error:
            raise FlomoError(
                f"{path.name} has too many pixels for a photo; scale it down or cut it into parts."
            ) from error
    if len({array.shape for array in arrays}) > 1:
        raise FlomoError(
            f"The pages of {path.name} differ in size or colour, so they are not slices of one "
            "image; save them as separate files."
        )
    data = np.stack(arrays)
    axes = SPATIAL_AXES if data.ndim == 3 else (*SPATIAL_AXES, "channels")
    return Volume(data, Geometry.unknown(), axes, modality="photo")


def write_photo(volume: Volume, path: Path) -> None:
    """Write a photo or its mask as PNG or TIFF; raise if geometry or values would be lost.

    PNG stores one slice of 8- or 16-bit unsigned integers, TIFF several slices and also float32.
    """
    png = path.suffix.lower() == ".png"
    name = "PNG" if png else "TIFF"
    if volume.geometry.spacing_known:
        raise FlomoError(
            f"{name} cannot keep the position and spacing of a medical image; choose .nii.gz, "
            ".nrrd or .mha."
        )
    if set(volume.axes) & {"frames", "classes"} or (png and volume.n_slices > 1):
        raise FlomoError(f"{name} can hold only one image; choose .nii.gz or .nrrd.")
    data = volume.data
    if data.dtype == np.float64 and not png:
        data = data.astype(np.float32)
    colour = "channels" in volume.axes
    allowed: tuple[Any, ...] = (np.uint8,) if colour else (np.uint8, np.uint16)
    if not png and not colour:
        allowed += (np.float32,)
    if data.dtype not in allowed or (colour and data.shape[-1] not in (3, 4)):
        raise FlomoError(
            f"{name} cannot hold values of type {data.dtype} unchanged; choose .nii.gz or .nrrd."
        )
    first, *others = [Image.fromarray(np.ascontiguousarray(page)) for page in data]
    if png:
        first.save(path, format="PNG")
    else:
        first.save(
            path,
            format="TIFF",
            compression="tiff_adobe_deflate",
            save_all=True,
            append_images=others,
        )


def _page(image: Image.Image, path: Path) -> NDArray[Any]:
    """Return the current page, (rows, columns) or (rows, columns, channels), upright."""
    upright = ImageOps.exif_transpose(image)
    mode = upright.mode
    if mode == "1":
        return np.asarray(upright, dtype=np.uint8)
    if mode not in _UNCHANGED:
        target = {"LA": "L", "PA": "RGBA", "P": "RGB", "La": "L", "RGBa": "RGBA"}.get(mode)
        if mode == "P" and "transparency" in upright.info:
            target = "RGBA"
        if target is None and mode in ("CMYK", "YCbCr", "LAB", "HSV", "RGBX"):
            target = "RGB"
        if target is None:
            raise FlomoError(
                f"{path.name} stores its pixels as '{mode}', which is not supported; save it as "
                "8-bit PNG."
            )
        upright = upright.convert(target)
    array = np.asarray(upright)
    return array.astype(array.dtype.newbyteorder("="))
