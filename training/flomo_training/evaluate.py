"""Evaluate a model on labelled volumes in native spacing, with the same code that users run."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from flomo_training.cases import Case, list_cases, print_notes, read_case
from flomo_training.export import record_metrics
from flomo_training.gallery import WorstCases
from flomo_training.json_files import json_text, write_json
from flomo_training.label_mapping import codes_to_classes
from flomo_training.metrics import compare
from flomo_training.metrics_table import StructureMetrics, write_metrics
from flomo_training.preparation import data_name
from flomo_training.summary import as_text, summarise
from napari_flomo.errors import FlomoError
from napari_flomo.files import check_writable
from napari_flomo.measures import structure_volumes
from napari_flomo.models import locate
from napari_flomo.progress import Progress, ProgressCallback, progress_bar
from napari_flomo.segmentation import Segmenter
from napari_flomo.tables import read_table
from napari_flomo.volumes import Volume

LISTED_VOLUMES = {
    "rv_ml": "right ventricle",
    "myo_ml": "left ventricular myocardium",
    "lv_ml": "left ventricle",
}
"""Structures whose volumes are listed in columns of ``cases.csv``."""

NAN = float("nan")

Listed = Mapping[tuple[str, str], float]


def measure_structures(
    case: Case, reference: Volume, result: Volume, labels: Sequence[Any], listed: Listed
) -> list[StructureMetrics]:
    """Return the metrics of one case for each structure of the card."""
    known = reference.geometry.spacing_known
    spacing = reference.geometry.spacing[::-1] if known else None  # slices, rows, columns
    names = {label.code: label.name for label in labels}
    sizes = zip(structure_volumes(reference, names), structure_volumes(result, names), strict=True)
    return [
        StructureMetrics(
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
) -> list[StructureMetrics]:
    """Segment cases of one frame and compare every structure with its reference.

    ``listed`` has volumes in ml by case and structure. The worst cases are added to ``gallery``,
    and notes on image headers to ``notes``, by case. Raises a `FlomoError` if a file is damaged or
    the reference contains codes that are not in the card.
    """
    rows: list[StructureMetrics] = []
    for done, case in enumerate(cases, start=1):
        volume, reference = read_case(case)
        if notes is not None and (found := (*volume.notes, *reference.notes)):
            notes[case.name] = found[0]
        codes_to_classes(reference.data, segmenter.card, case.name)  # raises for unknown codes
        result = segmenter.segment(volume, keep_probabilities=False, mirrored=mirrored).labels
        own = measure_structures(case, reference, result, segmenter.card.labels[1:], listed or {})
        if gallery is not None:
            gallery.add(volume, reference.data, result.data, own)
        rows += own
        if progress:
            progress(Progress(done, len(cases)))
    return rows


def read_listed_volumes(source: Path) -> dict[tuple[str, str], float]:
    """Return the volumes in ml that a data folder lists, by case and structure.

    Raises a `FlomoError` if a volume is not a number.
    """
    table = source / "cases.csv"
    if not table.is_file():
        return {}
    volumes = {}
    for row in read_table(table):
        for column, structure in LISTED_VOLUMES.items():
            if row.get(column):
                try:
                    volumes[row["case"], structure] = float(row[column])
                except ValueError as error:
                    raise FlomoError(
                        f"{table} has {row[column]!r} as {column} of {row['case']}, which is not a "
                        "number; fix it."
                    ) from error
    return volumes


def evaluate_folder(
    source: Path,
    fold: int | None,
    split: Any,
    segmenter: Segmenter,
    gallery: WorstCases,
    *,
    mirrored: bool = False,
) -> tuple[list[StructureMetrics], dict[str, Any]]:
    """Evaluate a split of a data folder, with a progress bar in a terminal.

    Returns the table, and its summary with data set, fold and split. Raises a `FlomoError` if the
    data cannot be used.
    """
    cases = list_cases(source, fold, split)
    notes: dict[str, str] = {}
    with progress_bar("volume") as progress:
        rows = evaluate(
            cases,
            segmenter,
            progress,
            listed=read_listed_volumes(source),
            gallery=gallery,
            mirrored=mirrored,
            notes=notes,
        )
    print_notes(notes, len(cases))
    if all(math.isnan(row.dice) for row in rows):
        raise FlomoError(
            f"These cases of {source} contain no structure of {segmenter.card.name}; choose other "
            "data or another model."
        )
    return rows, summarise(rows, segmenter.card) | {
        "data": data_name(source),
        "fold": fold,
        "split": split,
        "views": "mirrored" if mirrored else "plain",
    }


def run_evaluation(args: argparse.Namespace) -> int:
    """Run ``flomo evaluate``."""
    if args.mirrored and args.record:
        raise FlomoError("Model cards store metrics of plain views; omit --mirrored or --record.")
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
        write_metrics(rows, args.out)
    if args.gallery:
        gallery.draw(segmenter.card.labels[1:], args.gallery)
    if args.record:
        record_metrics(locate(args.model), card_metrics(summary))
    if args.json and not to_stdout:
        write_json(summary, args.json)
    print(json_text(summary).rstrip() if to_stdout else as_text(summary))
    if args.uncertainty:
        _evaluate_uncertainty(args, segmenter, to_stdout=to_stdout)
    return 0


def _evaluate_uncertainty(
    args: argparse.Namespace, segmenter: Segmenter, *, to_stdout: bool
) -> None:
    """Run ``--uncertainty``; with JSON on stdout, the report is only written to its folder."""
    from flomo_training.uncertainty.command import run_uncertainty

    source = Path(args.data)
    cases = list_cases(source, args.fold, args.split)
    facts = {
        "data": data_name(source),
        "fold": args.fold,
        "split": args.split,
        "views": "mirrored" if args.mirrored else "plain",
    }
    text = run_uncertainty(args.uncertainty, segmenter, cases, facts, mirrored=args.mirrored)
    if not to_stdout:
        print(text)


def card_metrics(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a summary that is stored in a card."""
    left_out = {"intervals_95", "ventricles_listed", "impossible_pairs"}
    return {key: value for key, value in summary.items() if key not in left_out}
