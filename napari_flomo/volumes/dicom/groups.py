"""Position and time of the frames of enhanced objects (functional groups, PS3.3, C.7.6.16).

An element is looked up in ``sources``: the groups of the frame, the shared groups, the dataset.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from napari_flomo.volumes import limits
from napari_flomo.volumes.dicom.planes import DicomFile, Plane, kind_of, times_of
from napari_flomo.volumes.dicom.values import number, numbers, positive, seconds, text, value_of

if TYPE_CHECKING:
    from pydicom import Dataset

# Tags of dimensions that encode the phase.
_TEMPORAL = {
    0x00181060,  # trigger time
    0x00189074,  # frame acquisition date and time
    0x00189151,  # frame reference date and time
    0x00200100,  # temporal position identifier
    0x00209128,  # temporal position index
    0x00209153,  # nominal cardiac trigger delay time
    0x00209241,  # nominal percentage of the cardiac phase
    0x00209252,  # actual cardiac trigger delay time
    0x0020930D,  # temporal position time offset
}

_MOST_FRAMES = 1e6


def frame_planes(file: DicomFile, dataset: Dataset) -> list[Plane]:
    """Return the frames of an enhanced object; raise if they and the groups differ in number."""
    shared = _items(dataset, "SharedFunctionalGroupsSequence")
    each: list[Dataset | None] = [*_items(dataset, "PerFrameFunctionalGroupsSequence")]
    if len(each) != file.frames:
        if each or file.frames > 1:
            raise limits.damaged(
                file.path,
                f"it has {file.frames} frames, but positions for {len(each)}",
            )
        each = [None]
    dimensions = [
        number(item, "DimensionIndexPointer") for item in _items(dataset, "DimensionIndexSequence")
    ]
    top = times_of(dataset)
    return [
        _plane(
            file, index, [item, *shared, dataset] if item else [*shared, dataset], dimensions, top
        )
        for index, item in enumerate(each)
    ]


def _plane(
    file: DicomFile,
    index: int,
    sources: Sequence[Dataset],
    dimensions: Sequence[float | None],
    top: dict[str, float | None],
) -> Plane:
    def group(sequence: str, keyword: str) -> Dataset:
        return next(_having(sources, sequence, keyword), sources[-1])

    def vector(sequence: str, keyword: str, count: int) -> tuple[float, ...] | None:
        return numbers(group(sequence, keyword), keyword, count)

    position = vector("PlanePositionSequence", "ImagePositionPatient", 3)
    orientation = vector("PlaneOrientationSequence", "ImageOrientationPatient", 6)
    spacing = vector("PixelMeasuresSequence", "PixelSpacing", 2)
    rescaling = group("PixelValueTransformationSequence", "RescaleSlope")
    slope, intercept = (number(rescaling, f"Rescale{name}") for name in ("Slope", "Intercept"))
    return Plane(
        file,
        index,
        (position[0], position[1], position[2]) if position else None,
        orientation,
        (spacing[0], spacing[1]) if spacing else None,
        positive(group("PixelMeasuresSequence", "SliceThickness"), "SliceThickness"),
        positive(group("PixelMeasuresSequence", "SpacingBetweenSlices"), "SpacingBetweenSlices"),
        _times(file, index, sources, dimensions, top),
        _kind(sources),
        slope if slope else 1.0,
        intercept or 0.0,
    )


def _times(
    file: DicomFile,
    index: int,
    sources: Sequence[Dataset],
    dimensions: Sequence[float | None],
    top: dict[str, float | None],
) -> dict[str, float | None]:
    def of(sequence: str, keyword: str) -> float | None:
        return next((number(i, keyword) for i in _having(sources, sequence, keyword)), None)

    def date_time(keyword: str) -> float | None:
        groups = _having(sources, "FrameContentSequence", keyword)
        return next((seconds(group, keyword) for group in groups), None)

    def first(*values: float | None) -> float | None:
        return next((value for value in values if value is not None), None)

    synchronisation = "CardiacSynchronizationSequence"
    order = top["instance_number"]
    return {
        "temporal_position": first(
            of("FrameContentSequence", "TemporalPositionIndex"), top["temporal_position"]
        ),
        "trigger_time": top["trigger_time"],
        "trigger_delay": first(
            of(synchronisation, "NominalCardiacTriggerDelayTime"),
            of(synchronisation, "ActualCardiacTriggerDelayTime"),
            top["trigger_delay"],
        ),
        "cardiac_percentage": of(synchronisation, "NominalPercentageOfCardiacPhase"),
        "time_offset": of("TemporalPositionSequence", "TemporalPositionTimeOffset"),
        "dimension": _dimension(sources, dimensions),
        "acquisition_time": first(date_time("FrameAcquisitionDateTime"), top["acquisition_time"]),
        "reference_time": date_time("FrameReferenceDateTime"),
        # Frames follow the order of the file, files that of their numbers.
        "instance_number": None
        if order is None and file.frames == 1
        else (order or 0) * _MOST_FRAMES + index,
        "content_time": top["content_time"],
        "heart_cycle": first(
            of(synchronisation, "RRIntervalTimeNominal"),
            top["heart_cycle"],
        ),
        "heart_rate": top["heart_rate"],
    }


def _dimension(sources: Sequence[Dataset], dimensions: Sequence[float | None]) -> float | None:
    """Return the index along the dimension that encodes the phase."""
    for content in _having(sources, "FrameContentSequence", "DimensionIndexValues"):
        values = numbers(content, "DimensionIndexValues", len(dimensions))
        if values is None:
            return None
        found = [value for tag, value in zip(dimensions, values, strict=True) if tag in _TEMPORAL]
        return found[0] if len(found) == 1 else None
    return None


def _kind(sources: Sequence[Dataset]) -> dict[str, str]:
    """Return values that are equal for all phases of a slice."""

    def of(sequence: str, keyword: str) -> str:
        return next((text(item, keyword) for item in _having(sources, sequence, keyword)), "")

    whole = kind_of(sources[-1])
    frame_type = of("MRImageFrameTypeSequence", "FrameType")
    component = of("MRImageFrameTypeSequence", "ComplexImageComponent")
    return {
        "image type": "/".join(filter(None, (frame_type or whole["image type"], component))),
        "echo": of("MREchoSequence", "EffectiveEchoTime") or whole["echo"],
        "b-value": of("MRDiffusionSequence", "DiffusionBValue"),
    }


def _having(sources: Sequence[Dataset], sequence: str, keyword: str) -> Iterator[Dataset]:
    """Yield the items of a functional group that have a value for an element."""
    for source in sources:
        for item in _items(source, sequence):
            if value_of(item, keyword) is not None:
                yield item


def _items(dataset: Dataset, keyword: str) -> list[Dataset]:
    return list(value_of(dataset, keyword) or ())
