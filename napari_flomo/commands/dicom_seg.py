"""``flomo dicom-seg``: labels, corrected or not, as a DICOM Segmentation beside their images."""

from __future__ import annotations

import argparse
import sys

from napari_flomo import DEFAULT_MODEL
from napari_flomo.commands.options import indices, model_folder
from napari_flomo.errors import FlomoError

EPILOG = """examples:
  flomo dicom-seg corrected.nii.gz --images dicom_folder -o corrected.dcm
  flomo dicom-seg corrected.nii.gz --images study --series 7 --frames 0,9 -o corrected.dcm
"""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the options of ``flomo dicom-seg``."""
    parser = subparsers.add_parser(
        "dicom-seg",
        help="write labels as a DICOM segmentation",
        description="Write labels that lie on the grid of a DICOM series as a DICOM segmentation "
        "that refers to its images, as a PACS keeps it. Patient and study are repeated from them.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("labels", metavar="LABELS", help="label image, as flomo or napari wrote it")
    parser.add_argument(
        "--images",
        metavar="FOLDER",
        required=True,
        help="folder of the series, DICOMDIR, or one of its files",
    )
    parser.add_argument(
        "--series",
        metavar="NUMBER|NAME|UID",
        help="which series, where there are several: its number, description or UID",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE.dcm",
        required=True,
        help="file to write; of a cine there is one for each frame: FILE-frame-09.dcm",
    )
    parser.add_argument(
        "--model",
        metavar="NAME|FOLDER",
        help=f"whose codes the labels have (default: {DEFAULT_MODEL}, or the tuned model that was "
        "promoted for it)",
    )
    parser.add_argument(
        "--frames", metavar="0,3,5-9", type=indices, help="only these frames of a cine, from 0"
    )
    parser.add_argument(
        "--automatic", action="store_true", help="the labels were not edited by a person"
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="no summary")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the files and print their paths."""
    from napari_flomo.files import write_all
    from napari_flomo.models import load_card
    from napari_flomo.segmentation import DICOM_SUFFIX, dicom_seg_files
    from napari_flomo.volumes import read

    if not args.output.endswith(DICOM_SUFFIX):
        raise FlomoError(f"{args.output} must end in {DICOM_SUFFIX}; choose such a name.")
    jobs = dicom_seg_files(
        read(args.labels),
        load_card(model_folder(args.model, args.quiet)),
        args.images,
        args.output,
        series=args.series,
        frames=args.frames,
        corrected=not args.automatic,
        note=lambda sentence: print(f"Note: {sentence}", file=sys.stderr),
    )
    write_all(jobs)
    if not args.quiet:
        print("\n".join(f"Wrote {path}" for path, _ in jobs))
    return 0
