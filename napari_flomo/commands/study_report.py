"""``flomo report``: a report of the heart as PDF, CSV, JSON or text."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from napari_flomo.commands.study import add_study, read_study
from napari_flomo.errors import FlomoError

if TYPE_CHECKING:
    from pydicom import Dataset

    from napari_flomo.commands.study import Study
    from napari_flomo.files import OutputFile
    from napari_flomo.reports import Report

EPILOG = """examples:
  flomo report labels.nii.gz --image cine.nii.gz -o report.pdf
  flomo report dicom_segmentations --image dicom_cine -o report.pdf --sr report.dcm
  flomo report ed.nii.gz es.nii.gz --image ed_image.nii.gz es_image.nii.gz -o heart.pdf -o heart.csv
"""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the options of ``flomo report``."""
    parser = subparsers.add_parser(
        "report",
        help="report the heart in labels",
        description="Write measures, volume-time curves, wall thickness and contours of labels as "
        "PDF, CSV, JSON or text. No patient data is written unless you give it.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_study(parser)
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        action="append",
        default=[],
        help="file to write: .pdf, .csv, .json or .txt; may be given several times",
    )
    parser.add_argument(
        "--sr",
        metavar="FILE.dcm",
        help="also write the measures as DICOM structured report (TID 1500) that refers to DICOM "
        "segmentations: those of LABELS, or new ones next to it",
    )
    parser.add_argument("--title", metavar="TEXT", default="Cardiac function", help="headline")
    parser.add_argument(
        "--patient", metavar="TEXT", default="", help="line below the headline (default: nothing)"
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="no summary")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write all requested files or none."""
    from napari_flomo.files import check_writable, write_all
    from napari_flomo.reports import Report, report_files

    if not args.output and not args.sr:
        raise FlomoError("Name a file to write with -o or --sr.")
    if args.sr and not args.sr.endswith(".dcm"):
        raise FlomoError(f"{args.sr} must end in .dcm; choose such a name.")
    for path in (*args.output, *([args.sr] if args.sr else [])):
        check_writable(path)
    study = read_study(args)
    report = Report(
        study.measures,
        study.labels,
        study.names,
        study.images,
        study.card if args.model else None,
        title=args.title,
        patient=args.patient,
    )
    files = report_files(report, args.output)
    if args.sr:
        files += _structured(args, study, report)
    write_all(files)
    if not args.quiet:
        print("\n".join(f"Wrote {path}" for path, _ in files))
    return 0


def _structured(args: argparse.Namespace, study: Study, report: Report) -> list[OutputFile]:
    """Return the structured report, with new segmentations if the labels are no DICOM."""
    from napari_flomo.reports import structured_report_file, structured_report_files

    def note(sentence: str) -> None:
        print(f"Note: {sentence}", file=sys.stderr)

    if study.dicom is not None:
        objects: dict[tuple[int, int], list[Dataset]] = {}
        for frame, one in study.dicom.objects:
            objects.setdefault((0, frame), []).append(one)
        return [structured_report_file(report, objects, args.sr, note)]
    if len(args.image) != len(study.labels):
        raise FlomoError("A structured report needs the DICOM series of the labels: --image DIR.")
    return structured_report_files(report, args.sr, args.image, corrected=True, note=note)
