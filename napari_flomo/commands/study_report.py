"""``flomo report``: a report of the heart as PDF, CSV, JSON or text."""

from __future__ import annotations

import argparse

from napari_flomo.commands.study import add_study, read_study

EPILOG = """examples:
  flomo report labels.nii.gz --image cine.nii.gz -o report.pdf
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
        required=True,
        help="file to write: .pdf, .csv, .json or .txt; may be given several times",
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

    for path in args.output:
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
    write_all(report_files(report, args.output))
    if not args.quiet:
        print("\n".join(f"Wrote {path}" for path in args.output))
    return 0
