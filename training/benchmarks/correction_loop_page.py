"""The page and the picture of the correction experiment, from its tables and nothing else."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from napari_flomo.files import atomic_write

if TYPE_CHECKING:
    from correction_loop import Row

TITLES = {
    "none": "no fine-tuning",
    "norms": "norms half adapted, nothing learnt",
    "weights": "fine-tuned, norms as they were",
    "tuned": "fine-tuned, norms half adapted",
    "replay": "fine-tuned, with base data at hand",
    "scratch": "new network, same slices",
}
COLOURS = {
    "norms": "#a855f7",
    "weights": "#f97316",
    "tuned": "#2563eb",
    "replay": "#16a34a",
}
STRUCTURES = {"target_rv": "RV", "target_myocardium": "myocardium", "target_lv": "LV"}

INTRODUCTION = """\
# What corrections teach

Written by `training/benchmarks/correction_loop.py` from `correction_loop.csv` and
`correction_trial.csv` beside it; do not edit by hand.

`flomo-b0-acdc` has learnt from 64 patients of ACDC (folds 1 to 4) and meets data that look
different. On the volumes of some patients it marks its most uncertain slices, a simulated reader
corrects the first *k* of them from the reference labels, and `flomo finetune` learns from that
store with the settings of the package. It keeps a share of the patients out of training by itself,
to know when to stop, so of *k* corrected slices only a part is learnt from. Then the Dice is
measured on other patients.

*Target*: mean 3-D Dice on the test patients of the target data, first over volumes, then over
structures. *Base*: the same on images of the base task that were never learnt from. *Gap*: how far
the target lies below what is named in each section; *closed* is the share of it that fine-tuning
regains. *Norms half adapted*: before anything is learnt, the means and variances of the batch norms
go half way to those of the images in the store, for which no label is needed (`adapt_statistics`);
*norms as they were* leaves that out. *New network*: the same slices and steps, from random weights.
One seed."""

SECTIONS = {
    "protocol": """\
## Another protocol

The 16 patients of ACDC fold 0, blurred (sigma 1 pixel) and in another contrast (intensities to the
power 2.5). Half of the patients are corrected, the others are the test, and the other way round
(*half 1*, *half 2*). Base: the unchanged images of the test patients; the gap is to their Dice. The
settings of fine-tuning were chosen for the same change, on other patients (see *Trials*).

One thing was not: which piece of a structure is kept (`largest_component`). Tuned with 10 to 40
slices, the model lost the left ventricle of one volume of half 2 to a flat piece beyond its base
that had more voxels, so the largest as seen from the side is kept now. The tuned models of half 2
were measured with this rule, those of half 1 before it. On the trial patients, on the unchanged
images and without fine-tuning both rules keep the same pieces.""",
    "scanner": """\
## Half the resolution, with noise

The same patients and halves, at half the resolution and with noise of 0.05 of the intensity window.
Detail that is gone cannot be learnt back.""",
    "sunnybrook": """\
## A real scanner: Sunnybrook

Three patients of another hospital, scanner and reader (CC0, Radau et al., MIDAS Journal 2009),
whose left ventricle was drawn at end-diastole and end-systole, the myocardium at end-diastole only.
Each patient in turn is the test, the slices of the other two are corrected; the right ventricle
stays as the model drew it. Only labelled slices count. Base: ACDC fold 0. The gap is to the Dice of
the same two structures there, though another reader's contours need not reach it.""",
}

TRIALS = """\
## Trials

How the settings were chosen: 12 patients that the model has learnt from, in the changed contrast of
*Another protocol*, six of them corrected (20 slices, 16 learnt from), six tested. *of the way*:
weights between those of the model (0) and those that were learnt (1), the setting
`interpolation`; of *norms*: statistics between those of the model and those of the corrected
images, the setting `adapt_statistics`."""


def write_page(rows: Sequence[Row], trials: Sequence[Row]) -> None:
    """Write page and picture beside the tables."""
    from correction_loop import DOCS

    with atomic_write(DOCS / "correction_loop.md") as temporary:
        temporary.write_text(page(rows, trials), encoding="utf-8")
    if any(row.domain == "protocol" and row.arm == "tuned" for row in rows):
        draw([row for row in rows if row.domain == "protocol"], DOCS / "correction_loop.png")


def page(rows: Sequence[Row], trials: Sequence[Row]) -> str:
    """Return the page as Markdown."""
    parts = [INTRODUCTION]
    for domain, text in SECTIONS.items():
        some = [row for row in rows if row.domain == domain]
        if any(row.arm != "none" for row in some):
            splits = sorted({row.question for row in some if row.arm != "none"})
            parts += [text, f"Measured so far: {', '.join(splits)}.", table(some)]
            if domain == "protocol":
                parts += [
                    "![Dice after k corrected slices](correction_loop.png)",
                    "*Dots: mean of both halves; thin lines: each half.*",
                ]
    if trials:
        parts += [TRIALS, table(trials)]
    hardware = sorted({row.hardware for row in rows})
    parts.append(
        f"Hardware: {'; '.join(hardware)}; float32. Minutes are those of training, on a machine "
        "that did other work beside it; none where the training was paused meanwhile."
    )
    return "\n\n".join(parts) + "\n"


