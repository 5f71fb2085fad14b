"""Read the headers of DICOM files."""

from __future__ import annotations

import struct
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from napari_flomo.errors import FlomoError
from napari_flomo.volumes import limits
from napari_flomo.volumes.dicom.files import INDEX
from napari_flomo.volumes.dicom.groups import frame_planes
from napari_flomo.volumes.dicom.planes import DicomFile, Plane, kind_of, times_of
from napari_flomo.volumes.dicom.values import number, numbers, positive, tag_of, text, value_of

if TYPE_CHECKING:
    from pydicom import Dataset

# Storage classes without an image. A file of any other class that cannot be read is damaged;
# skipping it silently would shorten the stack.
_NOT_IMAGES = (
    "1.2.840.10008.1.3.10",  # DICOMDIR
    "1.2.840.10008.5.1.4.1.1.4.2",  # MR spectroscopy
    "1.2.840.10008.5.1.4.1.1.9.",  # waveforms
    "1.2.840.10008.5.1.4.1.1.11.",  # presentation states
    "1.2.840.10008.5.1.4.1.1.30",  # parametric maps
    "1.2.840.10008.5.1.4.1.1.66",  # raw data, registrations, segmentations
    "1.2.840.10008.5.1.4.1.1.67",
    "1.2.840.10008.5.1.4.1.1.68.",  # surfaces
    "1.2.840.10008.5.1.4.1.1.88.",  # reports
    "1.2.840.10008.5.1.4.1.1.90.",  # content assessments
    "1.2.840.10008.5.1.4.1.1.104.",  # encapsulated documents
    "1.2.840.10008.5.1.4.1.1.200.",  # performed procedures
    "1.2.840.10008.5.1.4.1.1.481.",  # radiotherapy
    "1.2.840.10008.5.1.4.34.",  # plans of treatment
    "1.2.840.10008.5.1.4.38.",  # hanging protocols
    "1.2.840.10008.5.1.4.39.",  # colour palettes
)
_KEYWORDS = (
    *("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"),
    *("FrameOfReferenceUID", "SeriesNumber", "SeriesDescription", "Modality", "ImageType"),
    *("Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation"),
    *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "ImagerPixelSpacing"),
    *("SliceThickness", "SpacingBetweenSlices", "TemporalPositionIdentifier", "TriggerTime"),
    *("NominalCardiacTriggerDelayTime", "AcquisitionDateTime", "AcquisitionTime"),
    *("AcquisitionDate", "ContentTime", "InstanceNumber", "FrameTime", "EchoNumbers", "EchoTime"),
    *("BitsStored", "ScanningSequence", "SequenceVariant", "RescaleSlope", "RescaleIntercept"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
    *("DimensionIndexSequence", "NominalInterval", "HeartRate"),
)
_PIXELS = {(0x7FE0, 0x0008), (0x7FE0, 0x0009), (0x7FE0, 0x0010)}
_UNDEFINED = 0xFFFFFFFF
_DEFLATED = "1.2.840.10008.1.2.1.99"


class DamagedImage(FlomoError):
    """An image file is truncated or damaged; ``series_uid`` is "" if it cannot be read."""

    def __init__(self, path: Path, series_uid: str = "") -> None:
        super().__init__(str(limits.damaged(path, "it is a damaged or truncated DICOM file")))
        self.series_uid = series_uid


def read_planes(path: Path) -> list[Plane] | None:
    """Read the header of a DICOM file; raise `DamagedImage` if it is damaged.

    Returns one plane for each frame of an enhanced file, else a single one; None for a file without
    an image, such as a report.
    """
    from pydicom.config import disable_value_validation

    if path.name.upper() == INDEX:
        return None
    with limits.open_file(path) as stream, warnings.catch_warnings():
        # Warnings concern only the form of values, and quote them: they may identify the patient.
        warnings.simplefilter("ignore")
        with disable_value_validation():
            dataset = _parse(stream, path)
            return None if dataset is None else _planes(path, dataset)


