"""Header values that position, sort and scale the images of a DICOM file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from napari_flomo.volumes.dicom.values import number, positive, seconds, text

if TYPE_CHECKING:
    from pydicom import Dataset


@dataclass(frozen=True)
class DicomFile:
    """Header values of one file; None or "" if missing."""

    path: Path
    sop_class: str
    sop_uid: str
    study_uid: str
    series_uid: str
    frame_of_reference: str
    series_number: str
    description: str
    modality: str | None
    rows: int
    columns: int
    frames: int
    samples: int
    bits: int
    photometric: str
    frame_time: float | None  # ms
    echo_time: float | None  # ms
    sequence: str  # scanning sequence and variant
    enhanced: bool  # frames have positions in functional groups


@dataclass(frozen=True)
class Plane:
    """One image of a series: a single file, or a frame of an enhanced file.

    Attributes
    ----------
    index
        Frame within the file, from 0; None if the file is not an enhanced one.
    position, orientation
        In mm, LPS; the orientation has six numbers: along a row, along a column.
    pixel_spacing
        In mm, between rows, between columns.
    times
        Values that may encode the phase, by the names in `phases.KEYS`, and the duration of the
        heart cycle in ms or the heart rate, ``"heart_cycle"`` and ``"heart_rate"``.
    kind
        Named values that are equal for all phases of a slice.
    slope, intercept
        Rescaling of the stored values of a frame of an enhanced file.
    """

    file: DicomFile
    index: int | None
    position: tuple[float, float, float] | None
    orientation: tuple[float, ...] | None
    pixel_spacing: tuple[float, float] | None
    thickness: float | None
    spacing_between: float | None
    times: dict[str, float | None] = field(hash=False)
    kind: dict[str, str] = field(hash=False)
    slope: float = 1.0
    intercept: float = 0.0

    @property
    def has_position(self) -> bool:
        """Whether position, orientation and pixel spacing are known."""
        return None not in (self.position, self.orientation, self.pixel_spacing)

    @property
    def may_be_slice(self) -> bool:
        """Whether it may be a slice of a stack: in grey values, with a position."""
        return self.file.samples == 1 and self.has_position

    @property
    def name(self) -> str:
        """Name for messages: its file, and its frame if there are several."""
        several = self.index is not None and self.file.frames > 1
        frame = f" frame {(self.index or 0) + 1}" if several else ""
        return f"{self.file.path.name}{frame}"


def times_of(dataset: Dataset) -> dict[str, float | None]:
    """Return the phase values at the top level of a header."""
    acquired = seconds(dataset, "AcquisitionDateTime")
    if acquired is None:
        acquired = seconds(dataset, "AcquisitionTime", "AcquisitionDate")
    return {
        "temporal_position": number(dataset, "TemporalPositionIdentifier"),
        "trigger_time": number(dataset, "TriggerTime"),
        "trigger_delay": number(dataset, "NominalCardiacTriggerDelayTime"),
        "acquisition_time": acquired,
        "instance_number": number(dataset, "InstanceNumber"),
        "content_time": seconds(dataset, "ContentTime"),
        "heart_cycle": positive(dataset, "NominalInterval"),
        "heart_rate": positive(dataset, "HeartRate"),
    }


def heart_cycles_of(planes: Sequence[Plane]) -> tuple[float, ...]:
    """Return the durations of heart cycles in seconds that headers state, each once."""
    intervals = {plane.times.get("heart_cycle") for plane in planes}
    rates = {plane.times.get("heart_rate") for plane in planes}
    return tuple(
        sorted(
            {round(one / 1000, 4) for one in intervals if one}
            | {round(60 / one, 4) for one in rates if one}
        )
    )


def kind_of(dataset: Dataset) -> dict[str, str]:
    """Return values that are equal for all phases of a slice."""
    return {"image type": text(dataset, "ImageType"), "echo": text(dataset, "EchoNumbers")}
