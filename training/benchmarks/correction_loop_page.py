"""Write the page and the picture of the correction experiment from its tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from correction_results import RunResult
from matplotlib.figure import Figure
from page_writer import DOCS, MISSING, document, table, write_page

from flomo_training.drawing import hide_frame, save_figure

TITLES = {
    "none": "no fine-tuning",
    "norms": "batch norms adapted only",
    "weights": "fine-tuned, batch norms unchanged",
    "tuned": "fine-tuned, batch norms adapted",
    "replay": "fine-tuned, with replay of base data",
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
# Learning from corrections

Written by `training/benchmarks/correction_loop.py` from `correction_loop.csv` and
`correction_trial.csv` beside it; do not edit by hand.

`flomo-b0-acdc` was trained on 64 patients of ACDC (folds 1 to 4) and is applied to data that look
different. In the volumes of some patients, a simulated reader corrects the *k* most uncertain
slices from the reference labels, and `flomo finetune` learns from this store with the default
settings. It holds out some of these patients for early stopping, so it trains on fewer than *k*
slices. The Dice is then measured on other patients.

*Target*: mean 3-D Dice on the test patients of the target data, first over volumes, then over
structures. *Base*: the same on images of the base task that were never trained on. *Gap*: distance
of the target to the Dice named in each section; *closed* is the fraction of it that fine-tuning
recovers. *Batch norms adapted*: before training, the means and variances of the batch norms move
half way to those of the images in the store, which needs no labels (`adapt_statistics`); *batch
norms unchanged* skips this. *New network*: the same slices and steps, from random weights. One
seed."""

SECTIONS = {
    "protocol": """\
## Another protocol

The 16 patients of ACDC fold 0, blurred (sigma 1 pixel) and with another contrast (intensities to
the power 2.5). Half of the patients are corrected and the others are the test set, then vice versa
(*half 1*, *half 2*). Base: the unchanged images of the test patients; the gap is to their Dice. The
settings of fine-tuning were chosen for the same change on other patients (see *Trials*).

One rule was changed during the experiment: which component of a structure is kept
(`largest_component`). After fine-tuning with 10 to 40 slices, the model lost the left ventricle of
one volume of half 2 to a flat component beyond its base that had more voxels; now the component
that is largest in projection is kept. The fine-tuned models of half 2 were measured with this rule,
those of half 1 before it. On the trial patients, on the unchanged images and without fine-tuning
both rules keep the same components.""",
    "scanner": """\
## Half the resolution, with noise

The same patients and halves, at half the resolution and with noise of 0.05 of the intensity window.
Lost detail cannot be recovered by training.""",
    "sunnybrook": """\
## A real scanner: Sunnybrook

Three patients of another hospital, scanner and reader (CC0, Radau et al., MIDAS Journal 2009); the
left ventricle was contoured at end-diastole and end-systole, the myocardium at end-diastole only.
Each patient in turn is the test set and the slices of the other two are corrected; the right
ventricle stays as the model segmented it. Only labelled slices count. Base: ACDC fold 0. The gap is
to the Dice of the same two structures there, though contours of another reader need not reach
it.""",
}

TRIALS = """\
## Trials

How the settings were chosen: 12 patients that the model was trained on, in the changed contrast of
*Another protocol*, six of them corrected (20 slices, 16 for training), six tested. *of the way*:
weights between those of the model (0) and those after training (1), the setting `interpolation`;
for *batch norms*: statistics between those of the model and those of the corrected images, the
setting `adapt_statistics`."""


def write_results(rows: Sequence[RunResult], trials: Sequence[RunResult]) -> None:
    """Write the page and the picture beside the tables."""
    write_page(DOCS / "correction_loop.md", page(rows, trials))
    if any(row.domain == "protocol" and row.arm == "tuned" for row in rows):
        draw([row for row in rows if row.domain == "protocol"], DOCS / "correction_loop.png")


