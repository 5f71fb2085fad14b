"""The page of the docs on how far the model's doubt can be trusted.

    python training/benchmarks/uncertainty.py                          write the page anew
    python training/benchmarks/uncertainty.py --measure ACDC SUNNYBROOK    measure first

Measuring takes the folders of both data sets as the project prepares them. All figures are kept in
``docs/benchmarks/uncertainty.json`` beside the page and its pictures; the page is computed from
them.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from uncertainty_page import page

from flomo_training.cases import Case, list_cases, read_case
from flomo_training.uncertainty.calibration import halves
from flomo_training.uncertainty.figures import finding_figures, map_figures
from flomo_training.uncertainty.fold import Measured, at_temperature, measure_fold
from flomo_training.uncertainty.measuring import measure_case, measure_volume
from flomo_training.uncertainty.plots import draw_finding, draw_reliability, draw_risk_coverage
from flomo_training.uncertainty.records import SliceRecord
from flomo_training.uncertainty.report import CHOSEN, DRAWN, compose, maps_offered, write_json
from flomo_training.uncertainty.shifted import measure_shift, shift_figures
from napari_flomo import DEFAULT_MODEL
from napari_flomo.errors import FlomoError
from napari_flomo.files import atomic_write
from napari_flomo.segmentation import MAPS, Segmenter

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "benchmarks"
FIGURES = "uncertainty.json"
PAGE = "uncertainty.md"
PICTURES = "pictures_uncertainty"
FOLD = 0
VIEWED_PHASE: str | None = None
"""The volumes whose doubt over views is measured; None for all of them, at eight passes each."""

SHIFTED_PHASE = "ED"
"""The volumes that are degraded."""

FOREIGN_STRUCTURE = "left ventricle"
"""What the foreign data set has labels of in both phases."""


def measure(segmenter: Segmenter, acdc: Path, sunnybrook: Path, pictures: Path) -> dict[str, Any]:
    """Measure everything, draw the pictures, and return the figures."""
    cases = list_cases(acdc, FOLD, "validation")
    single = [name for name in maps_offered(segmenter) if MAPS[name].passes == 1]
    measured = measure_fold(segmenter, cases, single, lambda: _say("volume"))
    report = compose(measured, segmenter, {"data": "acdc", "fold": FOLD, "split": "validation"})
    report["hardware"] = f"CPU, {os.cpu_count()} cores"
    report["views"] = _views(segmenter, cases, measured, pictures)
    report["shift"] = _shift(segmenter, cases, measured)
    report["foreign"] = _foreign(segmenter, measured, sunnybrook)
    pictures.mkdir(parents=True, exist_ok=True)
    draw_reliability(measured.before, measured.after, pictures / "reliability.png")
    draw_finding(measured.after, DRAWN, pictures / "finding.png")
    return report


def _views(
    segmenter: Segmenter, cases: Sequence[Case], measured: Measured, pictures: Path
) -> dict[str, Any]:
    """Measure all maps of the whole, those over views among them."""
    names = [name for name in maps_offered(segmenter) if MAPS[name].stage is None]
    records: list[SliceRecord] = []
    for case in cases:
        if VIEWED_PHASE in (None, case.phase):
            mine = at_temperature(segmenter, measured.fits[case.patient].temperature)
            records += measure_case(case, mine, names)
            _say("volume in all views")
    pictures.mkdir(parents=True, exist_ok=True)
    draw_risk_coverage(records, pictures / "risk_coverage.png")
    return {
        "phase": VIEWED_PHASE,
        "volumes": len({one.case for one in records}),
        "maps": map_figures(records),
        "finding": finding_figures(records, CHOSEN),
    }


def _shift(segmenter: Segmenter, cases: Sequence[Case], measured: Measured) -> dict[str, Any]:
    """Degrade one volume of each patient of the first half."""
    half, _ = halves(cases)
    chosen = [case for case in cases if case.phase == SHIFTED_PHASE and case.patient in half]

    def calibrated(case: Case) -> Segmenter:
        return at_temperature(segmenter, measured.fits[case.patient].temperature)

    rows = []
    for row in measure_shift(chosen, calibrated):
        rows.append(row)
        _say(f"{row.kind} {row.grade}".strip())
    return shift_figures(rows)


def _foreign(segmenter: Segmenter, measured: Measured, folder: Path) -> dict[str, Any]:
    """Measure one structure where another hospital drew it, beside the same at home."""
    mine = at_temperature(segmenter, measured.whole.temperature)
    records: list[SliceRecord] = []
    with (folder / "cases.csv").open(newline="", encoding="utf-8") as file:
        names = [(row["case"], row["patient"], row["phase"]) for row in csv.DictReader(file)]
    for name, patient, phase in names:
        case = Case(
            name,
            patient,
            phase,
            folder / "images" / f"{name}.nii.gz",
            folder / "labels" / f"{name}_gt.nii.gz",
        )
        volume, reference = read_case(case)
        drawn = np.flatnonzero(reference.data.any((1, 2))).tolist()  # elsewhere nobody drew
        records += measure_volume(case, volume, reference, mine, slices=drawn)
        _say("foreign volume")
    return {
        "structure": FOREIGN_STRUCTURE,
        "at home": _one_structure(measured.after),
        "foreign": _one_structure(records),
    }


def _one_structure(records: Sequence[SliceRecord]) -> dict[str, Any]:
    rows = [
        (one.dice, one.expected_dice, one.doubt_mm)
        for record in records
        for one in record.structures
        if one.name == FOREIGN_STRUCTURE and one.truth
    ]
    means = np.nanmean(np.array(rows), 0)
    names = ("dice", "expected_dice", "doubt_mm")
    return {
        "slices": len(rows),
        "patients": len({record.patient for record in records}),
        **{name: round(float(value), 4) for name, value in zip(names, means, strict=True)},
    }


def _say(what: str) -> None:
    print(f"measured: {what}", file=sys.stderr, flush=True)


def write_page(figures: Mapping[str, Any], folder: Path) -> str:
    """Write the page and return it."""
    text = page(figures, PICTURES)
    with atomic_write(folder / PAGE) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return text


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure if asked to, write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", default=DEFAULT_MODEL, help="which model (%(default)s)")
    parser.add_argument(
        "--measure", metavar=("ACDC", "SUNNYBROOK"), nargs=2, type=Path, help="measure first"
    )
    parser.add_argument("--folder", type=Path, default=FOLDER, help="of the page (%(default)s)")
    options = parser.parse_args(arguments)
    try:
        if options.measure:
            segmenter = Segmenter.from_pretrained(options.model, "cpu")
            acdc, sunnybrook = options.measure
            found = measure(segmenter, acdc, sunnybrook, options.folder / PICTURES)
            write_json(found, options.folder / FIGURES)
        figures = json.loads((options.folder / FIGURES).read_text(encoding="utf-8"))
        print(write_page(figures, options.folder))
    except (FlomoError, OSError) as error:
        print(f"uncertainty: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