def _parse(stream: BinaryIO, path: Path) -> Dataset | None:
    """Read a header up to its pixels, None if it is not an image."""
    import pydicom

    try:
        dataset = pydicom.dcmread(
            stream,
            stop_before_pixels=True,
            force=True,
            specific_tags=[tag_of(keyword) for keyword in _KEYWORDS],
        )
    except Exception as error:
        if declared_class(path).startswith(_NOT_IMAGES):
            return None
        raise DamagedImage(path) from error
    meta = dataset.file_meta
    # The meta group comes first, so it is complete in a truncated file.
    sop_class = text(meta, "MediaStorageSOPClassUID") or text(dataset, "SOPClassUID")
    if sop_class.startswith(_NOT_IMAGES):
        return None
    deflated = text(meta, "TransferSyntaxUID") == _DEFLATED  # pydicom has read the whole stream
    has_pixels = deflated or _check_pixels(stream, dataset, path)
    if has_pixels and number(dataset, "Rows") and number(dataset, "Columns"):
        return dataset
    from pydicom.uid import UID

    # An object of an image class without its pixels is truncated; others never had any.
    if has_pixels or "Image Storage" in UID(sop_class).name or not sop_class:
        raise DamagedImage(path, text(dataset, "SeriesInstanceUID"))
    return None


def declared_class(path: Path) -> str:
    """Return the storage class in the meta group of a file, "" if even that is damaged."""
    from pydicom.filereader import read_file_meta_info

    try:
        return text(read_file_meta_info(path), "MediaStorageSOPClassUID")
    except Exception:  # pydicom raises many kinds for a damaged file
        return ""


def _check_pixels(stream: BinaryIO, dataset: Dataset, path: Path) -> bool:
    """Return True if the pixels follow the header; raise if they reach beyond the file's end."""
    implicit, little = dataset.original_encoding
    order = "<" if little else ">"
    head = stream.read(8)
    if len(head) < 8 or struct.unpack(f"{order}HH", head[:4]) not in _PIXELS:
        return False
    if implicit:
        length = struct.unpack(f"{order}L", head[4:])[0]
    elif head[4:6] in (b"OB", b"OW", b"UN", b"OF", b"OD"):
        length = int.from_bytes(stream.read(4), "little" if little else "big")
    else:
        length = struct.unpack(f"{order}H", head[6:])[0]
    if length != _UNDEFINED and stream.tell() + length > path.stat().st_size:
        raise DamagedImage(path, text(dataset, "SeriesInstanceUID"))
    return True


def _planes(path: Path, dataset: Dataset) -> list[Plane]:
    file = _file(path, dataset)
    if file.enhanced:
        return frame_planes(file, dataset)
    position = numbers(dataset, "ImagePositionPatient", 3)
    # Projection X-rays have the spacing at the detector instead of that in the patient.
    spacing = numbers(dataset, "PixelSpacing", 2) or numbers(dataset, "ImagerPixelSpacing", 2)
    return [
        Plane(
            file,
            None,
            (position[0], position[1], position[2]) if position else None,
            numbers(dataset, "ImageOrientationPatient", 6),
            (spacing[0], spacing[1]) if spacing else None,
            positive(dataset, "SliceThickness"),
            positive(dataset, "SpacingBetweenSlices"),
            times_of(dataset),
            kind_of(dataset),
        )
    ]


def _file(path: Path, dataset: Dataset) -> DicomFile:
    frames = int(number(dataset, "NumberOfFrames") or 1)
    photometric = text(dataset, "PhotometricInterpretation")
    samples = int(number(dataset, "SamplesPerPixel") or 1)
    series_number = number(dataset, "SeriesNumber")
    return DicomFile(
        path=path,
        sop_class=text(dataset, "SOPClassUID")
        or text(dataset.file_meta, "MediaStorageSOPClassUID"),
        sop_uid=text(dataset, "SOPInstanceUID"),
        study_uid=text(dataset, "StudyInstanceUID"),
        series_uid=text(dataset, "SeriesInstanceUID"),
        frame_of_reference=text(dataset, "FrameOfReferenceUID"),
        series_number="" if series_number is None else f"{series_number:.0f}",
        description=" ".join(text(dataset, "SeriesDescription").split()),
        modality=text(dataset, "Modality") or None,
        rows=int(number(dataset, "Rows") or 0),
        columns=int(number(dataset, "Columns") or 0),
        frames=max(frames, 1),
        samples=3 if photometric == "PALETTE COLOR" else samples,
        bits=int(number(dataset, "BitsStored") or 16),
        photometric=photometric,
        frame_time=positive(dataset, "FrameTime"),
        echo_time=positive(dataset, "EchoTime"),
        sequence="/".join(text(dataset, name) for name in ("ScanningSequence", "SequenceVariant")),
        # Some programs leave an empty item in an object that is positioned like a single image.
        enhanced=(frames > 1 or numbers(dataset, "ImagePositionPatient", 3) is None)
        and any(
            value_of(dataset, name)
            for name in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
        ),
    )
