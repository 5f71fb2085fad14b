"""Measure how much each convention changes volumes, ejection fraction and mass in ACDC.

python training/benchmarks/conventions.py data/acdc data/acdc_test20

Prints the table of docs/measures.md. Slice gaps need the slice thickness, which ACDC does not give;
they are computed for a thickness of 80 % of the distance between slices.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev

from page_writer import table

from napari_flomo.measures import (
    Conventions,
    HeartCodes,
    MeasuredLabels,
    VoxelCounts,
    heart_of_phases,
)
from napari_flomo.volumes import read

THICKNESS = 0.8
"""Assumed slice thickness, as a fraction of the distance between slices."""

PARTS = HeartCodes(left_ventricle=3, right_ventricle=1, myocardium=2)
CODES = (1, 2, 3)

CHOICES = {
    "papillary muscles to the myocardium": Conventions(papillary_muscles="myocardium"),
    "basal slices half enclosed": Conventions(basal_slices="half-enclosed"),
    "gaps interpolated": Conventions(slice_gaps="interpolated"),
    "gaps excluded": Conventions(slice_gaps="excluded"),
    "density 1.04 g/ml": Conventions(density_g_per_ml=1.04),
}
UNITS = {"EDV": "ml", "ESV": "ml", "EF": "%", "mass": "g"}


def main() -> None:
    """Measure the reference labels of all patients and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "data", type=Path, nargs="+", help="ACDC as `flomo data prepare acdc` writes it"
    )
    changes: dict[str, list[dict[str, float]]] = defaultdict(list)
    usual = []
    folders = parser.parse_args().data
    for folder, frames in ((one, frames) for one in folders for frames in patients(one)):
        by_default = values(folder, frames, Conventions())
        usual.append(by_default)
        for title, conventions in CHOICES.items():
            found = values(folder, frames, conventions)
            changes[title].append({name: found[name] - by_default[name] for name in UNITS})
    head = ["convention", "patients changed", *(f"{name} ({unit})" for name, unit in UNITS.items())]
    rows = [["default", "", *(spread(usual, name, "") for name in UNITS)]]
    for title, all_ in changes.items():
        changed = sum(any(one.values()) for one in all_)
        rows.append(
            [title, f"{changed} of {len(all_)}", *(spread(all_, name, "+") for name in UNITS)]
        )
    print(table(head, rows))


def patients(folder: Path) -> list[list[str]]:
    """Return the cases of each patient: end diastole, then end systole."""
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    with (folder / "cases.csv").open(newline="") as stream:
        for row in csv.DictReader(stream):
            found[row["patient"]].append((row["phase"], row["case"]))
    return [[case for _phase, case in sorted(frames)] for frames in found.values()]


def values(folder: Path, cases: list[str], conventions: Conventions) -> dict[str, float]:
    """Return the measures of the left ventricle of a patient, by the names of `UNITS`."""
    counts = []
    for case in cases:
        labels = read(folder / "labels" / f"{case}_gt.nii.gz")
        labels = replace(labels, slice_thickness=THICKNESS * labels.geometry.spacing[2])
        image = read(folder / "images" / f"{case}.nii.gz")
        measured = MeasuredLabels(VoxelCounts.of(labels, CODES).by(conventions, labels), PARTS)
        measured.update(0, labels.data, image.data)
        counts.append(measured.counts)
    heart = heart_of_phases(counts[0], counts[1], PARTS)
    assert heart.left is not None
    left = heart.left
    found = {"EDV": left.edv_ml, "ESV": left.esv_ml, "EF": left.ef_percent, "mass": heart.mass_g}
    return {name: value for name, value in found.items() if value is not None}


def spread(all_: list[dict[str, float]], name: str, sign: str) -> str:
    """Return mean and standard deviation."""
    numbers = [one[name] for one in all_]
    return f"{mean(numbers):{sign}.1f} ± {stdev(numbers):.1f}"


if __name__ == "__main__":
    main()
