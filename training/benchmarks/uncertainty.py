"""The page of the docs on how far the model's uncertainty can be trusted.

    python training/benchmarks/uncertainty.py                          write the page anew
    python training/benchmarks/uncertainty.py --measure ACDC SUNNYBROOK    measure first
    python training/benchmarks/uncertainty.py --shift-only ACDC            only the worse images
    python training/benchmarks/uncertainty.py --mirrored-only ACDC         only mirrored views

Measuring takes the folders of both data sets as the project prepares them. All figures are kept in
``docs/benchmarks/uncertainty.json`` beside the page and its pictures; the page is computed from
them.

Worse images are measured volume by volume, with a file for each in ``--rows``; a run that was ended
goes on from there. ``--patients`` measures only some; the page changes when all are there.
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
from flomo_training.uncertainty.figures import finding_figures, map_figures, reliability_figures
from flomo_training.uncertainty.fold import Measured, at_temperature, measure_fold
from flomo_training.uncertainty.measuring import measure_case, measure_volume
from flomo_training.uncertainty.plots import draw_finding, draw_reliability, draw_risk_coverage
from flomo_training.uncertainty.records import SliceRecord
from flomo_training.uncertainty.report import CHOSEN, DRAWN, compose, maps_offered, write_json
from flomo_training.uncertainty.shift_files import fitted_temperatures, measure_missing, read_rows
from flomo_training.uncertainty.shifted import ShiftRow, shift_figures
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
"""The volumes whose uncertainty over views is measured (eight passes each); None for all."""

ROWS = Path("runs") / "uncertainty_shift"
"""Where the files of worse images go."""

FOREIGN_STRUCTURE = "left ventricle"
"""What the foreign data set has labels of in both phases."""


def measure(
    segmenter: Segmenter, acdc: Path, sunnybrook: Path, *, pictures: Path, rows: Path, engine: str
) -> dict[str, Any]:
    """Measure everything, draw the pictures, and return the figures."""
    cases = list_cases(acdc, FOLD, "validation")
    single = [name for name in maps_offered(segmenter) if MAPS[name].passes == 1]
    measured = measure_fold(segmenter, cases, single, lambda _progress: _say("volume"))
    report = compose(measured, segmenter, {"data": "acdc", "fold": FOLD, "split": "validation"})
    report["hardware"] = f"CPU, {os.cpu_count()} cores"
    report["views"] = _views(segmenter, cases, measured, pictures)
    temperatures = {patient: fit.temperature for patient, fit in measured.fits.items()}
    measure_missing(
        rows,
        cases,
        segmenter,
        temperatures,
        engine=engine,
        progress=lambda progress: _say(progress.message),
    )
    report["shift"] = shift_figures(_all_rows(rows, cases, segmenter, temperatures))
    report["foreign"] = _foreign(segmenter, measured, sunnybrook)
    report["mirrored"] = measure_mirrored(segmenter, cases, temperatures, engine)
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


def measure_mirrored(
    segmenter: Segmenter, cases: Sequence[Case], temperatures: Mapping[str, float], engine: str
) -> dict[str, Any]:
    """Measure the uncertainty of the same cases with mirrored views; the page has plain ones."""
    records: list[SliceRecord] = []
    for case in cases:
        mine = at_temperature(segmenter, temperatures[case.patient], engine)
        records += measure_case(case, mine, mirrored=True)
        _say("volume in mirrored views")
    return {
        "calibration": reliability_figures(records),
        "entropy": map_figures(records)["entropy"],
    }


def measure_worse_images(
    segmenter: Segmenter, acdc: Path, rows: Path, engine: str, patients: Sequence[str]
) -> dict[str, Any] | None:
    """Measure worse images of some patients, or of all; return the figures once all are there.

    Raises
    ------
    FlomoError
        If a patient is not held out.
    """
    cases = list_cases(acdc, FOLD, "validation")
    unknown = set(patients) - {case.patient for case in cases}
    if unknown:
        raise FlomoError(f"{min(unknown)} is no held-out patient; choose among those of the fold.")
    temperatures = fitted_temperatures(rows, segmenter, cases)
    chosen = [case for case in cases if not patients or case.patient in patients]
    measure_missing(
        rows,
        chosen,
        segmenter,
        temperatures,
        engine=engine,
        progress=lambda progress: _say(progress.message),
    )
    found = _all_rows(rows, cases, segmenter, temperatures)
    there = len({row.case for row in found})
    print(f"{there} of {len(cases)} volumes are measured", file=sys.stderr)
    return shift_figures(found) if there == len(cases) else None


def _all_rows(
    folder: Path, cases: Sequence[Case], segmenter: Segmenter, temperatures: Mapping[str, float]
) -> list[ShiftRow]:
    read = (read_rows(folder, case, segmenter.card, temperatures[case.patient]) for case in cases)
    return [row for rows in read for row in rows or ()]


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
    work = parser.add_mutually_exclusive_group()
    work.add_argument(
        "--measure", metavar=("ACDC", "SUNNYBROOK"), nargs=2, type=Path, help="measure all first"
    )
    work.add_argument("--shift-only", metavar="ACDC", type=Path, help="measure worse images only")
    work.add_argument(
        "--mirrored-only", metavar="ACDC", type=Path, help="measure mirrored views only"
    )
    parser.add_argument(
        "--patients", nargs="+", default=[], metavar="NAME", help="only these worse images"
    )
    parser.add_argument("--rows", type=Path, default=ROWS, help="files of these (%(default)s)")
    parser.add_argument("--engine", default="fast", help="for worse images (%(default)s)")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="of the page (%(default)s)")
    options = parser.parse_args(arguments)
    if options.patients and not options.shift_only:
        parser.error("--patients goes with --shift-only")
    figures = options.folder / FIGURES
    try:
        if options.measure or options.shift_only or options.mirrored_only:
            segmenter = Segmenter.from_pretrained(options.model, "cpu")
            found = _measured(options, segmenter)
            if found is None:
                return 0
            if not options.measure:
                found = _kept(figures, segmenter) | found
            write_json(found, figures)
        print(write_page(json.loads(figures.read_text(encoding="utf-8")), options.folder))
    except (FlomoError, OSError) as error:
        print(f"uncertainty: {error}", file=sys.stderr)
        return 2
    return 0


def _measured(options: argparse.Namespace, segmenter: Segmenter) -> dict[str, Any] | None:
    """Return what was asked for, or None while worse images are missing."""
    if options.measure:
        acdc, sunnybrook = options.measure
        pictures = options.folder / PICTURES
        return measure(
            segmenter,
            acdc,
            sunnybrook,
            pictures=pictures,
            rows=options.rows,
            engine=options.engine,
        )
    if options.mirrored_only:
        cases = list_cases(options.mirrored_only, FOLD, "validation")
        temperatures = fitted_temperatures(options.rows, segmenter, cases)
        return {"mirrored": measure_mirrored(segmenter, cases, temperatures, options.engine)}
    shift = measure_worse_images(
        segmenter, options.shift_only, options.rows, options.engine, options.patients
    )
    return None if shift is None else {"shift": shift}


def _kept(path: Path, segmenter: Segmenter) -> dict[str, Any]:
    """Return the figures of the page, of which a part was measured anew."""
    figures: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if figures["sha256"] != segmenter.card.sha256:
        raise FlomoError("The page is of another model; measure all of it with --measure.")
    return figures


if __name__ == "__main__":
    sys.exit(main())
