"""The section of the accuracy page on the official ACDC test set.

Each ``NAME-plain.csv`` and ``NAME-mirrored.csv`` under ``docs/benchmarks/official_test`` was
written by ``flomo evaluate --out`` on the 50 patients of ACDC's own test set, after the model was
finished.
"""

from __future__ import annotations

from pathlib import Path

from page_writer import interval, table

from flomo_training.metrics_table import read_metrics
from flomo_training.summary import figures

FOLDER = "official_test"
VIEWS = ("plain", "mirrored")

INTRODUCTION = """\
Patients 101 to 150 of ACDC, on which no model was trained, tuned or selected. Each released model
is measured once, after it is finished. Whole volumes in native spacing, taken from the `pixdim` of
the files."""


def test_set_section(folder: Path) -> list[str]:
    """Return the blocks of the section in Markdown; none where nothing was measured."""
    found = {}
    for path in sorted((folder / FOLDER).glob("*.csv")):
        name, _, views = path.stem.rpartition("-")
        if views in VIEWS:
            found[name, views] = figures(read_metrics(path))
    if not found:
        return []
    overall, agreement = [], []
    for name, views in sorted(found, key=lambda key: (key[0], VIEWS.index(key[1]))):
        summary = found[name, views]
        intervals = summary["intervals_95"]
        structures = [
            interval([cells["all"], *intervals["dice"][structure]["all"]], 4)
            for structure, cells in summary["dice"].items()
        ]
        overall.append(
            [
                f"`{name}`",
                views,
                f"{summary['volumes']} ({summary['patients']})",
                *structures,
                interval([summary["mean_dice"], *summary["interval_95"]], 4),
                interval([summary["mean_hd95_mm"], *intervals["hd95_mm"]["mean"]], 2),
            ]
        )
        for ventricle, quantities in summary["ventricles"].items():
            for quantity, limits in quantities.items():
                bias = f"{limits['bias']:+.1f} {limits['unit']}"
                between = "{:+.1f} to {:+.1f}".format(*limits["limits"])
                patients = limits["patients"]
                agreement.append([f"`{name}`", views, ventricle, quantity, patients, bias, between])
    names = list(next(iter(found.values()))["dice"])
    head = ["model", "views", "volumes (patients)", *names, "mean Dice", "HD95 mm"]
    columns = ["model", "views", "ventricle", "", "patients", "bias", "limits of agreement"]
    return [
        "## Official ACDC test set",
        INTRODUCTION,
        table(head, overall),
        table(columns, agreement),
    ]
