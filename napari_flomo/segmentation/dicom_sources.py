"""Headers of the images that a DICOM segmentation refers to, as highdicom needs them.

highdicom accepts single-frame images of one series with all required attributes. Frames of enhanced
files and slices of joined series are passed to it as such images with temporary UIDs; their real
references are restored afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_flomo.errors import FlomoError

if TYPE_CHECKING:
    from pydicom import Dataset

    from napari_flomo.volumes.dicom import DicomSeries, Plane

MAY_BE_EMPTY = (
    *("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyID", "StudyDate"),
    *("StudyTime", "AccessionNumber", "ReferringPhysicianName"),
)
"""Attributes that are copied from the images and may be empty (type 2)."""

_SHARED_UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")
_CLASSES = {
    "MR": "1.2.840.10008.5.1.4.1.1.4",
    "CT": "1.2.840.10008.5.1.4.1.1.2",
    "PT": "1.2.840.10008.5.1.4.1.1.128",
}
_ENHANCED_ONLY = (
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "NumberOfFrames"),
    *("DimensionIndexSequence", "DimensionOrganizationSequence"),
)


@dataclass
class SourceImages:
    """The images of a series, completed with missing attributes, consistent for all frames."""

    series: DicomSeries
    _fresh: dict[str, str] = field(default_factory=dict)
    _empty: set[str] = field(default_factory=set)
    _made_up: set[str] = field(default_factory=set)
    _known: dict[Path, Dataset] = field(default_factory=dict)
    _real: dict[str, _Reference] = field(default_factory=dict)

    def headers(self, frame: int) -> list[Dataset]:
        """Return the headers of the slices of one frame; raise `FlomoError` if one has no position.

        Some anonymisers give every image its own frame of reference. Since the positions form an
        even stack, the first one is used for all.
        """
        planes = self.series.planes[frame]
        indices = [plane.index for plane in planes]
        headers = [self._header(plane) for plane in planes]
        for header in headers:
            header.FrameOfReferenceUID = headers[0].FrameOfReferenceUID
        uids = [header.SOPInstanceUID for header in headers]
        unique = len(set(zip(uids, indices, strict=True))) == len(headers)
        one_series = len({header.SeriesInstanceUID for header in headers}) == 1
        if not unique:
            self._made_up.add("SOPInstanceUID")
        for header, index in zip(headers, indices, strict=True):
            if unique and index is None and one_series:
                continue
            temporary = self._uid()
            self._real[temporary] = _Reference(
                str(header.SOPClassUID),
                str(header.SOPInstanceUID) if unique else temporary,
                str(header.SeriesInstanceUID),
                None if index is None else index + 1,
            )
            header.SOPInstanceUID = temporary
            header.SeriesInstanceUID = headers[0].SeriesInstanceUID
            if index is not None:
                header.SOPClassUID = _CLASSES.get(str(header.Modality), _CLASSES["MR"])
        return headers

    def name(self, segmentation: Dataset) -> None:
        """Restore the real references of an object that was created from `headers`."""
        for groups in segmentation.PerFrameFunctionalGroupsSequence:
            for derivation in groups.get("DerivationImageSequence") or ():
                for image in derivation.get("SourceImageSequence") or ():
                    self._name(image, with_frame=True)
        _regroup(segmentation, self._real)

    def _name(self, image: Dataset, *, with_frame: bool) -> None:
        real = self._real.get(str(image.ReferencedSOPInstanceUID))
        if real is None:
            return
        image.ReferencedSOPClassUID = real.sop_class
        image.ReferencedSOPInstanceUID = real.sop_uid
        if with_frame and real.frame is not None:
            image.ReferencedFrameNumber = real.frame

    @property
    def notes(self) -> list[str]:
        """Sentences about attributes that the images lack."""
        notes = []
        if self._empty:
            notes.append(
                f"The images lack {_names(self._empty)}; the segmentation leaves them empty."
            )
        if self._made_up:
            notes.append(
                f"The images lack a unique {_names(self._made_up)}; new ones were created, so a "
                "PACS may not find the images of the segmentation."
            )
        return notes

    def _header(self, plane: Plane) -> Dataset:
        path = plane.file.path
        if path not in self._known:
            self._known[path] = _read(path)
        header = _copy(self._known[path])
        position, orientation = plane.position, plane.orientation
        if position is None or orientation is None or plane.pixel_spacing is None:
            raise FlomoError(
                "The images do not say where they lie in the patient (position, orientation and "
                "pixel spacing), which a DICOM segmentation needs; save the labels as NIfTI."
            )
        header.ImagePositionPatient = [_decimal(value) for value in position]
        header.ImageOrientationPatient = [_decimal(value) for value in orientation]
        header.PixelSpacing = [_decimal(value) for value in plane.pixel_spacing]
        header.SliceThickness = _decimal(plane.thickness or self.series.geometry.spacing[2])
        self._complete(header, path)
        return header

    def _complete(self, header: Dataset, path: Path) -> None:
        """Add missing attributes: empty ones where allowed, else new ones."""
        for keyword in MAY_BE_EMPTY:
            if keyword not in header:
                setattr(header, keyword, "")
                self._empty.add(keyword)
        for keyword in _SHARED_UIDS:
            if not header.get(keyword):
                setattr(header, keyword, self._shared(keyword))
        if not header.get("Modality"):
            header.Modality = "MR"
            self._made_up.add("Modality")
        meta = header.file_meta
        if not header.get("SOPClassUID"):
            known = _CLASSES.get(str(header.Modality), _CLASSES["MR"])
            header.SOPClassUID = meta.get("MediaStorageSOPClassUID") or known
        if not header.get("SOPInstanceUID"):
            named = meta.get("MediaStorageSOPInstanceUID")
            header.SOPInstanceUID = named or self._shared("SOPInstanceUID", str(path))

    def _shared(self, keyword: str, of: str = "") -> str:
        """Return a new UID, always the same for the same arguments."""
        self._made_up.add(keyword)
        return self._fresh.setdefault(f"{keyword} {of}", self._uid())

    def _uid(self) -> str:
        from highdicom import UID

        return str(UID())


@dataclass(frozen=True)
class _Reference:
    """How references name an image; frames are counted from 1."""

    sop_class: str
    sop_uid: str
    series_uid: str
    frame: int | None


def _regroup(segmentation: Dataset, real: dict[str, _Reference]) -> None:
    """List each of the real series and images once."""
    from pydicom import Dataset

    series: dict[str, dict[str, Dataset]] = {}
    for group in segmentation.get("ReferencedSeriesSequence") or ():
        for image in group.ReferencedInstanceSequence:
            known = real.get(str(image.ReferencedSOPInstanceUID))
            item = Dataset()
            item.ReferencedSOPClassUID = known.sop_class if known else image.ReferencedSOPClassUID
            uid = known.sop_uid if known else str(image.ReferencedSOPInstanceUID)
            item.ReferencedSOPInstanceUID = uid
            place = known.series_uid if known else str(group.SeriesInstanceUID)
            series.setdefault(place, {}).setdefault(uid, item)
    groups = []
    for uid, images in series.items():
        group = Dataset()
        group.SeriesInstanceUID = uid
        group.ReferencedInstanceSequence = list(images.values())
        groups.append(group)
    segmentation.ReferencedSeriesSequence = groups


def _read(path: Path) -> Dataset:
    """Read a header and empty invalid dates, such as those with zeros as day and month."""
    import pydicom
    from pydicom.valuerep import DA, DT, TM

    header = pydicom.dcmread(path, stop_before_pixels=True, force=True)
    kinds: dict[str, Any] = {"DA": DA, "DT": DT, "TM": TM}
    for tag in list(header.keys()):
        try:
            element = header[tag]
            if element.VR in kinds:
                kinds[element.VR](element.value)
        except Exception:  # a value that cannot be read cannot be repeated
            if tag in header and header.get_item(tag).VR in kinds:
                header[tag].value = ""
            else:
                del header[tag]
    return header


def _copy(whole: Dataset) -> Dataset:
    """Return the header of a single image; items of sequences are shared with the whole."""
    from pydicom import Dataset

    header = Dataset()
    for element in whole:
        if element.keyword not in _ENHANCED_ONLY:
            header[element.tag] = copy(element)  # setting a value changes the element
    header.file_meta = whole.file_meta
    return header


def _decimal(value: float) -> str:
    """Format a number in at most the 16 characters of a decimal string."""
    from pydicom.valuerep import format_number_as_ds

    return format_number_as_ds(float(value))


def _names(keywords: Sequence[str] | set[str]) -> str:
    from pydicom.datadict import dictionary_description, tag_for_keyword

    named = [dictionary_description(tag_for_keyword(keyword) or 0) for keyword in sorted(keywords)]
    return named[0] if len(named) == 1 else f"{', '.join(named[:-1])} and {named[-1]}"
