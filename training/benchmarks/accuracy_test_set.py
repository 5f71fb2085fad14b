"""The section of the accuracy page on the official ACDC test set, from its tables of cases.

Each ``NAME-plain.csv`` and ``NAME-mirrored.csv`` under ``docs/benchmarks/official_test`` was
written by ``flomo evaluate --out`` on the 50 patients of ACDC's own test set, after the model was
finished.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from flomo_training.agreement import read_table
from flomo_training.summary import figures

FOLDER = "official_test"
VIEWS = ("plain", "mirrored")

INTRODUCTION = """\
Patients 101 to 150 of ACDC, which no model was trained or tuned on. Nothing was chosen by them:
each released model is measured once, after it is finished. Whole volumes in native spacing, taken
from the `pixdim` of the files."""

Table = Callable[[Sequence[str], Sequence[Sequence[str]]], str]


def test_set_section(folder: Path, table: Table, ranged: Callable[..., str]) -> list[str]:
    """Return the blocks of the section in Markdown; none where nothing was measured.

    Parameters
    ----------
    folder
        ``docs/benchmarks``.
    table, ranged
        How the page writes tables and figures with intervals.
    """
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for path in sorted((folder / FOLDER).glob("*.csv")):
        name, _, views = path.stem.rpartition("-")
        if views in VIEWS:
            found[name, views] = figures(read_table(path))
    if not found:
        return []
    order = sorted(found, key=lambda key: (key[0], VIEWS.index(key[1])))
    overall, limits = [], []
    for name, views in order:
        figure = found[name, views]
        structures = [
            ranged(cells["all"], figure["intervals_95"]["dice"][structure]["all"], "dice")
            for structure, cells in figure["dice"].items()
        ]
        overall.append(
            [
                f"`{name}`",
                views,
                f"{figure['volumes']} ({figure['patients']})",
                *structures,
                ranged(figure["mean_dice"], figure["interval_95"], "dice"),
                ranged(
                    figure["mean_hd95_mm"], figure["intervals_95"]["hd95_mm"]["mean"], "hd95_mm"
                ),
            ]
        )
        for ventricle, quantities in figure["ventricles"].items():
            for quantity, agreement in quantities.items():
                lower, upper = agreement["limits"]
                limits.append(
                    [
                        f"`{name}`",
                        views,
                        ventricle,
                        quantity,
                        str(agreement["patients"]),
                        f"{agreement['bias']:+.1f} {agreement['unit']}",
                        f"{lower:+.1f} to {upper:+.1f}",
                    ]
                )
    names = list(found[order[0]]["dice"])
    head = ["model", "views", "volumes (patients)", *names, "mean Dice", "HD95 mm"]
    return [
        "## Official ACDC test set",
        INTRODUCTION,
        table(head, overall),
        table(
            ["model", "views", "ventricle", "", "patients", "bias", "limits of agreement"], limits
        ),
    ]
