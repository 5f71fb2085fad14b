"""Measure the quality of a model's uncertainty and write the page about it.

    python training/benchmarks/uncertainty.py                          write the page again
    python training/benchmarks/uncertainty.py --measure ACDC SUNNYBROOK    measure first
    python training/benchmarks/uncertainty.py --shift-only ACDC            only degraded images
    python training/benchmarks/uncertainty.py --mirrored-only ACDC         only mirrored views

Both data folders must be prepared by ``flomo data prepare``. All figures are kept in
``docs/benchmarks/uncertainty.json`` beside the page and its pictures; the page is computed from
them.

Degraded images are measured volume by volume, with a file for each in ``--rows``, so that an
interrupted run can be resumed. ``--patients`` measures only some patients; the page changes when
all are measured.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from page_writer import DOCS, parser_of
from page_writer import write_page as write_markdown
from uncertainty_page import page

from flomo_training.cases import Case, case_from_row, list_cases, read_case, read_case_rows
from flomo_training.json_files import write_json
from flomo_training.uncertainty.cross_fitting import FoldMeasurement, at_temperature, measure_fold
from flomo_training.uncertainty.measurement import measure_case, measure_volume
from flomo_training.uncertainty.plots import draw_error_recall, draw_reliability, draw_risk_coverage
from flomo_training.uncertainty.records import SliceRecord
from flomo_training.uncertainty.report import PLOTTED_ORDERS, REVIEW_ORDER, compose, maps_offered
from flomo_training.uncertainty.robustness import DegradationResult, robustness_statistics
from flomo_training.uncertainty.robustness_files import (
    fitted_temperatures,
    measure_missing,
    read_results_of,
)
from flomo_training.uncertainty.statistics import (
    map_statistics,
    recall_statistics,
    reliability_statistics,
)
from napari_flomo import DEFAULT_MODEL
from napari_flomo.errors import FlomoError
from napari_flomo.progress import Progress
from napari_flomo.segmentation import MAPS, Segmenter

FIGURES = "uncertainty.json"
PAGE = "uncertainty.md"
PICTURES = "pictures_uncertainty"
FOLD = 0
VIEWED_PHASE: str | None = None
"""Phase whose test-time uncertainty is measured (eight passes per volume); None for both."""

ROWS = Path("runs") / "uncertainty_shift"
"""Folder for the results on degraded images."""

FOREIGN_STRUCTURE = "left ventricle"
"""Structure that Sunnybrook has labels of in both phases."""


def measure(
    segmenter: Segmenter, acdc: Path, sunnybrook: Path, *, pictures: Path, rows: Path
) -> dict[str, Any]:
    """Measure everything, draw the pictures, and return the figures."""
    cases = list_cases(acdc, FOLD, "validation")
    single = [name for name in maps_offered(segmenter) if MAPS[name].passes == 1]
    measured = measure_fold(segmenter, cases, single, lambda _progress: _log("volume"))
    report = compose(measured, segmenter, {"data": "acdc", "fold": FOLD, "split": "validation"})
    report["hardware"] = f"CPU, {os.cpu_count()} cores"
    report["views"] = _views(segmenter, cases, measured, pictures)
    temperatures = {patient: fit.temperature for patient, fit in measured.fits.items()}
    measure_missing(rows, cases, segmenter, temperatures, progress=_log_progress)
    report["shift"] = robustness_statistics(_all_results(rows, cases, segmenter, temperatures))
    report["foreign"] = _foreign(segmenter, measured, sunnybrook)
    report["mirrored"] = measure_mirrored(segmenter, cases, temperatures)
    pictures.mkdir(parents=True, exist_ok=True)
    draw_reliability(measured.before, measured.after, pictures / "reliability.png")
    draw_error_recall(measured.after, PLOTTED_ORDERS, pictures / "finding.png")
    return report


def _views(
    segmenter: Segmenter, cases: Sequence[Case], measured: FoldMeasurement, pictures: Path
) -> dict[str, Any]:
    """Measure all maps of the whole network, including test-time maps."""
    names = [name for name in maps_offered(segmenter) if MAPS[name].stage is None]
    records: list[SliceRecord] = []
    for case in cases:
        if VIEWED_PHASE in (None, case.phase):
            mine = at_temperature(segmenter, measured.fits[case.patient].temperature)
            records += measure_case(case, mine, names)
            _log("volume in all views")
    pictures.mkdir(parents=True, exist_ok=True)
    draw_risk_coverage(records, pictures / "risk_coverage.png")
    return {
        "phase": VIEWED_PHASE,
        "volumes": len({one.case for one in records}),
        "maps": map_statistics(records),
        "finding": recall_statistics(records, REVIEW_ORDER),
    }


def measure_mirrored(
    segmenter: Segmenter, cases: Sequence[Case], temperatures: Mapping[str, float]
) -> dict[str, Any]:
    """Measure the uncertainty of the same cases with mirrored views."""
    records: list[SliceRecord] = []
    for case in cases:
        mine = at_temperature(segmenter, temperatures[case.patient])
        records += measure_case(case, mine, mirrored=True)
        _log("volume in mirrored views")
    return {
        "calibration": reliability_statistics(records),
        "entropy": map_statistics(records)["entropy"],
    }


def measure_degraded(
    segmenter: Segmenter, acdc: Path, rows: Path, patients: Sequence[str]
) -> dict[str, Any] | None:
    """Measure degraded images of some or all patients; return the figures when all are measured.

    Raises a `FlomoError` if a patient is not held out.
    """
    cases = list_cases(acdc, FOLD, "validation")
    unknown = set(patients) - {case.patient for case in cases}
    if unknown:
        raise FlomoError(f"{min(unknown)} is not a held-out patient; choose patients of the fold.")
    temperatures = fitted_temperatures(rows, segmenter, cases)
    chosen = [case for case in cases if not patients or case.patient in patients]
    measure_missing(rows, chosen, segmenter, temperatures, progress=_log_progress)
    found = _all_results(rows, cases, segmenter, temperatures)
    there = len({row.case for row in found})
    print(f"{there} of {len(cases)} volumes are measured", file=sys.stderr)
    return robustness_statistics(found) if there == len(cases) else None


def _all_results(
    folder: Path, cases: Sequence[Case], segmenter: Segmenter, temperatures: Mapping[str, float]
) -> list[DegradationResult]:
    read = (
        read_results_of(folder, case, segmenter.card, temperatures[case.patient]) for case in cases
    )
    return [row for rows in read for row in rows or ()]


def _foreign(segmenter: Segmenter, measured: FoldMeasurement, folder: Path) -> dict[str, Any]:
    """Measure one structure on data of another hospital, and on the fold for comparison."""
    mine = at_temperature(segmenter, measured.whole.temperature)
    records: list[SliceRecord] = []
    for case in (case_from_row(folder, row) for row in read_case_rows(folder)):
        volume, reference = read_case(case)
        drawn = np.flatnonzero(reference.data.any((1, 2))).tolist()  # other slices are unlabelled
        records += measure_volume(case, volume, reference, mine, slices=drawn)
        _log("foreign volume")
    return {
        "structure": FOREIGN_STRUCTURE,
        "at home": _one_structure(measured.after),
        "foreign": _one_structure(records),
    }


def _one_structure(records: Sequence[SliceRecord]) -> dict[str, Any]:
    rows = [
        (one.dice, one.expected_dice, one.uncertainty_mm)
        for record in records
        for one in record.structures
        if one.name == FOREIGN_STRUCTURE and one.truth
    ]
    means = np.nanmean(np.array(rows), 0)
    names = ("dice", "expected_dice", "uncertainty_mm")
    return {
        "slices": len(rows),
        "patients": len({record.patient for record in records}),
        **{name: round(float(value), 4) for name, value in zip(names, means, strict=True)},
    }


def _log(what: str) -> None:
    print(f"measured: {what}", file=sys.stderr, flush=True)


def _log_progress(progress: Progress) -> None:
    _log(progress.message)


def write_page(figures: Mapping[str, Any], folder: Path) -> str:
    """Write the page and return it."""
    text = page(figures, PICTURES)
    write_markdown(folder / PAGE, text)
    return text


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure if requested, then write the page."""
    parser = parser_of(__doc__)
    parser.add_argument("--model", default=DEFAULT_MODEL, help="which model (%(default)s)")
    work = parser.add_mutually_exclusive_group()
    work.add_argument(
        "--measure", metavar=("ACDC", "SUNNYBROOK"), nargs=2, type=Path, help="measure all first"
    )
    for name, what in (("shift", "degraded images"), ("mirrored", "mirrored views")):
        work.add_argument(f"--{name}-only", metavar="ACDC", type=Path, help=f"measure {what} only")
    parser.add_argument(
        "--patients", nargs="+", default=[], metavar="NAME", help="for --shift-only (default: all)"
    )
    parser.add_argument(
        "--rows", type=Path, default=ROWS, help="results on degraded images (%(default)s)"
    )
    parser.add_argument("--folder", type=Path, default=DOCS, help="of the page (%(default)s)")
    options = parser.parse_args(arguments)
    if options.patients and not options.shift_only:
        parser.error("--patients requires --shift-only")
    figures = options.folder / FIGURES
    try:
        if options.measure or options.shift_only or options.mirrored_only:
            segmenter = Segmenter.from_pretrained(options.model, "cpu")
            found = _measured(options, segmenter)
            if found is None:
                return 0
            if not options.measure:
                found = _existing(figures, segmenter) | found
            write_json(found, figures)
        write_page(json.loads(figures.read_text(encoding="utf-8")), options.folder)
    except (FlomoError, OSError) as error:
        print(f"uncertainty: {error}", file=sys.stderr)
        return 2
    return 0


def _measured(options: argparse.Namespace, segmenter: Segmenter) -> dict[str, Any] | None:
    """Return the requested figures, or None while degraded images are missing."""
    if options.measure:
        pictures, rows = options.folder / PICTURES, options.rows
        return measure(segmenter, *options.measure, pictures=pictures, rows=rows)
    if options.mirrored_only:
        cases = list_cases(options.mirrored_only, FOLD, "validation")
        temperatures = fitted_temperatures(options.rows, segmenter, cases)
        return {"mirrored": measure_mirrored(segmenter, cases, temperatures)}
    shift = measure_degraded(segmenter, options.shift_only, options.rows, options.patients)
    return None if shift is None else {"shift": shift}


def _existing(path: Path, segmenter: Segmenter) -> dict[str, Any]:
    """Return the existing figures of the page."""
    figures: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if figures["sha256"] != segmenter.card.sha256:
        raise FlomoError("The page describes another model; measure everything with --measure.")
    return figures


if __name__ == "__main__":
    sys.exit(main())
