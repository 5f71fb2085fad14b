"""``flomo segment-many``: segment all studies below a folder."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from napari_flomo import DEFAULT_MODEL
from napari_flomo.commands.options import (
    add_computing,
    add_slice_axis,
    default_family,
    model_folder,
)
from napari_flomo.commands.report import print_json
from napari_flomo.errors import Cancelled

if TYPE_CHECKING:
    from napari_flomo.cohorts import CohortConfig, CohortSummary, StudyFilter

EXIT_SOME_FAILED = 3
SHOWN = 10
"""Failures that are printed; the table has all of them."""

EPILOG = """examples:
  flomo segment-many studies --out results
  flomo segment-many studies --out results --list
  flomo segment-many studies --out results --pattern '*_sa.nii.gz' --uncertainty
  flomo segment-many /data/in --out /data/out --scheduler tcp://10.0.0.5:8786

Run the same command again to resume after an interruption. Exit codes: 0 all studies are done,
2 nothing could run, 3 some studies failed (cohort.csv says which and why), 130 interrupted.
"""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the options of ``flomo segment-many``."""
    parser = subparsers.add_parser(
        "segment-many",
        help="segment all studies below a folder",
        description="Segment all studies below a folder with several processes: NIfTI, NRRD and "
        "MetaImage files, and folders with a DICOM series.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("input", metavar="DIR", type=Path, help="folder of the studies")
    parser.add_argument(
        "--out", metavar="DIR", type=Path, required=True, help="folder for the results"
    )
    parser.add_argument(
        "--model",
        metavar="NAME|FOLDER|hf:ORG/NAME",
        help=f"as for flomo segment (default: {DEFAULT_MODEL}, or the tuned model that was "
        "promoted for it)",
    )
    parser.add_argument(
        "--workers",
        metavar="N",
        type=int,
        help="processes on this computer; 1 needs no Dask (default: as many as cores and memory "
        "allow, or one per GPU)",
    )
    parser.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="use the workers of a running Dask scheduler, such as tcp://host:8786",
    )
    add_computing(parser)
    add_slice_axis(parser)
    parser.add_argument(
        "--pattern",
        metavar="GLOB",
        action="append",
        default=[],
        help="only studies whose path below DIR matches, such as '*_sa.nii.gz'; may be given "
        "several times",
    )
    parser.add_argument(
        "--exclude",
        metavar="GLOB",
        action="append",
        default=[],
        help="skip studies whose path below DIR matches; may be given several times",
    )
    parser.add_argument(
        "--series",
        metavar="NUMBER|NAME|UID",
        help="which series of DICOM folders that hold several: its number, description or UID; "
        "folders without it are skipped",
    )
    parser.add_argument(
        "--uncertainty", action="store_true", help="also write the predictive entropy"
    )
    parser.add_argument(
        "--probabilities", action="store_true", help="also write the probability of every class"
    )
    parser.add_argument(
        "--format",
        choices=("nii.gz", "nrrd", "mha"),
        default="nii.gz",
        help="format of labels and uncertainty (default: nii.gz)",
    )
    parser.add_argument(
        "--again", action="store_true", help="repeat finished studies and overwrite their results"
    )
    parser.add_argument(
        "--list", action="store_true", help="only list the studies and what would be done"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON on stdout")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress bar, no summary")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Segment all unfinished studies, and print a summary."""
    from napari_flomo.cohorts import CohortConfig, StudyFilter, segment_cohort
    from napari_flomo.progress import progress_bar

    config = CohortConfig(
        args.input,
        args.out,
        device=args.device,
        engine=args.engine,
        mirrored=args.mirrored,
        uncertainty=args.uncertainty,
        probabilities=args.probabilities,
        suffix=f".{args.format}",
        series=args.series,
        slice_axis=args.slice_axis,
    )
    study_filter = StudyFilter(patterns=args.pattern, exclude=args.exclude, series=args.series)
    folder = model_folder(args.model, args.quiet)
    if args.list:
        return _list(args, config, folder, study_filter)
    try:
        with progress_bar("study", quiet=args.quiet) as progress:
            summary = segment_cohort(
                config,
                folder,
                members=default_family(args.model),
                study_filter=study_filter,
                workers=args.workers,
                scheduler=args.scheduler,
                again=args.again,
                progress=progress,
            )
    except (KeyboardInterrupt, Cancelled) as error:
        raise Cancelled(
            "Interrupted; finished studies are kept: run the same command again to resume."
        ) from error
    if args.json:
        print_json({**vars(summary), "manifest": str(args.out / "manifest.jsonl")})
    elif not args.quiet:
        print("\n".join(_lines(args.out, summary)))
    return EXIT_SOME_FAILED if summary.failed else 0


def _list(
    args: argparse.Namespace, config: CohortConfig, model: Path, study_filter: StudyFilter
) -> int:
    """List the studies with their states, and what is skipped and why."""
    from napari_flomo.cohorts import list_cohort

    skipped: list[tuple[str, str]] = []
    counts: Counter[str] = Counter()
    studies = []

    def on_skip(path: str, reason: str) -> None:
        skipped.append((path, reason))

    for study, state in list_cohort(config, model, study_filter, on_skip):
        counts[state] += 1
        if args.json:
            studies.append({"study": study.id, "series": study.series, "state": state})
        elif not args.quiet:
            print(f"{state:8}{study.id}")
    if args.json:
        shown = [{"path": path, "reason": reason} for path, reason in skipped]
        print_json({"studies": studies, "left_out": shown})
    elif not args.quiet:
        for path, reason in skipped:
            print(f"{'-':8}{path} ({reason})")
        listed = ", ".join(f"{number} {state}" for state, number in sorted(counts.items()))
        print(f"{counts.total()} studies{': ' if listed else ''}{listed}")
    return 0


def _lines(out: Path, summary: CohortSummary) -> list[str]:
    """Return the lines of the summary."""
    parts = [f"{summary.done} segmented in {summary.seconds:.0f} s"]
    parts += [f"{summary.kept} done before"] if summary.kept else []
    parts += [f"{summary.failed} failed"] if summary.failed else []
    lines = [f"{summary.found} studies: {', '.join(parts)}"]
    lines += [f"  {study}: {sentence}" for study, sentence in summary.failures[:SHOWN]]
    if summary.failed > SHOWN:
        lines.append(f"  ... and {summary.failed - SHOWN} more")
    if summary.not_queued:
        lines.append(
            f"Segmented by an older version and not in review.csv: {summary.not_queued}; add "
            "--again to include them"
        )
    return [
        *lines,
        f"Wrote the table to {out / 'cohort.csv'}",
        f"Wrote the order of review to {out / 'review.csv'}",
    ]