def page(rows: Sequence[RunResult], trials: Sequence[RunResult]) -> str:
    """Return the page as Markdown."""
    blocks = [INTRODUCTION]
    for domain, text in SECTIONS.items():
        some = [row for row in rows if row.domain == domain]
        splits = sorted({row.split for row in some if row.arm != "none"})
        if splits:
            blocks += [text, f"Measured so far: {', '.join(splits)}.", results_table(some)]
            if domain == "protocol":
                blocks += [
                    "![Dice after k corrected slices](correction_loop.png)",
                    "*Dots: mean of both halves; thin lines: each half.*",
                ]
    if trials:
        blocks += [TRIALS, results_table(trials)]
    hardware = "; ".join(sorted({row.hardware for row in rows}))
    return document(
        *blocks,
        f"Hardware: {hardware}; float32. Minutes: of training, on a machine that did other work at "
        "the same time; missing where the training was paused.",
    )


def results_table(rows: Sequence[RunResult]) -> str:
    """Return the table of one domain: a line for each arm and number of slices."""
    shown = {key: name for key, name in STRUCTURES.items() if not math.isnan(getattr(rows[0], key))}
    head = ["model", "slices: corrected, trained on", "target", *shown.values(), "gap", "closed",
            "base", "change", "minutes"]  # fmt: skip
    start_of = {row.split: row for row in rows if row.arm == "none"}
    lines = []
    for arm, count in sorted({(row.arm, row.slices) for row in rows}, key=_order):
        some = [row for row in rows if (row.arm, row.slices) == (arm, count)]
        starts = [start_of[row.split] for row in some]
        gap = _mean(starts, "base_same") - _mean(starts, "target")
        closed = change = minutes = MISSING
        if arm != "none":
            gain = _mean(some, "target") - _mean(starts, "target")
            closed = f"{100 * gain / gap:.0f} %"
            change = f"{_mean(some, 'base') - _mean(starts, 'base'):+.4f}"
            seconds = _mean(some, "seconds")
            minutes = f"{seconds / 60:.1f}" if seconds > 0 else MISSING
        slices = f"{count}, {_mean(some, 'learnt'):.0f}" if arm != "none" and count else MISSING
        lines.append(
            [TITLES.get(arm, arm), slices, _mean_and_values(some, "target")]
            + [f"{_mean(some, key):.3f}" for key in shown]
            + [f"{gap:.3f}", closed, _mean_and_values(some, "base"), change, minutes]
        )
    return table(head, lines)


def _order(kind: tuple[str, int]) -> tuple[int, str, int]:
    """Return a sort key: known arms first, in the order of their titles."""
    arm, count = kind
    known = list(TITLES)
    return (known.index(arm) if arm in known else len(known), arm, count)


def _mean(rows: Sequence[RunResult], quantity: str) -> float:
    return fmean(getattr(row, quantity) for row in rows)


def _mean_and_values(rows: Sequence[RunResult], quantity: str) -> str:
    """Return the mean, and in brackets the values if there are several."""
    values = [getattr(row, quantity) for row in rows]
    each = f" ({', '.join(f'{value:.3f}' for value in values)})" if len(values) > 1 else ""
    return f"{fmean(values):.4f}{each}"


def draw(rows: Sequence[RunResult], picture: Path) -> None:
    """Plot the change of the Dice on target and base against the number of corrected slices.

    Thin lines are the halves of the patients, dots their means. A new network is far below and not
    drawn.
    """
    figure = Figure(figsize=(9.6, 4.4), layout="constrained")
    before = {row.split: row for row in rows if row.arm == "none"}
    gap = _mean(list(before.values()), "base_same") - _mean(list(before.values()), "target")
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
                split: {
                    row.slices: getattr(row, quantity) - getattr(start, quantity)
                    for row in sorted(rows, key=lambda row: row.slices)
                    if (row.arm, row.split) == (arm, split)
                }
                for split, start in before.items()
            }
            for changes in moved.values():
                axes.plot(changes.keys(), changes.values(), ".-", color=colour, alpha=0.4)
            everywhere = sorted(set.intersection(*(set(changes) for changes in moved.values())))
            means = [fmean(changes[count] for changes in moved.values()) for count in everywhere]
            if any(moved.values()):  # also in the legend if the halves share no count
                axes.plot(everywhere, means, "o", color=colour, label=TITLES[arm])
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("corrected slices")
        axes.set_ylabel("change of the mean Dice")
        axes.grid(alpha=0.3)
        hide_frame(axes)
    handles, names = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    save_figure(figure, picture, 130)
