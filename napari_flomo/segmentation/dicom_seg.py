"""Write labels as DICOM Segmentation objects.

The objects are created by highdicom (C. P. Bridge et al., "Highdicom", Journal of Digital Imaging
35, 2022); the standard is DICOM PS3.3, A.51 and C.8.20.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_flomo import __version__
from napari_flomo.errors import FlomoError
from napari_flomo.files import OutputFile, PathLike
from napari_flomo.models import Label, ModelCard
from napari_flomo.segmentation.dicom_sources import SourceImages
from napari_flomo.volumes import SPATIAL_AXES, Volume, align_labels

if TYPE_CHECKING:
    from highdicom.seg import Segmentation as DicomSegmentation
    from highdicom.seg import SegmentDescription

    from napari_flomo.volumes.dicom import DicomSeries

DICOM_SUFFIX = ".dcm"
"""Ending of the files of DICOM segmentations."""
SCHEME = "SCT"
SERIES_NUMBER = 9000
"""High, so that it is listed after the series of the scanner."""


def check_available() -> None:
    """Raise a `FlomoError` if highdicom is missing."""
    if find_spec("highdicom") is None:
        raise FlomoError(
            "DICOM segmentations need highdicom; install it with: pip install "
            "'napari-flomo[dicom]'."
        )


def dicom_seg_files(
    labels: Volume,
    card: ModelCard,
    images: PathLike,
    path: PathLike,
    *,
    series: str | int | None = None,
    frames: Sequence[int] | None = None,
    corrected: bool = False,
    note: Callable[[str], object] | None = None,
) -> list[OutputFile]:
    """Create the files of DICOM Segmentation objects of labels; see `dicom_seg_objects`.

    Returns
    -------
    list of OutputFile
        For `napari_flomo.files.write_all`.

    Raises
    ------
    FlomoError
        As `dicom_seg_objects`.
    """
    objects = dicom_seg_objects(
        labels, card, images, path, series=series, frames=frames, corrected=corrected, note=note
    )
    return [(one.path, one.dataset.save_as) for one in objects]


@dataclass(frozen=True, eq=False)
class DicomSegObject:
    """A DICOM Segmentation of one frame, counted from 0, and the file it is meant for."""

    path: Path
    frame: int
    dataset: DicomSegmentation


def dicom_seg_objects(
    labels: Volume,
    card: ModelCard,
    images: PathLike,
    path: PathLike,
    *,
    series: str | int | None = None,
    frames: Sequence[int] | None = None,
    corrected: bool = False,
    note: Callable[[str], object] | None = None,
) -> list[DicomSegObject]:
    """Create DICOM Segmentation objects of labels.

    As the standard requires, patient and study are copied from the images. Attributes that may be
    empty and were removed stay empty; removed UIDs are replaced by new ones, the same for all
    frames. A structure without voxels has a segment, but no frames.

    Parameters
    ----------
    labels
        Codes of the card on the grid of the series, in any storage order: for example, dcm2niix
        reverses the rows.
    card
        Names, colours and SNOMED CT concepts of the codes, and the name of the model.
    images, series
        Folder of the series, a DICOMDIR or one of its files, and which series, as
        `napari_flomo.volumes.read` takes them.
    path
        File to write. Of a cine there is a file for each frame: ``heart.dcm`` becomes
        ``heart-frame-09.dcm``, counted from 0.
    frames
        Only these frames of a cine; all by default.
    corrected
        Whether a person edited the labels: SEMIAUTOMATIC instead of AUTOMATIC.
    note
        Called with each sentence about attributes that the images lack.

    Returns
    -------
    list of DicomSegObject
        One for each frame.

    Raises
    ------
    FlomoError
        If highdicom is missing, the labels are not on the grid of the series or have unknown codes,
        or the images have no position.
    """
    from napari_flomo.volumes import find_series

    check_available()
    found = find_series(images, series)
    files = found.files
    labels = _on_series(labels, found)
    _check_codes(labels, card)
    chosen = range(len(files)) if frames is None else sorted(set(frames))
    if chosen and not 0 <= chosen[0] <= chosen[-1] < len(files):
        raise FlomoError(f"There is no frame {chosen[-1]}: the series has {len(files)}, from 0.")
    data = labels.data if "frames" in labels.axes else labels.data[np.newaxis]
    paths = dicom_seg_paths(path, labels, chosen)
    sources = SourceImages(found)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # warnings quote patient data
        objects = [
            DicomSegObject(target, frame, _object(data[frame], card, sources, frame, corrected))
            for target, frame in zip(paths, chosen, strict=True)
        ]
    if note is not None:
        for sentence in sources.notes:
            note(sentence)
    return objects


def dicom_seg_paths(path: PathLike, labels: Volume, frames: Sequence[int]) -> list[Path]:
    """Return the files that `dicom_seg_files` writes for ``path``: of a cine one for each frame."""
    target = Path(path)
    if labels.n_frames == 1:
        return [target] * len(frames)
    stem = target.name.removesuffix(DICOM_SUFFIX)
    return [target.with_name(f"{stem}-frame-{frame:02}{DICOM_SUFFIX}") for frame in frames]


def _on_series(labels: Volume, series: DicomSeries) -> Volume:
    """Return labels in the storage order of a series on the same grid."""
    several = len(series.files) > 1
    shape, axes = series.shape, ("frames", *SPATIAL_AXES)
    grid = Volume(
        np.broadcast_to(np.uint8(0), shape if several else shape[1:]),
        series.geometry,
        axes if several else SPATIAL_AXES,
    )
    try:
        return align_labels(labels, grid)
    except FlomoError as error:
        raise FlomoError(
            f"The labels do not lie on the grid of the series ({error}) Choose the series that "
            "they were made on."
        ) from error


def _check_codes(labels: Volume, card: ModelCard) -> None:
    found = np.unique(labels.data)
    known = [label.code for label in card.labels]
    strange = found[~np.isin(found, known)]
    if strange.size:
        raise FlomoError(
            f"The labels have the codes {', '.join(f'{code:g}' for code in strange[:10])}, which "
            f"{card.name} does not know; choose the model that made them with --model."
        )


def check_usable(
    image: Volume, card: ModelCard, images: PathLike, series: str | int | None = None
) -> None:
    """Check, before there are any labels, whether a DICOM Segmentation can be made of a series.

    Parameters and errors as in `dicom_seg_files`; ``image`` is the series as it was read.
    """
    axes = tuple(name for name in image.axes if name != "channels")
    empty = np.broadcast_to(np.uint8(0), tuple(map(image.length, axes)))
    dicom_seg_files(
        image.with_data(empty, axes=axes), card, images, "trial.dcm", series=series, frames=[0]
    )


def _object(
    labels: NDArray[np.generic], card: ModelCard, sources: SourceImages, frame: int, corrected: bool
) -> DicomSegmentation:
    """Create the object of one frame, ``(slices, rows, columns)``."""
    from highdicom import UID
    from highdicom.seg import Segmentation as DicomSegmentation

    segments = np.zeros(labels.shape, np.uint8)  # segment numbers start at 1
    for number, label in enumerate(card.labels[1:], 1):
        segments[labels == label.code] = number
    try:
        made = DicomSegmentation(
            source_images=sources.headers(frame),
            pixel_array=segments,
            segmentation_type="BINARY",
            segment_descriptions=[
                _description(number, label, card, corrected)
                for number, label in enumerate(card.labels[1:], 1)
            ],
            series_instance_uid=UID(),
            series_number=SERIES_NUMBER,
            sop_instance_uid=UID(),
            instance_number=frame + 1,
            manufacturer="napari-flomo",
            manufacturer_model_name=card.name,
            software_versions=__version__,
            device_serial_number=card.card_hash[:16],
            omit_empty_frames=bool(segments.any()),  # an object needs at least one frame
            content_label="SEGMENTATION",
            content_description=f"Labels by {card.name}" + (", corrected" if corrected else ""),
            series_description=f"Segmentation by {card.name}",
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise FlomoError(
            "No DICOM segmentation can be made for this series: highdicom does not accept the "
            "headers of its images; export the series from the scanner or PACS again, or save the "
            "labels as NIfTI."
        ) from error
    sources.name(made)
    return made


def _description(number: int, label: Label, card: ModelCard, corrected: bool) -> SegmentDescription:
    from highdicom import AlgorithmIdentificationSequence
    from highdicom.color import CIELabColor
    from highdicom.seg import SegmentDescription
    from pydicom.sr.codedict import codes
    from pydicom.sr.coding import Code

    category, kind = (Code(term.code, SCHEME, term.meaning) for term in label.terms)
    return SegmentDescription(
        segment_number=number,
        segment_label=label.name,
        segmented_property_category=category,
        segmented_property_type=kind,
        algorithm_type="SEMIAUTOMATIC" if corrected else "AUTOMATIC",
        algorithm_identification=AlgorithmIdentificationSequence(
            name=card.name, family=codes.DCM.ArtificialIntelligence, version=card.card_hash[:16]
        ),
        display_color=CIELabColor.from_rgb(*bytes.fromhex(label.colour[1:])),
    )
