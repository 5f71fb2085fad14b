"""Read the voxels of DICOM files as real values."""

from __future__ import annotations

import tempfile
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_flomo.errors import FlomoError
from napari_flomo.volumes import limits
from napari_flomo.volumes.dicom.planes import DicomFile, Plane
from napari_flomo.volumes.native_paths import readable_path

if TYPE_CHECKING:
    from pydicom import Dataset


def file_pixels(file: DicomFile) -> NDArray[Any]:
    """Read the voxels of a file that is not an enhanced object.

    The array is ``(frames?, rows, columns, channels?)``, without the axis of a single frame.
    Rescale slope and intercept are applied, and MONOCHROME1 is inverted.
    """
    try:
        data = _by_itk(file.path)
    except RuntimeError as error:
        raise _unreadable(file.path) from error
    return data[0] if file.frames == 1 and data.shape[0] == 1 else data


def plane_pixels(planes: Sequence[Plane]) -> list[NDArray[Any]]:
    """Read the voxels of images, each file once."""
    stored: dict[Path, NDArray[Any]] = {}
    left = Counter(plane.file.path for plane in planes)
    images = []
    for plane in planes:
        path = plane.file.path
        if plane.index is None:
            images.append(file_pixels(plane.file))
            continue
        if path not in stored:
            stored[path] = _stored_values(plane.file)
        images.append(_real_values(stored[path][plane.index], plane))
        left[path] -= 1
        if not left[path]:
            del stored[path]
    return images


def _by_itk(path: Path) -> NDArray[Any]:
    import SimpleITK as sitk  # noqa: N813  (its usual name)

    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    with readable_path(path) as name:
        reader.SetFileName(name)
        data: NDArray[Any] = sitk.GetArrayFromImage(reader.Execute())
    return data


def _unreadable(path: Path) -> FlomoError:
    """Return the error for pixels that cannot be decoded."""
    from pydicom.filereader import read_file_meta_info
    from pydicom.uid import JPEG2000TransferSyntaxes, JPEGLSTransferSyntaxes, JPEGTransferSyntaxes

    known = {*JPEG2000TransferSyntaxes, *JPEGLSTransferSyntaxes, *JPEGTransferSyntaxes}
    try:
        syntax = read_file_meta_info(path).TransferSyntaxUID
    except Exception:  # the file is damaged in another way, too
        return limits.damaged(path)
    if syntax.is_encapsulated and syntax not in known:
        return FlomoError(
            f"{path.name} is compressed as {syntax.name}, which cannot be read; export it again "
            "without compression."
        )
    return limits.damaged(path)


def _stored_values(file: DicomFile) -> NDArray[Any]:
    """Return the stored values of an enhanced file, ``(frames, rows, columns)``, without rescaling.

    GDCM would apply the slope of one frame to all of them.
    """
    import pydicom
    from pydicom.pixels.decoders.base import get_decoder

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they concern the form, and may quote patient data
            dataset = pydicom.dcmread(file.path, force=True)
            syntax = dataset.file_meta.get("TransferSyntaxUID")
            if syntax is None or not syntax.is_encapsulated or get_decoder(syntax).is_available:
                data = dataset.pixel_array
            else:
                data = _stored_by_itk(dataset)
    except (RuntimeError, ValueError, AttributeError, NotImplementedError, EOFError) as error:
        raise _unreadable(file.path) from error
    shape = (file.frames, file.rows, file.columns)
    if data.size != np.prod(shape):
        raise limits.damaged(file.path)
    return data.reshape(shape)


def _stored_by_itk(dataset: Dataset) -> NDArray[Any]:
    """Decode compressed frames from a copy of the file with only the pixels."""
    from pydicom import Dataset
    from pydicom.uid import MultiFrameGrayscaleWordSecondaryCaptureImageStorage

    bare = Dataset()
    for element in dataset:
        # Group 0028 describes the pixels; elements that would change their values are left out.
        described = element.tag.group == 0x0028 and not 0x1040 <= element.tag.element <= 0x3010
        if described or element.keyword in ("PixelData", "SOPInstanceUID"):
            bare.add(element)
    bare.SOPClassUID = MultiFrameGrayscaleWordSecondaryCaptureImageStorage
    bare.PhotometricInterpretation = "MONOCHROME2"
    bare.file_meta = dataset.file_meta
    bare.file_meta.MediaStorageSOPClassUID = bare.SOPClassUID
    with tempfile.TemporaryDirectory(prefix="flomo-") as folder:
        path = Path(folder) / "frames.dcm"
        bare.save_as(path, enforce_file_format=False)
        return _by_itk(path)


def _real_values(stored: NDArray[Any], plane: Plane) -> NDArray[Any]:
    """Apply the slope and intercept of a frame, in integers if possible."""
    slope, intercept = plane.slope, plane.intercept
    if plane.file.photometric == "MONOCHROME1":
        # Invert in the same type.
        unsigned = stored.dtype.kind == "u"
        stored = ~stored & stored.dtype.type((1 << plane.file.bits) - 1) if unsigned else ~stored
    if slope == 1 and intercept == 0:
        return stored
    if slope.is_integer() and intercept.is_integer():
        return stored.astype(np.int64 if stored.dtype.itemsize > 2 else np.int32) * int(
            slope
        ) + int(intercept)
    return stored * slope + intercept
