"""Write the page and the picture of the correction experiment from its table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from correction_results import RunResult
from matplotlib.figure import Figure
from page_writer import DOCS, MISSING, document, number, table, write_page

from flomo_training.drawing import hide_frame, save_figure

ARMS = {
    "none": "no tuning",
    "queue": "slices that the review list offers first",
    "patients": "whole patients",
    "all": "every slice of all patients",
    "cautious": "as the list, cautious settings",
    "scratch": "as the list, new network",
}
STRUCTURES = {"target_rv": "RV", "target_myocardium": "myocardium", "target_lv": "LV"}
DOMAINS = {
    "lge": ("MyoPS, late enhancement", "#D55E00"),
    "t2": ("MyoPS, T2", "#0072B2"),
    "c0": ("MyoPS, bSSFP", "#009E73"),
    "sunnybrook": ("Sunnybrook", "#CC79A7"),
    "mild": ("ACDC with mild changes", "#666666"),
}
TEXTS = {
    "lge": """\
30 patients of another hospital in a contrast that the model was not trained on; two to six slices
each, labels in the codes of ACDC, myocardium with scar and edema. Ten patients are corrected and
the other twenty are the test set; the halves differ by the ten.""",
    "t2": """\
The same patients in a third contrast.""",
    "c0": """\
The same patients in the contrast of ACDC, contoured with a thicker wall.""",
    "sunnybrook": """\
Three patients of another hospital, scanner and reader (CC0, Radau et al., MIDAS Journal 2009); left
ventricle at both phases, its myocardium at end diastole, in slices with contours. Each patient in
turn is the test set and the other two are corrected.""",
    "mild": """\
The 16 patients of ACDC fold 0 with noise of 0.05 of the intensity window and intensities to the
power 0.5; eight are corrected and eight are the test set, then vice versa. There is little to
learn.""",
}
INTRODUCTION = """\
# Learning from corrections

Written by `training/benchmarks/correction_loop.py` from `correction_loop.csv` beside it; do not
edit by hand.

`flomo-b0-acdc` was trained on ACDC and is applied to other data. In some patients a simulated
reader corrects slices to the reference labels, and `flomo finetune` learns from this store: a
specialist, beside which its parent stays in use. The Dice is then measured on other patients, and
every image chooses the parent or the specialist by its signature, as in use.

*Target*: mean 3-D Dice on the test patients, over volumes and then over structures; *alone*: with
the specialist for every image; *chosen by*: share of the test images that chose it. *Base*: the
same for the ACDC images of fold 0, which were held out of the training of the model. *Share*: of
the way from the parent to the trained weights, as cross-validation over the corrected patients
chose it. *ECE*: expected calibration error of the specialist near the contours. In brackets the
single runs: halves of the patients, then seeds."""


def write_results(rows: Sequence[RunResult]) -> None:
    """Write the page and the picture beside the table."""
    write_page(DOCS / "correction_loop.md", page(rows))
    if any(row.arm == "queue" for row in rows):
        draw(rows, DOCS / "correction_loop.png")


def page(rows: Sequence[RunResult]) -> str:
    """Return the page as Markdown."""
    blocks = [INTRODUCTION]
    if any(row.arm == "queue" for row in rows):
        blocks += [
            "![Dice after k corrected slices](correction_loop.png)",
            "*Mean over halves and seeds; the dashed lines are the Dice without tuning.*",
        ]
    for domain, (title, _colour) in DOMAINS.items():
        some = [row for row in rows if row.domain == domain]
        if any(row.arm != "none" for row in some):
            seeds = len({row.seed for row in some if row.arm != "none"})
            measured = f"Measured so far with {seeds} seed{'s' * (seeds != 1)}."
            blocks += [f"## {title}", TEXTS[domain], measured, results_table(some)]
    hardware = "; ".join(sorted({row.hardware for row in rows}))
    return document(
        *blocks,
        f"Hardware: {hardware}; float32. Minutes: of training, on a machine that did other work at "
        "the same time.",
    )


def results_table(rows: Sequence[RunResult]) -> str:
    """Return the table of one domain: a line for each arm and number of slices."""
    shown = {key: name for key, name in STRUCTURES.items() if not math.isnan(getattr(rows[0], key))}
    head = ["corrected", "slices, patients", "target", *shown.values(), "alone", "chosen by"]
    head += ["base", "share", "ECE", "minutes"]
    start = _mean([row for row in rows if row.arm == "none"], "base")
    lines = []
    for arm, count in sorted({(row.arm, row.count) for row in rows}, key=_order):
        some = [row for row in rows if (row.arm, row.count) == (arm, count)]
        tuned = arm != "none"
        lines.append(
            [ARMS[arm], f"{_mean(some, 'slices'):.0f}, {_mean(some, 'patients'):.0f}"
             if tuned else MISSING, _values(some, "target")]
            + [number(_mean(some, key), 3) for key in shown]
            + [
                number(_mean(some, "alone"), 3),
                f"{100 * _mean(some, 'routed'):.0f} %" if tuned else MISSING,
                number(_mean(some, "base") - start, 4, signed=True) if tuned else f"{start:.4f}",
                number(_mean(some, "share"), 2) if tuned else MISSING,
                number(_mean(some, "ece"), 3),
                f"{_mean(some, 'seconds') / 60:.1f}" if tuned else MISSING,
            ]
        )  # fmt: skip
    return table(head, lines)


def _order(kind: tuple[str, int]) -> tuple[int, int]:
    """Return a sort key: arms in the order of their titles."""
    return list(ARMS).index(kind[0]), kind[1]


def _mean(rows: Sequence[RunResult], quantity: str) -> float:
    return fmean(getattr(row, quantity) for row in rows) if rows else math.nan


def _values(rows: Sequence[RunResult], quantity: str) -> str:
    """Return the mean, and in brackets the values if there are several."""
    values = [getattr(row, quantity) for row in sorted(rows, key=lambda row: (row.seed, row.split))]
    each = f" ({', '.join(f'{value:.3f}' for value in values)})" if len(values) > 1 else ""
    return f"{fmean(values):.4f}{each}"


def draw(rows: Sequence[RunResult], picture: Path) -> None:
    """Plot the Dice on other patients against corrected slices, and against minutes of training."""
    figure = Figure(figsize=(9.6, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for domain, (title, colour) in DOMAINS.items():
        some = [row for row in rows if row.domain == domain]
        queue = [row for row in some if row.arm in ("queue", "all")]
        if not queue:
            continue
        before = _mean([row for row in some if row.arm == "none"], "target")
        left.axhline(before, color=colour, linewidth=1, linestyle="--")
        points = sorted(
            (
                _mean(those, "slices"),
                _mean(those, "seconds") / 60,
                _mean(those, "target"),
            )
            for count in {row.count for row in queue}
            if (those := [row for row in queue if row.count == count])
        )
        slices, minutes, dice = zip(*points, strict=True)
        left.plot((0, *slices), (before, *dice), "o-", color=colour, label=title)
        right.plot((0, *minutes), (before, *dice), "o", color=colour)
    left.set_xlabel("corrected slices")
    right.set_xlabel("minutes of training, on a machine that did other work as well")
    left.set_ylabel("mean Dice on other patients")
    for axes in (left, right):
        axes.grid(alpha=0.3)
        hide_frame(axes)
    handles, names = left.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    save_figure(figure, picture, 130)
