"""Measure a model on labelled volumes, in their own spacing, through the same code users run."""

from __future__ import annotations

import argparse
import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from flomo_training.agreement import Agreement, write_table
from flomo_training.arguments import DATA_SETS
from flomo_training.cases import Case, code_to_class, list_cases, read_case, say_notes
from flomo_training.export import record_metrics
from flomo_training.gallery import WorstCases
from flomo_training.metrics import compare
from flomo_training.preparation import MANIFEST_FILE
from flomo_training.summary import as_text, summarise
from napari_flomo.errors import FlomoError
from napari_flomo.files import atomic_write, check_writable
from napari_flomo.measures import structure_volumes
from napari_flomo.models import locate
from napari_flomo.progress import Progress, ProgressCallback, progress_bar
from napari_flomo.segmentation import Segmenter
from napari_flomo.tables import read_table, read_text
from napari_flomo.volumes import Volume

LISTED = {
    "rv_ml": "right ventricle",
    "myo_ml": "left ventricular myocardium",
    "lv_ml": "left ventricle",
}
"""Columns of ``cases.csv`` with reference volumes, and the structures they are of."""

NAN = float("nan")

Listed = Mapping[tuple[str, str], float]


def evaluate_case(
    case: Case,
    segmenter: Segmenter,
    listed: Listed | None = None,
    gallery: WorstCases | None = None,
    *,
    mirrored: bool = False,
    notes: dict[str, str] | None = None,
) -> list[Agreement]:
    """Segment one case and compare every structure with its reference.

    Parameters
    ----------
    case
        One image with labels; one frame.
    segmenter
        The model as users run it.
    listed
        Volumes in ml that the data set lists, by case and structure.
    gallery
        Is shown the case.
    mirrored
        As `Segmenter.segment` takes it.
    notes
        Takes what had to be decided about the headers, by case.

    Raises
    ------
    FlomoError
        If a file is broken, or the reference holds codes that the card does not name.
    """
    volume, reference = read_case(case)
    if notes is not None and (said := (*volume.notes, *reference.notes)):
        notes[case.name] = said[0]
    code_to_class(reference.data, segmenter.card, case.name)
    result = segmenter.segment(volume, keep_probabilities=False, mirrored=mirrored).labels
    rows = agreements(case, reference, result, segmenter.card.labels[1:], listed or {})
    if gallery is not None:
        gallery.consider(volume, reference.data, result.data, rows)
    return rows


def agreements(
    case: Case, reference: Volume, result: Volume, labels: Sequence[Any], listed: Listed
) -> list[Agreement]:
    """Return the rows of one case, one for each of the card's structures."""
    known = reference.geometry.spacing_known
    spacing = reference.geometry.spacing[::-1] if known else None  # slices, rows, columns
    names = {label.code: label.name for label in labels}
    sizes = zip(structure_volumes(reference, names), structure_volumes(result, names), strict=True)
    return [
        Agreement(
            case=case.name,
            patient=case.patient,
            phase=case.phase,
            structure=expected.name,
            reference_ml=NAN if expected.ml is None else expected.ml,
            result_ml=NAN if found.ml is None else found.ml,
            listed_ml=listed.get((case.name, expected.name), NAN),
            reference_voxels=expected.voxels,
            result_voxels=found.voxels,
            **vars(compare(reference.data == expected.code, result.data == expected.code, spacing)),
        )
        for expected, found in sizes
    ]


def evaluate(
    cases: Sequence[Case],
    segmenter: Segmenter,
    progress: ProgressCallback | None = None,
    *,
    listed: Listed | None = None,
    gallery: WorstCases | None = None,
    mirrored: bool = False,
    notes: dict[str, str] | None = None,
) -> list[Agreement]:
    """Evaluate many cases; one row per case and structure. Arguments as of `evaluate_case`."""
    rows: list[Agreement] = []
    for done, case in enumerate(cases, start=1):
        rows += evaluate_case(case, segmenter, listed, gallery, mirrored=mirrored, notes=notes)
        if progress:
            progress(Progress(done, len(cases)))
    return rows


