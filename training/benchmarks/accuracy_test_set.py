"""The sections of the accuracy page on test sets.

Each ``NAME-plain.csv`` and ``NAME-mirrored.csv`` in a folder of a test set was written by ``flomo
evaluate --out`` on its patients, once, after the model was finished.
"""

from __future__ import annotations

import csv
from pathlib import Path
from textwrap import fill

from page_writer import interval, table

from flomo_training.metrics_table import read_metrics
from flomo_training.summary import figures

VIEWS = ("plain", "mirrored")
WIDTH = 100
OTHERS = "others.csv"
"""Table of published figures in the folder of a test set: network, dice, parameters, source."""

TEST_SETS = {
    "official_test": (
        "Official ACDC test set",
        "Patients 101 to 150 of ACDC, on which no model was trained, tuned or selected. Each "
        "released model is measured once, after it is finished. Whole volumes in native spacing, "
        "taken from the `pixdim` of the files.",
    ),
    "published_split": (
        "The 20 test patients of published work",
        "The patients of ACDC's training set that nnFormer, MT-UNet and many papers test on. "
        "`flomo data prepare acdc --published-split` holds them out; our models are trained on the "
        "other 80, and everything about them is chosen by folds of these 80. Whole volumes in "
        "native spacing.",
    ),
}
"""Title and introduction of each test set, by its folder in ``docs/benchmarks``."""


def test_set_section(folder: Path) -> list[str]:
    """Return the blocks of all test sets in Markdown; none where nothing was measured."""
    return [block for name in TEST_SETS for block in _blocks(folder / name)]


def _blocks(folder: Path) -> list[str]:
    found = {}
    for path in sorted(folder.glob("*.csv")):
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
    title, introduction = TEST_SETS[folder.name]
    return [
        f"## {title}",
        fill(introduction, WIDTH),
        table(head, overall),
        table(columns, agreement),
        *_published(folder / OTHERS),
    ]


def _published(path: Path) -> list[str]:
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    head = {"network": "network", "dice": "mean Dice %", "parameters": "parameters"}
    head["source"] = "source"
    return [
        fill(
            "Figures of others on these patients, as printed. They train on 70 patients and choose "
            "on 10 of the 80, and measure in their own ways: resampled or cropped, by volume or by "
            "slice.",
            WIDTH,
        ),
        table(list(head.values()), [[row[key] for key in head] for row in rows]),
    ]
