"""Options of the commands that measure labels, and how they read them."""

from __future__ import annotations

import argparse
import re
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from napari_flomo import DEFAULT_MODEL
from napari_flomo.commands.options import add_slice_axis, model_folder
from napari_flomo.errors import FlomoError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_flomo.measures import HeartPhases, StudyMeasures
    from napari_flomo.models import Label, ModelCard
    from napari_flomo.segmentation import DicomLabels
    from napari_flomo.volumes import Volume

_CODE = re.compile(r"\s*(\d+)\s*=\s*(.+?)\s*")


@dataclass(frozen=True, eq=False)
class Study:
    """Labels that were read and measured.

    Attributes
    ----------
    files, labels
        One label image, or end diastole and end systole.
    images
        The images that they belong to, if given.
    names
        Labels and their codes.
    card
        Of the model whose codes they are; None if the codes were given.
    dicom
        The DICOM segmentations that the labels were read from, if they were.
    """

    files: list[str]
    labels: list[Volume]
    images: list[Volume]
    names: Sequence[Label]
    card: ModelCard | None
    measures: StudyMeasures
    dicom: DicomLabels | None = None


def add_study(parser: argparse.ArgumentParser) -> None:
    """Add the label images and how they are measured."""
    parser.add_argument(
        "labels",
        metavar="LABELS",
        help="label image of a cine or of one frame, or a folder of DICOM segmentations",
    )
    parser.add_argument(
        "systole", metavar="ES", nargs="?", help="labels at end systole; the first are end diastole"
    )
    parser.add_argument(
        "--image",
        metavar="FILE",
        nargs="+",
        default=[],
        help="image that the labels belong to, with ES two images; its header gives the voxel size",
    )
    codes = parser.add_mutually_exclusive_group()
    codes.add_argument(
        "--codes",
        metavar="CODE=NAME,...",
        type=_codes,
        help="what the codes mean: left ventricle, right ventricle, myocardium, or any other name",
    )
    codes.add_argument(
        "--model",
        metavar="NAME|FOLDER",
        help=f"whose codes the labels have (default: {DEFAULT_MODEL}, or the tuned model that was "
        "promoted for it)",
    )
    parser.add_argument("--ed", metavar="FRAME", type=int, help="end diastole, counted from 0")
    parser.add_argument("--es", metavar="FRAME", type=int, help="end systole, counted from 0")
    parser.add_argument("--height", metavar="CM", type=float, help="for values per body surface")
    parser.add_argument("--weight", metavar="KG", type=float, help="for values per body surface")
    parser.add_argument(
        "--heart-rate",
        metavar="PER_MIN",
        type=float,
        help="for the cardiac output (default: that of the header, or of the times of the frames)",
    )
    add_slice_axis(parser)
    _add_conventions(parser)


def read_study(args: argparse.Namespace) -> Study:
    """Read and measure the label images; notes go to stderr.

    Raises `FlomoError` if they cannot be read or measured.
    """
    from napari_flomo.measures import Conventions, measure_study
    from napari_flomo.segmentation import find_dicom_segs

    files = [path for path in (args.labels, args.systole) if path is not None]
    objects = [found for path in files for found in find_dicom_segs(path)]
    read = _read_dicom(args, objects) if objects else _read_labels(args, files)
    labels = read.labels
    if args.slice_thickness is not None:
        labels = [replace(one, slice_thickness=args.slice_thickness) for one in labels]
    frames = read.dicom.frames if read.dicom is not None and labels[0].n_frames > 1 else None
    measures = measure_study(
        labels[0],
        read.names,
        conventions=Conventions(
            args.papillary_muscles, args.basal_slices, args.slice_gaps, args.density
        ),
        images=read.images,
        systole=labels[1] if len(labels) == 2 else None,
        phases=_phases(args, labels, read.names, frames),
        frames=frames,
        height_cm=args.height,
        weight_kg=args.weight,
        heart_rate=args.heart_rate,
    )
    return Study(read.files, labels, read.images, read.names, read.card, measures, read.dicom)


@dataclass(frozen=True, eq=False)
class _Labels:
    """What was read, see `Study`."""

    files: list[str]
    labels: list[Volume]
    images: list[Volume]
    names: Sequence[Label]
    card: ModelCard | None
    dicom: DicomLabels | None = None


def _read_labels(args: argparse.Namespace, files: list[str]) -> _Labels:
    from napari_flomo.models import load_card
    from napari_flomo.volumes import align_labels, whole_labels

    labels, images = read_all(files, args.slice_axis), read_all(args.image, args.slice_axis)
    if images and len(images) != len(labels):
        raise FlomoError("Give --image as many images as there are label images, in their order.")
    if images:
        labels = [align_labels(one, image) for one, image in zip(labels, images, strict=True)]
    else:
        labels = [whole_labels(one) for one in labels]
    card = None if args.codes else load_card(model_folder(args.model, quiet=True))
    return _Labels(files, labels, images, args.codes if card is None else card.labels, card)


