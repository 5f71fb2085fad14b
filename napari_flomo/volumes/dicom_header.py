"""The few numbers of a DICOM header that place, order and scale an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import SimpleITK as sitk  # noqa: N813  (its usual name)

from napari_flomo.volumes import limits

_PREAMBLE = 128
_MAGIC = b"DICM"
# Storage classes without pixels. An unreadable file of any other class is damaged, and leaving it
# out silently would shorten the stack.
_NOT_IMAGES = (
    "1.2.840.10008.1.3.10",  # DICOMDIR
    "1.2.840.10008.5.1.4.1.1.4.2",  # MR spectroscopy
    "1.2.840.10008.5.1.4.1.1.9.",  # waveforms
    "1.2.840.10008.5.1.4.1.1.11.",  # presentation states
    "1.2.840.10008.5.1.4.1.1.66",  # raw data, registrations, segmentations
    "1.2.840.10008.5.1.4.1.1.67",
    "1.2.840.10008.5.1.4.1.1.88.",  # reports
    "1.2.840.10008.5.1.4.1.1.104.",  # encapsulated documents
    "1.2.840.10008.5.1.4.1.1.481.",  # radiotherapy
)
_ENHANCED = ("1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.4.1")  # CT, MR
_LONG_LENGTH = (b"OB", b"OW", b"OF", b"SQ", b"UT", b"UN")


@dataclass(frozen=True)
class DicomHeader:
    """What is known of one file; None where its header does not say."""

    path: Path
    series_uid: str
    series_number: str
    modality: str | None
    sop_class: str
    rows: int
    columns: int
    frames: int
    samples: int
    photometric: str
    position: tuple[float, float, float] | None  # mm, LPS
    orientation: tuple[float, ...] | None  # 6: along a row, along a column
    pixel_spacing: tuple[float, float] | None  # mm between rows, between columns
    thickness: float | None
    spacing_between: float | None
    temporal_position: float | None
    trigger_time: float | None  # ms
    instance_number: float | None
    frame_time: float | None  # ms
    image_type: str
    echo: str


def is_dicom(path: Path) -> bool:
    """Tell by its first bytes whether a file is DICOM, with or without a preamble."""
    with limits.open_file(path) as stream:
        start = stream.read(_PREAMBLE + 4)
    if start[_PREAMBLE:] == _MAGIC:
        return True
    # Old files start at once with group 0002 or 0008, its first element in little endian.
    return start[:2] in (b"\x02\x00", b"\x08\x00") and start[3:4] == b"\x00" and len(start) > 100


def read_header(path: Path) -> DicomHeader | None:
    """Read the header of a DICOM file.

    Returns
    -------
    DicomHeader or None
        None when the file is DICOM but no image, such as a report.

    Raises
    ------
    FlomoError
        If the file should be an image but is damaged.
    """
    declared = _storage_class(path)
    if declared.startswith(_NOT_IMAGES) or path.name.upper() == "DICOMDIR":
        return None
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(path))
    reader.LoadPrivateTagsOff()
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise limits.damaged(path, "it is a damaged or cut DICOM file") from error

    def text(tag: str) -> str:
        # GDCM pads values with blanks or zero bytes and hands undecodable bytes on as surrogates.
        return str(reader.GetMetaData(tag)).strip(" \0") if reader.HasMetaDataKey(tag) else ""

    def numbers(tag: str, count: int) -> tuple[float, ...] | None:
        return _numbers(text(tag), count)

    def number(tag: str) -> float | None:
        values = numbers(tag, 1)
        return values[0] if values else None

    def positive(tag: str) -> float | None:
        value = number(tag)
        return value if value is not None and value > 0 else None

    size = reader.GetSize()
    position, orientation = numbers("0020|0032", 3), numbers("0020|0037", 6)
    # Projection X-rays tell the spacing at the detector instead of in the patient.
    spacing = numbers("0028|0030", 2) or numbers("0018|1164", 2)
    sop_class = text("0008|0016") or declared
    if (
        sop_class in _ENHANCED and position is None
    ):  # hidden in sequences, which only ITK looks into
        position = tuple(reader.GetOrigin())
        matrix = reader.GetDirection()
        orientation = (*matrix[0::3], *matrix[1::3])
        spacing = (reader.GetSpacing()[1], reader.GetSpacing()[0])
    return DicomHeader(
        path=path,
        series_uid=text("0020|000e"),
        series_number=text("0020|0011"),
        modality=text("0008|0060") or None,
        sop_class=sop_class,
        rows=int(size[1]),
        columns=int(size[0]),
        frames=int(number("0028|0008") or 1),
        samples=reader.GetNumberOfComponents(),
        photometric=text("0028|0004"),
        position=(position[0], position[1], position[2]) if position else None,
        orientation=orientation,
        pixel_spacing=(spacing[0], spacing[1]) if spacing else None,
        thickness=positive("0018|0050"),
        spacing_between=positive("0018|0088"),
        temporal_position=number("0020|0100"),
        trigger_time=number("0018|1060"),
        instance_number=number("0020|0013"),
        frame_time=positive("0018|1063"),
        image_type=text("0008|0008"),
        echo=text("0018|0086"),
    )


def _numbers(text: str, count: int) -> tuple[float, ...] | None:
    """Return exactly ``count`` numbers of a backslash-separated value, else None."""
    words: Sequence[str] = text.split("\\")
    if len(words) != count:
        return None
    try:
        return tuple(float(word) for word in words)
    except ValueError:
        return None


def _storage_class(path: Path) -> str:
    """Return the storage class UID of the file's meta group, "" where there is none.

    Read by hand, because GDCM refuses files without pixels and damaged ones in the same words.
    """
    with limits.open_file(path) as stream:
        block = stream.read(4096)
    if block[_PREAMBLE : _PREAMBLE + 4] != _MAGIC:
        return ""
    at = _PREAMBLE + 4
    while at + 12 <= len(block) and block[at : at + 2] == b"\x02\x00":  # group 2, little endian
        element = int.from_bytes(block[at + 2 : at + 4], "little")
        if block[at + 4 : at + 6] in _LONG_LENGTH:
            start, length = at + 12, int.from_bytes(block[at + 8 : at + 12], "little")
        else:
            start, length = at + 8, int.from_bytes(block[at + 6 : at + 8], "little")
        if element == 2:
            return block[start : start + length].decode("ascii", errors="replace").strip(" \0")
        at = start + length
    return ""
