"""The few numbers of a DICOM header that place, order and scale an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

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
_LONG_LENGTH = (
    *(b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV"),
    *(b"UC", b"UN", b"UR", b"UT", b"UV"),
)
_UNDEFINED = 0xFFFFFFFF
_IMPLICIT = "1.2.840.10008.1.2"
_EXPLICIT = "1.2.840.10008.1.2.1"
_DEFLATED = "1.2.840.10008.1.2.1.99"
_BIG_ENDIAN = "1.2.840.10008.1.2.2"


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
        value = str(reader.GetMetaData(tag)) if reader.HasMetaDataKey(tag) else ""
        return value.encode("utf-8", errors="replace").decode().strip(" \0")

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

    Read by hand, because GDCM refuses files without pixels and damaged ones in the same words, and
    trusts a damaged length so far that it allocates gigabytes for it.

    Raises
    ------
    FlomoError
        If an element reaches beyond the end of the file.
    """
    storage_class, syntax = "", _EXPLICIT
    size = path.stat().st_size
    with limits.open_file(path) as stream:
        stream.seek(_PREAMBLE)
        if stream.read(len(_MAGIC)) != _MAGIC:
            return ""
        while len(head := stream.read(8)) == 8:
            meta = head[:2] == b"\x02\x00"  # the meta group is always explicit little endian
            order: Literal["little", "big"] = (
                "big" if syntax == _BIG_ENDIAN and not meta else "little"
            )
            if syntax == _DEFLATED and not meta:
                break
            if syntax == _IMPLICIT and not meta:
                length = int.from_bytes(head[4:], order)
            elif head[4:6] in _LONG_LENGTH:
                length = int.from_bytes(stream.read(4), order)
            else:
                length = int.from_bytes(head[6:], order)
            if length == _UNDEFINED:  # a sequence or compressed frames, which end by a mark
                break
            if stream.tell() + length > size:
                raise limits.damaged(path, "it is a damaged or cut DICOM file")
            if meta and head[2:4] in (b"\x02\x00", b"\x10\x00"):
                value = stream.read(length).decode("ascii", errors="replace").strip(" \0")
                if head[2] == 0x02:
                    storage_class = value
                else:
                    syntax = value
            else:
                stream.seek(length, 1)
    return storage_class
