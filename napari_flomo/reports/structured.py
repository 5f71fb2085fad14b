"""A report as DICOM structured report: TID 1500, Measurement Report, of DICOM PS3.16.

The object is made by highdicom (C. P. Bridge et al., "Highdicom", Journal of Digital Imaging 35,
2022). Volumes belong to segments of DICOM Segmentation objects; what is computed from several
segments (stroke volume, ejection fraction) is a group of its own.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_flomo import __version__
from napari_flomo.errors import FlomoError
from napari_flomo.files import OutputFile, PathLike
from napari_flomo.measures import PHASES
from napari_flomo.reports.concepts import term
from napari_flomo.reports.content import DISCLAIMER, Report
from napari_flomo.reports.measurement_groups import (
    MeasurementGroups,
    Objects,
    Place,
    measured_places,
)
from napari_flomo.segmentation import (
    DICOM_SUFFIX,
    MAY_BE_EMPTY,
    dicom_seg_objects,
    dicom_seg_paths,
)

if TYPE_CHECKING:
    from pydicom import Dataset

SERIES_NUMBER = 9001
_MODALITIES = {
    "1.2.840.10008.5.1.4.1.1.2": "CT",
    "1.2.840.10008.5.1.4.1.1.2.1": "CT",  # enhanced
    "1.2.840.10008.5.1.4.1.1.4": "MR",
    "1.2.840.10008.5.1.4.1.1.4.1": "MR",  # enhanced
}
MANUFACTURER = "napari-flomo"


def structured_report_file(
    report: Report,
    objects: Objects,
    path: PathLike,
    note: Callable[[str], object] | None = None,
) -> OutputFile:
    """Create a structured report that refers to segments, for `napari_flomo.files.write_all`.

    Patient and study are those of the segmentations, which have them from the images. The line
    about the patient of a report is not part of it.

    Parameters
    ----------
    report
        Measures of the heart, or volumes of other structures.
    objects
        The segmentations of the measured frames; other frames are ignored.
    path
        File to write.
    note
        Called with a sentence if other programs may refuse the report.

    Raises
    ------
    FlomoError
        If a structure has no segment, or the segmentations cannot be referred to.
    """
    from pydicom.uid import UID

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # warnings quote patient data
        try:
            made = _make(report, objects)
            valid = all(UID(one).is_valid for one in _uids(made))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise FlomoError(
                "No structured report can be made of these segmentations: highdicom does not "
                "accept their headers; save the report as PDF or JSON."
            ) from error
    if note is not None and not valid:
        note(
            "The images have UIDs that DICOM does not allow, such as 1.02.3; strict programs (3D "
            "Slicer) refuse a structured report that refers to them."
        )
    return path, made.save_as


def structured_report_files(
    report: Report,
    path: PathLike,
    images: Sequence[PathLike],
    *,
    series: str | int | None = None,
    corrected: bool = False,
    note: Callable[[str], object] | None = None,
) -> list[OutputFile]:
    """Create a structured report, and the segmentations of the measured frames beside it.

    Parameters
    ----------
    report
        With the model that made the labels.
    path
        File of the structured report. The segmentations of ``heart.dcm`` are
        ``heart-seg-frame-09.dcm``, counted from 0, or ``heart-seg.dcm``.
    images, series, corrected, note
        The series of each label image; as `napari_flomo.segmentation.dicom_seg_objects` takes
        them.

    Raises
    ------
    FlomoError
        If the report has no model, or as `dicom_seg_objects` and `structured_report_file`.
    """
    if report.card is None:
        raise FlomoError(
            "A structured report refers to DICOM segmentations; give those as labels, or name the "
            "model that made the labels with --model."
        )
    target = Path(path)
    objects: dict[Place, list[Dataset]] = {}
    files: list[OutputFile] = []
    for number, folder in enumerate(images):
        for made in dicom_seg_objects(
            report.labels[number],
            report.card,
            folder,
            _segmentations_beside(report, target, number),
            series=series,
            frames=_frames_of(report, number),
            corrected=corrected,
            note=note,
        ):
            objects[number, made.frame] = [made.dataset]
            files.append((made.path, made.dataset.save_as))
    return [structured_report_file(report, objects, target, note), *files]


def structured_report_paths(report: Report, path: PathLike) -> list[Path]:
    """Return the files that `structured_report_files` writes."""
    target = Path(path)
    return [
        target,
        *(
            file
            for number, labels in enumerate(report.labels)
            for file in dicom_seg_paths(
                _segmentations_beside(report, target, number), labels, _frames_of(report, number)
            )
        ),
    ]


def _segmentations_beside(report: Report, target: Path, number: int) -> Path:
    """Return the name of the segmentations of a label image."""
    ending = f"-{PHASES[number].lower()}" if len(report.labels) > 1 else ""
    return target.with_name(f"{target.stem}-seg{ending}{DICOM_SUFFIX}")


def _frames_of(report: Report, number: int) -> list[int]:
    """Return the measured frames of a label image."""
    return sorted(frame for at, frame in measured_places(report) if at == number)


def _make(report: Report, objects: Objects) -> Dataset:
    """Return the object."""
    from highdicom import UID
    from highdicom.sr import (
        Comprehensive3DSR,
        MeasurementReport,
        RelationshipTypeValues,
        TextContentItem,
    )
    from pydicom.sr.codedict import codes

    modality = _modality(objects)
    groups = MeasurementGroups(report, objects, modality)
    content = MeasurementReport(
        observation_context=_observer(),
        procedure_reported=term(f"procedure {modality}", "procedure"),
        imaging_measurements=groups.groups,
        title=codes.DCM.ImagingMeasurementReport,
    )
    content[0].ContentSequence.append(
        TextContentItem(
            codes.DCM.Comment,
            " ".join([*report.convention_lines(), DISCLAIMER]),
            RelationshipTypeValues.CONTAINS,
        )
    )
    segmentations = [_completed(one) for one in groups.used]
    return Comprehensive3DSR(
        evidence=[*segmentations, *_sources(segmentations)],
        content=content[0],
        series_instance_uid=UID(),
        series_number=SERIES_NUMBER,
        sop_instance_uid=UID(),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=MANUFACTURER,
        software_versions=__version__,
        series_description=f"Measurements by {MANUFACTURER}",
        is_complete=True,
    )


def _modality(objects: Objects) -> str:
    """Return ``"MR"`` or ``"CT"`` by the class of the images, "" for others."""
    for dataset in (one for some in objects.values() for one in some):
        for series in dataset.get("ReferencedSeriesSequence") or ():
            for image in series.ReferencedInstanceSequence:
                return _MODALITIES.get(str(image.ReferencedSOPClassUID), "")
    return ""


def _observer() -> Any:
    from highdicom.sr import (
        DeviceObserverIdentifyingAttributes,
        ObservationContext,
        ObserverContext,
    )
    from pydicom.sr.codedict import codes
    from pydicom.uid import generate_uid

    device = DeviceObserverIdentifyingAttributes(
        uid=generate_uid(entropy_srcs=[MANUFACTURER, __version__]),
        name=MANUFACTURER,
        manufacturer_name=MANUFACTURER,
        model_name=MANUFACTURER,
    )
    return ObservationContext(
        observer_device_context=ObserverContext(
            observer_type=codes.DCM.Device, observer_identifying_attributes=device
        )
    )


def _completed(segmentation: Dataset) -> Dataset:
    """Return the header of a segmentation with empty attributes for those that may be empty."""
    from pydicom import Dataset

    header = Dataset()
    header.update(segmentation)
    header.file_meta = segmentation.file_meta
    for keyword in MAY_BE_EMPTY:
        if keyword not in header:
            setattr(header, keyword, "")
    return header


def _uids(made: Dataset) -> list[str]:
    """Return the UIDs of the images that a report refers to."""
    return [
        str(image.ReferencedSOPInstanceUID)
        for study in made.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for image in series.ReferencedSOPSequence
    ]


def _sources(segmentations: Sequence[Dataset]) -> list[Dataset]:
    """Return references to the images that segmentations were made on, as evidence."""
    from pydicom import Dataset

    found = {}
    for one in segmentations:
        for series in one.get("ReferencedSeriesSequence") or ():
            for image in series.ReferencedInstanceSequence:
                header = Dataset()
                header.StudyInstanceUID = one.StudyInstanceUID
                header.SeriesInstanceUID = series.SeriesInstanceUID
                header.SOPClassUID = image.ReferencedSOPClassUID
                header.SOPInstanceUID = image.ReferencedSOPInstanceUID
                found[str(image.ReferencedSOPInstanceUID)] = header
    return list(found.values())