def table(rows: Sequence[Row]) -> str:
    """Return the table of one domain."""
    shown = {key: name for key, name in STRUCTURES.items() if not math.isnan(getattr(rows[0], key))}
    columns = ["model", "slices: corrected, learnt", "target", *shown.values()]
    columns += ["gap", "closed", "base", "change", "minutes"]
    lines = [line(columns), "| --- " * len(columns) + "|"]
    before = {row.question: row for row in rows if row.arm == "none"}
    for arm, count in sorted({(row.arm, row.slices) for row in rows}, key=rank):
        some = [row for row in rows if (row.arm, row.slices) == (arm, count)]
        starts = [before[row.question] for row in some]
        gap = mean(starts, "base_same") - mean(starts, "target")
        learnt = "–" if arm == "none" or not count else f"{count}, {mean(some, 'learnt'):.0f}"
        cells = [TITLES.get(arm, arm), learnt, spread(some, "target")]
        cells += [f"{mean(some, key):.3f}" for key in shown]
        minutes = mean(some, "seconds") / 60
        if arm == "none":
            cells += [f"{gap:.3f}", "–", spread(some, "base"), "–", "–"]
        else:
            gained = mean(some, "target") - mean(starts, "target")
            change = mean(some, "base") - mean(starts, "base")
            cells += [f"{gap:.3f}", f"{100 * gained / gap:.0f} %", spread(some, "base")]
            cells += [f"{change:+.4f}", f"{minutes:.1f}" if minutes > 0 else "–"]
        lines.append(line(cells))
    return "\n".join(lines)


def rank(kind: tuple[str, int]) -> tuple[int, str, int]:
    """Return the place of a row in a table: the known ways first, in the order of their titles."""
    arm, count = kind
    known = list(TITLES)
    return (known.index(arm) if arm in known else len(known), arm, count)


def mean(rows: Sequence[Row], quantity: str) -> float:
    """Return the mean of a column."""
    return fmean(getattr(row, quantity) for row in rows)


def spread(rows: Sequence[Row], quantity: str) -> str:
    """Return a mean, and of several values each."""
    values = [getattr(row, quantity) for row in rows]
    each = f" ({', '.join(f'{value:.3f}' for value in values)})" if len(values) > 1 else ""
    return f"{fmean(values):.4f}{each}"


def line(cells: Sequence[str]) -> str:
    """Return a row of a table."""
    return f"| {' | '.join(cells)} |"


def draw(rows: Sequence[Row], picture: Path) -> None:
    """Draw how far the Dice on target and base moves with the number of corrected slices.

    Each half of the patients is a thin line; a dot is the mean of the halves. A new network lies
    far below.
    """
    figure = Figure(figsize=(9.6, 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    before = {row.question: row for row in rows if row.arm == "none"}
    gap = mean(list(before.values()), "base_same") - mean(list(before.values()), "target")
    for axes, quantity, title in zip(
        figure.subplots(1, 2),
        ("target", "base"),
        ("target: fold 0 in another contrast", "base: the same patients, unchanged"),
        strict=True,
    ):
        axes.axhline(0, color="black", linewidth=1, linestyle="--", label=TITLES["none"])
        if quantity == "target":
            axes.axhline(gap, color="#f59e0b", linewidth=1, label="unchanged images")
            axes.axhline(gap / 3, color="#f59e0b", linewidth=1, linestyle=":",
                         label="a third of the gap")  # fmt: skip
        for arm, colour in COLOURS.items():
            moved = {
                question: {
                    row.slices: getattr(row, quantity) - getattr(start, quantity)
                    for row in sorted(rows, key=lambda row: row.slices)
                    if (row.arm, row.question) == (arm, question)
                }
                for question, start in before.items()
            }
            for changes in moved.values():
                axes.plot(changes.keys(), changes.values(), ".-", color=colour, alpha=0.4)
            everywhere = sorted(set.intersection(*(set(changes) for changes in moved.values())))
            means = [fmean(changes[count] for changes in moved.values()) for count in everywhere]
            if any(moved.values()):  # an arm without a mean has its colour explained, too
                axes.plot(everywhere, means, "o", color=colour, label=TITLES[arm])
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("corrected slices")
        axes.set_ylabel("change of the mean Dice")
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    handles, names = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    with atomic_write(picture) as temporary, temporary.open("wb") as file:
        figure.savefig(file, format="png", dpi=130)
