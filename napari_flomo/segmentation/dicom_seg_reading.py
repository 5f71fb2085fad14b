"""Read DICOM Segmentation objects as labels on the grid of the series that they belong to."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_flomo.errors import FlomoError
from napari_flomo.files import PathLike
from napari_flomo.models import TISSUE, Concept, Label
from napari_flomo.segmentation.dicom_seg import SCHEME, check_available
from napari_flomo.volumes import SPATIAL_AXES, Volume

if TYPE_CHECKING:
    from pydicom import Dataset

    from napari_flomo.volumes.dicom import DicomSeries, Plane

SEG_CLASSES = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
"""Segmentation and Label Map Segmentation Storage."""

NEAR = 0.1
"""Largest distance of a mask from the pixels of a series, as a fraction of a pixel."""

GREY = "#808080"


@dataclass(frozen=True, eq=False)
class DicomLabels:
    """Labels of DICOM Segmentation objects.

    Attributes
    ----------
    labels
        On the grid of the series.
    names
        The background and the segments, with their SNOMED CT concepts and colours.
    frames
        Frames that have an object, ascending, counted from 0.
    objects
        The objects and their frames.
    """

    labels: Volume
    names: tuple[Label, ...]
    frames: tuple[int, ...]
    objects: tuple[tuple[int, Dataset], ...]


def find_dicom_segs(path: PathLike) -> list[Path]:
    """Return the DICOM Segmentation objects at a path: the file, or those in a folder."""
    from napari_flomo.volumes.dicom import dicom_files, is_dicom

    source = Path(path)
    if source.is_dir():
        files = dicom_files(source)
    else:
        files = [source] if source.is_file() and is_dicom(source) else []
    return [file for file in files if _storage_class(file) in SEG_CLASSES]


def read_dicom_segs(
    paths: Sequence[PathLike], images: PathLike, series: str | int | None = None
) -> DicomLabels:
    """Read DICOM Segmentation objects of one series: of a cine, one or more for each frame.

    Masks are placed by their position in the patient, and belong to the frame whose images they
    refer to. Where segments overlap, the later one is kept.

    Parameters
    ----------
    paths
        The files.
    images, series
        The series, as `napari_flomo.volumes.find_series` takes it.

    Raises
    ------
    FlomoError
        If highdicom is missing, a file is damaged, or the objects do not lie on the series.
    """
    from napari_flomo.volumes import find_series

    check_available()
    found = find_series(images, series)
    data = np.zeros(found.shape, np.uint8)
    names: dict[str, Label] = {}
    objects = []
    for path in paths:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # warnings quote patient data
            try:
                dataset, pixels = _read(Path(path))
                frame = _frame_of(dataset, found, Path(path))
                for name, where, mask in _masks(dataset, pixels, found.planes[frame]):
                    label = names.setdefault(name, _label(dataset, name, len(names) + 1))
                    data[frame, where][mask] = label.code
            except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
                raise FlomoError(
                    f"{Path(path).name} cannot be read as a DICOM segmentation; export it again."
                ) from error
        objects.append((frame, dataset))
    axes = ("frames", *SPATIAL_AXES)
    labels = (
        Volume(data, found.geometry, axes) if len(data) > 1 else Volume(data[0], found.geometry)
    )
    frames = tuple(sorted({frame for frame, _ in objects}))
    return DicomLabels(
        labels, (Label(0, "background", "#000000"), *names.values()), frames, tuple(objects)
    )


def _storage_class(path: Path) -> str:
    import pydicom

    try:
        return str(pydicom.filereader.read_file_meta_info(path).MediaStorageSOPClassUID)
    except Exception:  # no meta information, so it is none of ours
        return ""


def _read(path: Path) -> tuple[Dataset, NDArray[Any]]:
    """Return an object and its masks ``(masks, rows, columns)``."""
    import pydicom

    try:
        dataset = pydicom.dcmread(path)
        pixels = dataset.pixel_array
    except Exception as error:  # pydicom raises many kinds for a damaged file
        raise FlomoError(
            f"{path.name} cannot be read as a DICOM segmentation; export it again."
        ) from error
    return dataset, pixels.reshape(-1, *pixels.shape[-2:])


def _frame_of(dataset: Dataset, series: DicomSeries, path: Path) -> int:
    """Return the frame whose images an object refers to."""
    frame_of = {
        (plane.file.sop_uid, plane.index): frame
        for frame, planes in enumerate(series.planes)
        for plane in planes
    }
    if len(series.planes) == 1:
        return 0
    frames = {frame_of[one] for one in _references(dataset) if one in frame_of}
    if not frames:  # files of single images are named without a frame
        frames = {frame_of[uid, None] for uid, _ in _references(dataset) if (uid, None) in frame_of}
    if len(frames) != 1:
        what = "no frame" if not frames else f"{len(frames)} frames"
        raise FlomoError(
            f"{path.name} refers to {what} of the cine; give the series that it was made on, and "
            "one segmentation for each frame."
        )
    return frames.pop()


def _references(dataset: Dataset) -> Iterator[tuple[str, int | None]]:
    """Yield the images that an object refers to, by UID and frame, counted from 0."""
    for groups in dataset.PerFrameFunctionalGroupsSequence:
        for derivation in groups.get("DerivationImageSequence") or ():
            for image in derivation.get("SourceImageSequence") or ():
                number = image.get("ReferencedFrameNumber")
                index = None if number is None else int(np.atleast_1d(number)[0]) - 1
                yield str(image.ReferencedSOPInstanceUID), index
    for referenced in dataset.get("ReferencedSeriesSequence") or ():
        for image in referenced.ReferencedInstanceSequence:
            yield str(image.ReferencedSOPInstanceUID), None


def _masks(
    dataset: Dataset, pixels: NDArray[Any], planes: Sequence[Plane]
) -> Iterator[tuple[str, int, NDArray[np.bool_]]]:
    """Yield the masks of an object: name of the segment, slice of the series, and pixels."""
    segments = {int(one.SegmentNumber): str(one.SegmentLabel) for one in dataset.SegmentSequence}
    segments.pop(0, None)  # the background of a label map
    kind = str(dataset.SegmentationType)
    shared = dataset.SharedFunctionalGroupsSequence[0]
    for values, groups in zip(pixels, dataset.PerFrameFunctionalGroupsSequence, strict=True):
        place = _slice_of(groups, shared, values.shape, planes)
        if kind == "LABELMAP":
            for number, name in segments.items():
                yield name, place, values == number
            continue
        number = int(
            _group(groups, shared, "SegmentIdentificationSequence").ReferencedSegmentNumber
        )
        whole = dataset.MaximumFractionalValue if kind == "FRACTIONAL" else 1
        yield segments[number], place, 2 * values.astype(np.int64) >= whole


def _slice_of(
    groups: Dataset, shared: Dataset, shape: tuple[int, ...], planes: Sequence[Plane]
) -> int:
    """Return the slice that a mask lies on; raise unless their pixels coincide."""
    directions = _group(groups, shared, "PlaneOrientationSequence").ImageOrientationPatient
    rows, columns = map(float, _group(groups, shared, "PixelMeasuresSequence").PixelSpacing)
    place = _group(groups, shared, "PlanePositionSequence").ImagePositionPatient
    mask = _corners(place, directions, (rows, columns), shape)
    for number, plane in enumerate(planes):
        if (plane.file.rows, plane.file.columns) == shape and plane.has_position:
            corners = _corners(plane.position, plane.orientation, plane.pixel_spacing, shape)
            if np.abs(corners - mask).max() <= NEAR * min(rows, columns):
                return number
    raise FlomoError(
        "The DICOM segmentation does not lie on the pixels of the series; give the series that it "
        "was made on."
    )


def _corners(position: Any, directions: Any, spacing: Any, shape: tuple[int, ...]) -> NDArray[Any]:
    """Return the centres of the first and the last pixel, and of the last of the first row."""
    along_row, along_column = np.array(directions, float).reshape(2, 3)
    first = np.array(position, float)
    row_end = first + along_row * float(spacing[1]) * (shape[1] - 1)
    return np.array([first, row_end, row_end + along_column * float(spacing[0]) * (shape[0] - 1)])


def _group(groups: Dataset, shared: Dataset, name: str) -> Any:
    """Return a functional group of a mask, or the one that all masks share."""
    return (groups if name in groups else shared)[name].value[0]


def _label(dataset: Dataset, name: str, code: int) -> Label:
    """Return name, colour and concept of a segment."""
    from highdicom.color import CIELabColor

    segment = next(one for one in dataset.SegmentSequence if str(one.SegmentLabel) == name)
    kind = segment.SegmentedPropertyTypeCodeSequence[0]
    # "Tissue" says nothing; the name of the segment may.
    known = str(kind.CodingSchemeDesignator) == SCHEME and str(kind.CodeValue) != TISSUE.code
    concept = Concept(str(kind.CodeValue), str(kind.CodeMeaning)) if known else None
    value = segment.get("RecommendedDisplayCIELabValue")
    colour = GREY
    if value is not None:
        rgb = CIELabColor.from_dicom_value(list(value)).to_rgb(clip=True)
        colour = f"#{bytes(rgb).hex()}"
    return Label(code, name, colour, concept)
