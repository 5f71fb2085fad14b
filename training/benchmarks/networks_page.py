"""The page on networks side by side, from what was measured of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from network_costs import Costs

ABROAD = "left ventricle"
"""The structure that another collection has labels of, too."""

FEW_EPOCHS = 20
"""Fewer say how a network begins to learn, not what it can learn."""

ELSEWHERE = (
    f"*Change*: from the {ABROAD} of the held-out patients to that of the three patients of "
    "Sunnybrook, another hospital with other scanners and another reader, who drew only the "
    "slices that are counted there; the patients of ACDC count with all of their slices, base "
    "and apex too. So a gain does not mean that the other hospital is the easier one; what "
    "compares is how the networks differ in it."
)


@dataclass(frozen=True)
class Row:
    """What was measured of an entry.

    ``elsewhere`` is the Dice of `ABROAD` in another collection, ``at_home`` that on the held-out
    fold.
    """

    name: str
    data: str
    dice: float
    interval: Sequence[float | None]
    hd95_mm: float | None
    ece: float
    ece_near: float
    hours: float
    costs: Costs
    elsewhere: float | None = None
    at_home: float | None = None
    budget: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """Rows that compare.

    ``facts`` has the ``size`` of the image, ``threads``, ``repeats`` and version of ``torch`` of
    the costs, and the ``command`` that measures all of it.
    """

    rows: Sequence[Row]
    facts: Mapping[str, Any]


def page(tables: Mapping[str, Table]) -> str:
    """Return the page in Markdown, from the tables by title."""
    lines = [
        "# Networks side by side",
        "",
        "In each table the same slices in the same order for the same epochs, from random weights; "
        "learning rates are those of the recipes, not tuned. Held out: fold 0. Dice and HD95 as on "
        "[the page on accuracy](accuracy.md), Dice with a 95 % bootstrap interval over patients "
        "where the data name them; one seed, so differences within an interval say nothing. ECE: "
        "expected calibration error over all pixels and over the band along contours, without "
        "temperature.",
    ]
    for title, table in tables.items():
        lines += ["", f"## {title}", "", *_table(table.rows), "", _budget(table.rows)]
        if any(row.elsewhere is not None for row in table.rows):
            lines += ["", ELSEWHERE]
        facts = table.facts
        lines += [
            "",
            f"Costs: one image of {facts['size']} x {facts['size']} pixels, {facts['threads']} CPU "
            f"threads, torch {facts['torch']}, medians of {facts['repeats']} passes in turns. Made "
            f"by `{facts['command']}`.",
        ]
    return "\n".join(lines) + "\n"


def _table(rows: Sequence[Row]) -> list[str]:
    head = [
        "network",
        "Dice",
        "HD95 in mm",
        "ECE",
        "ECE near contours",
        "parameters",
        "G multiply-adds",
        "ms",
        "MB",
        "hours of training",
    ]
    other = any(row.elsewhere is not None for row in rows)
    if other:
        head += [f"Dice of the {ABROAD}", "the same on Sunnybrook", "change"]
    lines = [head, ["---"] * len(head)]
    for row in rows:
        low, high = row.interval
        between = "" if low is None or high is None else f" ({low:.3f} to {high:.3f})"
        cells = [
            row.name,
            f"{row.dice:.3f}{between}",
            "–" if row.hd95_mm is None else f"{row.hd95_mm:.1f}",
            f"{row.ece:.3f}",
            f"{row.ece_near:.3f}",
            f"{row.costs.parameters:,d}",
            f"{row.costs.multiply_adds / 1e9:.2f}",
            f"{row.costs.milliseconds:.0f}",
            f"{row.costs.megabytes:.0f}",
            f"{row.hours:.2f}",
        ]
        if other:
            cells += _there_and_back(row)
        lines.append(cells)
    return ["| " + " | ".join(cells) + " |" for cells in lines]


def _there_and_back(row: Row) -> list[str]:
    if row.elsewhere is None or row.at_home is None:
        return ["–"] * 3
    change = row.elsewhere - row.at_home
    return [f"{row.at_home:.3f}", f"{row.elsewhere:.3f}", f"{change:+.3f}"]


def _budget(rows: Sequence[Row]) -> str:
    budget = rows[0].budget
    squares = ", ".join(f"{s['size']} from epoch {s['from_epoch']}" for s in budget["squares"])
    stated = (
        f"Budget of every row: {budget['epochs']} epochs, batches of {budget['batch']}, squares of "
        f"{squares}; seed {budget['seed']}; {budget['hardware']}. The computer did other work "
        "meanwhile, so hours are too long."
    )
    if budget["epochs"] < FEW_EPOCHS:
        stated += (
            " So small a budget shows that all of them learn in one frame, and how soon; not which "
            "is the best after all. Where the Dice is 0.000 the network still says background "
            "everywhere."
        )
    return stated
