"""DICOM: files, folders and file sets, read by pydicom (headers) and GDCM (pixels).

``files`` finds them, ``header`` and ``groups`` read their headers, ``series`` and ``joining`` group
them, ``sorting`` and ``phases`` order them, ``pixels`` reads the voxels and ``reading`` makes a
volume. pydicom and SimpleITK are imported with the first file.
"""

from __future__ import annotations

from napari_flomo.volumes.dicom.files import dicom_files, is_dicom
from napari_flomo.volumes.dicom.finding import group_files, holds_series, split_stacks
from napari_flomo.volumes.dicom.planes import Plane
from napari_flomo.volumes.dicom.reading import DicomSeries, find_series
from napari_flomo.volumes.dicom.series import SeveralSeries

__all__ = [
    "DicomSeries",
    "Plane",
    "SeveralSeries",
    "dicom_files",
    "find_series",
    "group_files",
    "holds_series",
    "is_dicom",
    "split_stacks",
]
