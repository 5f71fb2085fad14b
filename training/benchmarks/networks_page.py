"""Write ``docs/benchmarks/networks.md`` from the results of `networks.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from network_costs import Costs
from page_writer import MISSING, Columns, document, interval, number, table_of

OTHER_STRUCTURE = "left ventricle"
"""The structure that Sunnybrook has labels of, too."""

FEW_EPOCHS = 20
"""Fewer epochs show how a network starts to learn, not what it can learn."""

INTRODUCTION = """\
# Networks side by side

In each table all networks see the same slices in the same order for the same number of epochs,
starting from random weights; the learning rates are those of the recipes, not tuned. Held out:
fold 0. Dice and HD95 as on [the page on accuracy](accuracy.md), Dice with a 95 % bootstrap interval
over patients where the data identify them; one seed, so differences within an interval are not
meaningful. ECE: expected calibration error over all pixels and over the band along the contours,
without temperature scaling."""

SUNNYBROOK = f"""\
*Change*: from the {OTHER_STRUCTURE} of the held-out patients to that of the three patients of
Sunnybrook, another hospital with other scanners and another reader, who contoured only the slices
that are counted there; the patients of ACDC count with all of their slices, including base and
apex. A gain therefore does not mean that the other hospital is easier; compare how the networks
differ."""

SMALL_BUDGET = (
    " Such a small budget shows that all networks learn in this setup, and how fast; not which one "
    "is best in the end. Where the Dice is 0.000 the network still predicts background everywhere."
)


@dataclass(frozen=True)
class NetworkResult:
    """What was measured of a network.

    ``elsewhere`` is the Dice of `OTHER_STRUCTURE` on Sunnybrook, ``at_home`` that on the held-out
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
class Comparison:
    """Networks that were trained and measured in the same way.

    ``facts`` has the ``size`` of the image, ``threads``, ``repeats`` and version of ``torch`` of
    the costs, and the ``command`` that measures all of it.
    """

    rows: Sequence[NetworkResult]
    facts: Mapping[str, Any]


def page(comparisons: Mapping[str, Comparison]) -> str:
    """Return the page in Markdown, from the comparisons by title."""
    blocks = [INTRODUCTION]
    for title, comparison in comparisons.items():
        rows, facts = comparison.rows, comparison.facts
        elsewhere = any(row.elsewhere is not None for row in rows)
        blocks += [
            f"## {title}",
            table_of(rows, {**COLUMNS, **(SUNNYBROOK_COLUMNS if elsewhere else {})}),
            _budget(rows[0].budget),
            SUNNYBROOK if elsewhere else "",
            f"Costs: one image of {facts['size']} x {facts['size']} pixels, {facts['threads']} CPU "
            f"threads, torch {facts['torch']}, medians of {facts['repeats']} alternating passes. "
            f"Made by `{facts['command']}`.",
        ]
    return document(*blocks)


COLUMNS: Columns = {
    "network": "{0.name}",
    "Dice": lambda row: interval([row.dice, *row.interval], 3),
    "HD95 in mm": lambda row: number(row.hd95_mm, 1),
    "ECE": "{0.ece:.3f}",
    "ECE near contours": "{0.ece_near:.3f}",
    "parameters": "{0.costs.parameters:,d}",
    "G multiply-adds": lambda row: f"{row.costs.multiply_adds / 1e9:.2f}",
    "ms": "{0.costs.milliseconds:.0f}",
    "MB": "{0.costs.megabytes:.0f}",
    "hours of training": "{0.hours:.2f}",
}
SUNNYBROOK_COLUMNS: Columns = {
    f"Dice of the {OTHER_STRUCTURE}": lambda row: number(row.at_home, 3),
    "the same on Sunnybrook": lambda row: number(row.elsewhere, 3),
    "change": lambda row: (
        MISSING
        if row.elsewhere is None or row.at_home is None
        else f"{row.elsewhere - row.at_home:+.3f}"
    ),
}


def _budget(budget: Mapping[str, Any]) -> str:
    crops = ", ".join(f"{s['size']} from epoch {s['from_epoch']}" for s in budget["squares"])
    text = (
        f"Budget of every row: {budget['epochs']} epochs, batches of {budget['batch']}, crop sizes "
        f"{crops}; seed {budget['seed']}; {budget['hardware']}. The computer did other work at the "
        "same time, so the hours are upper bounds."
    )
    return text + (SMALL_BUDGET if budget["epochs"] < FEW_EPOCHS else "")
