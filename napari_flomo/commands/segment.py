"""``flomo segment``: segment one image."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from napari_flomo import DEFAULT_MODEL, __version__
from napari_flomo.commands.options import add_computing, add_slice_axis, indices, model_folder
from napari_flomo.commands.report import print_json
from napari_flomo.errors import FlomoError
from napari_flomo.files import OutputFile, check_writable

if TYPE_CHECKING:
    from napari_flomo.measures import HeartMeasures, StructureVolume
    from napari_flomo.segmentation import Segmentation

DICOM_SEG = "DICOM segmentation"
WITH_CLASSES = (".nii.gz", ".nii")  # formats that can hold one map per class

EPILOG = """examples:
  flomo segment heart.nii.gz -o labels.nii.gz
  flomo segment dicom_folder -o labels.nrrd --uncertainty uncertainty.nrrd
  flomo segment cine.nii.gz -o labels.nii.gz --frames 0,9 --json
  flomo segment dicom_folder -o labels.nii.gz --dicom-seg labels.dcm
"""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the options of ``flomo segment``."""
    parser = subparsers.add_parser(
        "segment",
        help="segment an image",
        description="Segment an image: NIfTI, NRRD, a DICOM folder, or a photo.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "input", metavar="INPUT", help="image file, DICOM folder, DICOMDIR, or a file of a series"
    )
    parser.add_argument(
        "-o", "--output", metavar="FILE", required=True, help="label image to write"
    )
    parser.add_argument(
        "--model",
        metavar="NAME|FOLDER|hf:ORG/NAME",
        help="name of a model, a folder with its card, or a repository of the Hugging Face Hub, "
        f"name and repository also with @REVISION (default: {DEFAULT_MODEL}, the tuned model "
        "that was promoted for it, or the specialist that the image chooses)",
    )
    add_computing(parser)
    parser.add_argument(
        "--frames", metavar="0,3,5-9", type=indices, help="only these frames, counted from 0"
    )
    parser.add_argument(
        "--slices", metavar="0,3,5-9", type=indices, help="only these slices, counted from 0"
    )
    parser.add_argument(
        "--series",
        metavar="NUMBER|NAME|UID",
        help="which series of a DICOM folder with several: its number, description or UID",
    )
    add_slice_axis(parser)
    parser.add_argument(
        "--probabilities", metavar="FILE", help="also write the probability of every class (NIfTI)"
    )
    parser.add_argument("--uncertainty", metavar="FILE", help="also write the predictive entropy")
    parser.add_argument(
        "--map",
        metavar="NAME=FILE",
        dest="maps",
        type=_map,
        action="append",
        default=[],
        help="also write another uncertainty map, for example variance=spread.nii.gz; may be given "
        "several times, docs/uncertainty.md has the names and costs",
    )
    parser.add_argument(
        "--dicom-seg",
        metavar="FILE",
        help="also write the labels of a DICOM folder as a DICOM segmentation, which repeats "
        "patient and study (of a cine a file for each frame)",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON on stdout")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress bar, no summary")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Segment the image, write all requested files or none, and print a summary."""
    outputs = _outputs(args)
    _check_maps(args.maps)
    _check(args.input, outputs)
    from napari_flomo.progress import progress_bar
    from napari_flomo.segmentation import DEFAULT_MAPS, Segmenter, choose_model, passes_of
    from napari_flomo.volumes import read

    volume = read(args.input, series=args.series, slice_axis=args.slice_axis, fill=True)
    for note in volume.notes:
        print(f"Note: {note}", file=sys.stderr)
    choice = choose_model(volume, args.model)
    for problem in choice.problems:
        print(f"Warning: {problem}", file=sys.stderr)
    folder = model_folder(choice.model, args.quiet)
    segmenter = Segmenter.from_pretrained(folder, device=args.device, engine=args.engine)
    if args.dicom_seg is not None:
        from napari_flomo.segmentation import check_usable

        check_usable(volume, segmenter.card, args.input, args.series)
    maps = dict(args.maps)
    names = [*DEFAULT_MAPS, *maps]
    unit = "slice" if passes_of(names, mirrored=args.mirrored) == 1 else "pass"
    with progress_bar(unit, quiet=args.quiet) as progress:
        segmentation = segmenter.segment(
            volume,
            slices=args.slices,
            frames=args.frames,
            progress=progress,
            keep_probabilities=args.probabilities is not None,
            maps=names,
            mirrored=args.mirrored,
        )
    segmentation = choice.noted(segmentation)
    objects = _dicom_seg(args, segmentation)
    segmentation.save(
        args.output,
        probabilities=args.probabilities,
        uncertainty=args.uncertainty,
        maps=maps,
        others=[job for _, job in objects],
    )
    outputs.pop(DICOM_SEG, None)  # a cine has several
    outputs |= {name: str(path) for name, (path, _) in objects}
    _print_result(args, outputs, segmentation)
    return 0


def _outputs(args: argparse.Namespace) -> dict[str, str]:
    """Return the paths of the files to write, by content."""
    named = {
        "labels": args.output,
        "probabilities": args.probabilities,
        "uncertainty": args.uncertainty,
        **{f"map {name}": path for name, path in args.maps},
        DICOM_SEG: args.dicom_seg,
    }
    return {content: path for content, path in named.items() if path is not None}


def _map(text: str) -> tuple[str, str]:
    """Split NAME=FILE."""
    name, equals, path = text.partition("=")
    if not (name and equals and path):
        raise argparse.ArgumentTypeError(f"{text!r} must look like variance=spread.nii.gz")
    return name, path


def _check_maps(maps: list[tuple[str, str]]) -> None:
    """Check before computing that every map exists and is requested once."""
    from napari_flomo.segmentation import chosen_maps

    names = [kind.name for kind in chosen_maps(name for name, _ in maps)]
    if len(names) < len(maps):
        raise FlomoError("A map was requested twice; use --map once for each.")


def _check(source: str, outputs: dict[str, str]) -> None:
    """Check before computing that every file can be written, and none is named twice."""
    from napari_flomo.segmentation import DICOM_SUFFIX
    from napari_flomo.volumes import WRITABLE, suffix_of

    fitting = {"probabilities": WITH_CLASSES, DICOM_SEG: (DICOM_SUFFIX,)}
    taken = {os.path.realpath(source): "the input"}
    for content, path in outputs.items():
        target = os.path.realpath(path)
        if target in taken:
            raise FlomoError(
                f"{path} cannot hold the {content}: it is already {taken[target]}; "
                "give another name."
            )
        taken[target] = f"the file for the {content}"
        suffixes = fitting.get(content, WRITABLE)
        if suffix_of(path) not in suffixes:
            raise FlomoError(
                f"{path} cannot hold the {content}: choose a name that ends in "
                f"{' or '.join(suffixes)}."
            )
        check_writable(path)


def _dicom_seg(
    args: argparse.Namespace, segmentation: Segmentation
) -> list[tuple[str, OutputFile]]:
    """Return the DICOM segmentations to write, by content: of a cine one for each frame."""
    if args.dicom_seg is None:
        return []
    from napari_flomo.segmentation import dicom_seg_files

    frames = segmentation.manifest["segmented"]["frames"]
    jobs = dicom_seg_files(
        segmentation.labels,
        segmentation.card,
        args.input,
        args.dicom_seg,
        series=args.series,
        frames=frames,
        note=lambda sentence: print(f"Note: {sentence}", file=sys.stderr),
    )
    if segmentation.labels.n_frames == 1:
        return [(DICOM_SEG, job) for job in jobs]
    return [(f"{DICOM_SEG} of frame {frame}", job) for frame, job in zip(frames, jobs, strict=True)]


def _print_result(
    args: argparse.Namespace, outputs: dict[str, str], segmentation: Segmentation
) -> None:
    """Measure every structure of the card, and print warnings and the result."""
    from napari_flomo.measures import Conventions, implausible, structure_volumes

    card, manifest = segmentation.card, segmentation.manifest
    frames, complete = manifest["segmented"]["frames"], not manifest["skipped"]["slices"]
    names = {label.code: label.name for label in card.labels if label.code}
    structures = structure_volumes(segmentation.labels, names, frames)
    warnings = implausible(segmentation.labels, card, frames, complete=complete)
    for warning in warnings:
        print(f"Warning: {warning}", file=sys.stderr)
    heart = _heart(segmentation) if segmentation.labels.n_frames > 1 else None
    if args.json:
        report = {
            "flomo": __version__,
            "input": args.input,
            "outputs": outputs,
            "volumes_ml": structures,
            "heart": None if heart is None else heart.to_dict(),
            "slice_scores": segmentation.slice_scores,
            "scores": segmentation.scores,
            "manifest": {**manifest, "warnings": warnings, "conventions": Conventions()},
        }
        print_json(report)
    elif not args.quiet:
        lines = _summary(outputs, segmentation, structures)
        print("\n".join(lines if heart is None else [*lines, *_heart_lines(heart)]))


def _heart(segmentation: Segmentation) -> HeartMeasures | None:
    """Measure a cine at end diastole and end systole; None without ventricles."""
    from napari_flomo.measures import HeartCodes, VoxelCounts, heart_of_cine

    codes = HeartCodes.of(segmentation.card.labels)
    if codes is None:
        return None
    frames = segmentation.manifest["segmented"]["frames"]
    whole = [] if segmentation.manifest["skipped"]["slices"] else frames
    counts = VoxelCounts.of(segmentation.labels, [label.code for label in segmentation.card.labels])
    return heart_of_cine(counts, codes, frames=frames, whole=whole)


def _heart_lines(heart: HeartMeasures) -> list[str]:
    """Return the lines of the summary about the heart; frames are counted from 0 here."""
    from napari_flomo.session import cine_messages

    return [f"  {line}" for line in cine_messages.heart_lines(heart, first_frame=0)]


def _summary(
    outputs: dict[str, str], segmentation: Segmentation, structures: list[StructureVolume]
) -> list[str]:
    """Return the lines of the summary: files, model and the size of every structure."""
    from napari_flomo.session import choice_text

    lines = [f"Wrote the {content} to {path}" for content, path in outputs.items()]
    if (chosen := choice_text(segmentation.manifest)) is not None:
        lines.append(chosen)
    if segmentation.manifest["skipped"]["slices"]:
        lines.append("In the chosen slices only:")
    several = segmentation.labels.n_frames > 1
    for structure in structures:
        frame = f"frame {structure.frame}  " if several else ""
        size = f"{structure.voxels} pixels" if structure.ml is None else f"{structure.ml:.1f} ml"
        lines.append(f"  {frame}{structure.name}: {size}")
    return lines