def read_listed(source: Path) -> dict[tuple[str, str], float]:
    """Return the volumes in ml that a data folder lists, by case and structure; often none.

    Raises
    ------
    FlomoError
        If a volume is not a number.
    """
    table = source / "cases.csv"
    if not table.is_file():
        return {}
    volumes = {}
    for row in read_table(table):
        for column, structure in LISTED.items():
            if row.get(column):
                try:
                    volumes[row["case"], structure] = float(row[column])
                except ValueError as error:
                    raise FlomoError(
                        f"{table} lists {row[column]!r} as {column} of {row['case']}, which is no "
                        "number; mend it."
                    ) from error
    return volumes


def data_name(source: Path) -> str:
    """Return what tables call a data folder: by its manifest, else by the name of the folder.

    Raises
    ------
    FlomoError
        If the manifest is damaged.
    """
    title, manifest = source.resolve().name, source / MANIFEST_FILE
    if manifest.is_file():
        try:
            title = str(json.loads(read_text(manifest))["data"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise FlomoError(f"{manifest} is damaged ({error}); prepare the data again.") from error
    name = re.sub("[^a-z0-9]+", "_", title.lower()).strip("_")
    return next((known for known in DATA_SETS if name.startswith(known)), name)


def evaluate_folder(
    source: Path,
    fold: int | None,
    split: Any,
    segmenter: Segmenter,
    gallery: WorstCases,
    *,
    mirrored: bool = False,
) -> tuple[list[Agreement], dict[str, Any]]:
    """Evaluate a part of a data folder, with a bar in a terminal.

    Returns
    -------
    rows, summary
        The table, and `summarise` of it with data set, fold and split.

    Raises
    ------
    FlomoError
        If the data or a file is not as it should be.
    """
    cases = list_cases(source, fold, split)
    notes: dict[str, str] = {}
    with progress_bar("volume") as progress:
        rows = evaluate(
            cases,
            segmenter,
            progress,
            listed=read_listed(source),
            gallery=gallery,
            mirrored=mirrored,
            notes=notes,
        )
    say_notes(notes, len(cases))
    if all(math.isnan(row.dice) for row in rows):
        raise FlomoError(
            f"No structure of {segmenter.card.name} occurs in these cases of {source}; choose "
            "other data or another model."
        )
    return rows, summarise(rows, segmenter.card) | {
        "data": data_name(source),
        "fold": fold,
        "split": split,
        "views": "mirrored" if mirrored else "plain",
    }


def run_evaluation(args: argparse.Namespace) -> int:
    """Serve ``flomo evaluate``."""
    if args.mirrored and args.record:
        raise FlomoError("Cards tell of plain views; leave out --mirrored, or --record.")
    to_stdout = args.json == "-"
    for path in (args.out, args.gallery, None if to_stdout else args.json):
        if path is not None:
            check_writable(path)
    segmenter = Segmenter.from_pretrained(args.model)
    gallery = WorstCases()
    rows, summary = evaluate_folder(
        Path(args.data), args.fold, args.split, segmenter, gallery, mirrored=args.mirrored
    )
    if args.out:
        write_table(rows, args.out)
    if args.gallery:
        gallery.draw(segmenter.card.labels[1:], args.gallery)
    if args.record:
        record_metrics(locate(args.model), recordable(summary))
    text = json.dumps(summary, indent=2, allow_nan=False)
    if args.json and not to_stdout:
        with atomic_write(args.json) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")
    print(text if to_stdout else as_text(summary))
    if args.uncertainty:
        _judge_uncertainty(args, segmenter, to_stdout=to_stdout)
    return 0


def _judge_uncertainty(args: argparse.Namespace, segmenter: Segmenter, *, to_stdout: bool) -> None:
    """Serve ``--uncertainty``; with JSON on stdout the report is in its folder alone."""
    from flomo_training.uncertainty.command import run_uncertainty

    source = Path(args.data)
    cases = list_cases(source, args.fold, args.split)
    facts = {
        "data": data_name(source),
        "fold": args.fold,
        "split": args.split,
        "views": "mirrored" if args.mirrored else "plain",
    }
    told = run_uncertainty(args.uncertainty, segmenter, cases, facts, mirrored=args.mirrored)
    if not to_stdout:
        print(told)


def recordable(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a summary belongs into a card: the figures, without every interval."""
    left_out = {"intervals_95", "ventricles_listed", "impossible_pairs"}
    return {key: value for key, value in summary.items() if key not in left_out}