def _read_dicom(args: argparse.Namespace, objects: Sequence[Path]) -> _Labels:
    """Read DICOM segmentations; their segments have names already."""
    from napari_flomo.models import load_card
    from napari_flomo.segmentation import read_dicom_segs
    from napari_flomo.volumes import align_labels

    if args.codes:
        raise FlomoError("DICOM segmentations name their structures; leave out --codes.")
    if len(args.image) > 1:
        raise FlomoError("Give --image the one series that the DICOM segmentations belong to.")
    series = args.image[0] if args.image else args.labels
    images = read_all([series], args.slice_axis)
    found = read_dicom_segs(objects, series)
    labels = [align_labels(found.labels, images[0])]
    card = load_card(model_folder(args.model, quiet=True)) if args.model else None
    return _Labels([str(path) for path in objects], labels, images, found.names, card, found)


def read_all(files: Sequence[str], slice_axis: str | None) -> list[Volume]:
    """Read images; each note about them goes to stderr once."""
    from napari_flomo.volumes import read

    images = [read(path, slice_axis=slice_axis) for path in files]
    for note in dict.fromkeys(note for image in images for note in image.notes):
        print(f"Note: {note}", file=sys.stderr)
    return images


def _add_conventions(parser: argparse.ArgumentParser) -> None:
    """Add the fields of `Conventions`; this module loads fast, so their values are repeated."""
    group = parser.add_argument_group(
        "conventions", "How volumes and mass are computed; the defaults count the labels."
    )
    group.add_argument(
        "--papillary-muscles",
        choices=("as-labelled", "myocardium"),
        default="as-labelled",
        help="count papillary muscles and trabeculae of the left ventricle as they are labelled, "
        "or the dark pixels of the cavity as myocardium (needs --image)",
    )
    group.add_argument(
        "--basal-slices",
        choices=("all", "half-enclosed"),
        default="all",
        help="count every labelled slice, or a slice at the base of the left ventricle only if "
        "wall encloses at least half of its cavity",
    )
    group.add_argument(
        "--slice-gaps",
        choices=("included", "interpolated", "excluded"),
        default="included",
        help="a slice stands for the distance to the next one, or for its thickness with gaps "
        "interpolated or left out",
    )
    group.add_argument(
        "--slice-thickness",
        metavar="MM",
        type=_thickness,
        help="for the gaps, where the header of the image does not give it",
    )
    group.add_argument(
        "--density",
        metavar="G_PER_ML",
        type=float,
        default=1.05,
        help="of myocardium (default: %(default)s)",
    )


def _thickness(text: str) -> float:
    """Parse millimetres."""
    try:
        if 0 < float(text) < 100:
            return float(text)
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is not a slice thickness in mm")


def _codes(text: str) -> list[Label]:
    """Parse CODE=NAME,CODE=NAME."""
    from napari_flomo.models import Label
    from napari_flomo.schema import SchemaError

    parts = [_CODE.fullmatch(part) for part in text.split(",")]
    if not all(parts):
        raise argparse.ArgumentTypeError(f'{text!r} must look like "1=left ventricle,2=myocardium"')
    try:
        return [Label(int(part[1]), part[2], "#808080") for part in parts if part]
    except SchemaError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _phases(
    args: argparse.Namespace,
    labels: Sequence[Volume],
    names: Sequence[Label],
    frames: Sequence[int] | None = None,
) -> HeartPhases | None:
    """Return the phases that the user gave, the other one chosen by volume; None without any."""
    if args.ed is None and args.es is None:
        return None
    from napari_flomo.measures import PHASES, HeartCodes, VoxelCounts, choose_phases

    count = labels[0].n_frames
    if len(labels) == 2 or count == 1:
        raise FlomoError("--ed and --es choose frames of a cine; the labels have a single frame.")
    codes = HeartCodes.of(names)
    if codes is None:
        raise FlomoError("--ed and --es need labels of a ventricle; name them with --codes.")
    counts = VoxelCounts.of(labels[0], [label.code for label in names if label.code])
    phases = choose_phases(counts, codes, frames)
    for phase, frame in zip(PHASES, (args.ed, args.es), strict=True):
        if frame is None:
            continue
        if not 0 <= frame < count:
            raise FlomoError(f"There is no frame {frame}; the cine has frames 0 to {count - 1}.")
        if frames is not None and frame not in frames:
            raise FlomoError(f"There is no DICOM segmentation of frame {frame}.")
        phases = phases.pin(phase, frame)
    return phases
