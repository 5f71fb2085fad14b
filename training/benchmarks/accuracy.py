"""The page of the docs on how accurate the models are, from tables of cases and nothing else.

    python training/benchmarks/accuracy.py                  write the page anew
    python training/benchmarks/accuracy.py RUN [RUN ...]    take in finished runs first
    python training/benchmarks/accuracy.py --mirrored MODEL --data DIR
                                                            measure one with mirrored views first

A run folder (of ``flomo train``, or a fold of ``flomo crossval``) gives its ``cases.csv`` and what
``report.json`` says of the training. Both are kept beside the page; every figure of the page is
computed from them.
"""

from __future__ import annotations

import argparse
import csv
import math
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from accuracy_test_set import test_set_section

from flomo_training.bootstrap import Estimate
from flomo_training.consistency import FigurePair, check_pairs
from flomo_training.results import (
    Difference,
    Result,
    Series,
    compare_views,
    compare_with_baselines,
    keep_mirrored,
    keep_run,
    read_results,
)
from flomo_training.summary import are_images, figures
from napari_flomo.errors import FlomoError
from napari_flomo.files import atomic_write
from napari_flomo.segmentation import Segmenter

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "benchmarks"
PAGE = "accuracy.md"
PUBLISHED = "published.csv"

TITLES = {
    "acdc": "ACDC: short-axis cine MRI of the heart",
    "busi": "BUSI: ultrasound of the breast",
    "cvc_clinicdb": "CVC-ClinicDB: polyps in colonoscopy",
    "montgomery": "Montgomery: lungs in chest X-rays",
}
DIGITS = {"dice": 4, "iou": 4, "nsd": 4, "hd95_mm": 2}
NAMES = {"dice": "Dice", "iou": "IoU", "hd95_mm": "HD95 mm", "nsd": "surface Dice"}

INTRODUCTION = """\
# Accuracy

Written by `training/benchmarks/accuracy.py` from the tables of cases beside it; do not edit by
hand.

Validation is always grouped: no patient (block of video, cluster of near duplicates) of a fold was
seen in training. *Flavour* tells the published configuration of FLoMo-Net (`paper`) from our own
(`best`). Brackets are 95 % intervals by bootstrap over patients: they tell how much the figure
depends on who happened to be in the fold, not how other scanners or diseases would fare. *Views*
tells whether the network saw each slice once (`plain`, what happens where nobody asks for more), or
the slice and its three mirror images, of whose answers the mean counts (`mirrored`, `flomo segment
--mirrored`, four times as long; nnU-Net does so by default). `-again` in a name: the same recipe
and seed once more on another processor, where sums are rounded otherwise; the distance tells how
little the last digits of a single run mean."""


def page(
    series: Sequence[Series],
    published: Sequence[dict[str, str]],
    test_set: Sequence[str] = (),
) -> str:
    """Return the page as Markdown; ``test_set`` holds the blocks on the official test set."""
    blocks = [INTRODUCTION, *test_set]
    for data in dict.fromkeys(one.facts["data"] for one in series):
        blocks += data_set(data, [one for one in series if one.facts["data"] == data])
    blocks += published_figures(published)
    return "\n\n".join(blocks) + "\n"


def data_set(data: str, series: Sequence[Series]) -> list[str]:
    """Return the blocks of one data set: models, structures, ventricles, differences."""
    images = are_images(series[0].rows)
    told = {one.name: figures(one.rows) for one in series}
    blocks = [f"## {TITLES.get(data, data)}", overview(series, told, images=images)]
    blocks.append("### By structure" + (" and phase" if not images else ""))
    blocks.append(structures(told))
    if any(figure.get("ventricles") for figure in told.values()):
        blocks += ["### Ventricles", ventricles(told)]
        blocks.append(
            "Bias: mean of (result - reference) over patients, positive when the result is too "
            "large; limits of agreement: bias ± 1.96 standard deviations (Bland and Altman). EF "
            "differs in percentage points. *Labels*: volumes counted in the reference labels; "
            "*listed*: those that the data set's own table states."
        )
    blocks += ["### Beside the baseline", beside_baselines(series, images=images)]
    if views := compare_views(series):
        found = differences(views, ("mirrored", "plain"), images=images)
        blocks += ["### What mirrored views give", found]
    blocks.append(f"How it is measured: {next(iter(told.values()))['protocol']}.")
    if not images:
        protocol = next(iter(told.values()))["slice_mean_dice"]["protocol"]
        blocks.append(f"Slice-wise Dice: {protocol}.")
    blocks += [
        f"**Warning:** {name}: {fault}."
        for name, figure in told.items()
        for fault in figure["impossible_pairs"]
    ]
    return blocks


def overview(series: Sequence[Series], told: dict[str, dict[str, Any]], *, images: bool) -> str:
    """Return the table of all models, a line for each fold and one for all folds together."""
    metrics = ["dice", "iou"] if images else ["dice", "hd95_mm", "nsd"]
    head = [
        "model",
        "network",
        "flavour",
        "views",
        "fold",
        "images" if images else "volumes (patients)",
    ]
    head += [NAMES[metric] for metric in metrics]
    head += ["missed / false alarms"] if images else ["slice-wise Dice"]
    head += ["seed", "budget", "hardware"]
    lines = []
    for one in series:
        parts: list[tuple[Result, dict[str, Any], str]] = [
            (result, figures(result.rows), str(result.fold)) for result in one.results
        ]
        if len(parts) > 1:
            parts.append((one.results[0], told[one.name], f"all {len(one.results)}"))
        for result, figure, fold in parts:
            facts, whole = result.facts, fold.startswith("all")
            size = (
                str(figure["images"]) if images else f"{figure['volumes']} ({figure['patients']})"
            )
            last = (
                f"{figure['missed']} / {figure['false_alarms']}"
                if images
                else shown(figure["slice_mean_dice"]["value"], "dice")
            )
            lines.append(
                [f"`{one.name}`", facts["network"], facts["flavour"], one.views, fold, size]
                + [
                    ranged(figure[f"mean_{metric}"], figure["intervals_95"][metric]["mean"], metric)
                    for metric in metrics
                ]
                + [last, str(facts["seed"]), budget(one, result, whole=whole)]
                + [str(facts.get("hardware", "–"))]
            )
    return table(head, lines)


def structures(told: dict[str, dict[str, Any]]) -> str:
    """Return the table of structures: Dice with its interval, and the other metrics."""
    first = next(iter(told.values()))
    others = ["iou"] if "images" in first else ["hd95_mm", "nsd"]
    phases = list(next(iter(first["dice"].values())))
    lines = [
        [f"`{name}`", structure]
        + [
            ranged(cells[phase], figure["intervals_95"]["dice"][structure][phase], "dice")
            for phase in phases
        ]
        + [shown(figure[metric][structure][phase], metric) for metric in others for phase in phases]
        for name, figure in told.items()
        for structure, cells in figure["dice"].items()
    ]
    head = ["model", "structure"]
    for metric in ("dice", *others):
        head += [NAMES[metric] + (f", {phase}" if len(phases) > 1 else "") for phase in phases]
    return table(head, lines)


def ventricles(told: dict[str, dict[str, Any]]) -> str:
    """Return the table of EDV, ESV and EF: bias and limits of agreement."""
    lines = []
    for name, figure in told.items():
        for ventricle, quantities in figure["ventricles"].items():
            for quantity, found in quantities.items():
                listed = figure["ventricles_listed"].get(ventricle, {}).get(quantity)
                counted = agreement_cells(found)
                line = [f"`{name}`", ventricle, quantity]
                if listed is None:
                    lines.append([*line, "labels", *counted])
                elif agreement_cells(listed) == counted:
                    lines.append([*line, "labels and listed", *counted])
                else:
                    lines.append([*line, "labels", *counted])
                    lines.append([*line, "listed", *agreement_cells(listed)])
    head = ["model", "ventricle", "", "reference", "patients", "bias", "limits of agreement"]
    return table(head, lines)


def agreement_cells(found: dict[str, Any]) -> list[str]:
    """Return patients, bias with its interval and limits of agreement of one quantity."""
    (low, high), (lower, upper) = found["interval_95"], found["limits"]
    bias = f"{found['bias']:+.1f} {found['unit']}"
    if low is not None:
        bias += f" ({low:+.1f} to {high:+.1f})"
    limits = "–" if lower is None else f"{lower:+.1f} to {upper:+.1f}"
    return [str(found["patients"]), bias, limits]


def beside_baselines(series: Sequence[Series], *, images: bool) -> str:
    """Return the table of models minus baselines on the same patients, or groups of images."""
    found = compare_with_baselines(series)
    units = "groups of images" if images else "patients"
    if not found:
        return f"No baseline was measured on the same {units} yet."
    return (
        differences(found, ("model", "baseline"), images=images)
        + f"\n\nModel minus baseline on the same {units}; the interval draws {units} for both "
        "together, and a single one has none. An interval that holds 0 shows no difference. "
        "Budgets stand in the first table."
    )


def differences(pairs: Sequence[Difference], what: tuple[str, str], *, images: bool) -> str:
    """Return the table of one thing minus another on the same patients, or groups of images."""
    columns = ("dice", "iou") if images else ("dice", "hd95_mm", "nsd")
    lines = []
    for found in pairs:
        metrics = {
            metric: signed(found.figures[metric], metric) if metric in found.figures else "–"
            for metric in columns
        }
        folds = ", ".join(map(str, found.folds))
        names = [f"`{found.model}`", f"`{found.baseline}`"]
        lines.append([*names, folds, str(found.patients), *metrics.values()])
    units = "groups" if images else "patients"
    return table([*what, "folds", units, *(NAMES[metric] for metric in columns)], lines)


def published_figures(rows: Sequence[dict[str, str]]) -> list[str]:
    """Return what others print, with the pairs that cannot be."""
    if not rows:
        return []
    pairs = [
        FigurePair(f"{row['source']}, {row['data']}", float(row["dice"]), float(row["iou"]), 0.01)
        for row in rows
    ]
    limits = {fault.pair.name: fault.largest_dice for fault in check_pairs(pairs, percent=True)}
    lines = []
    for row, pair in zip(rows, pairs, strict=True):
        limit = limits.get(pair.name)
        verdict = "yes" if limit is None else f"no: at most {limit:.2f} beside this IoU"
        where = TITLES.get(row["data"], row["data"]).partition(":")[0]
        lines.append([where, row["network"], row["dice"], row["iou"], verdict, row["source"]])
    head = ["data", "network", "Dice %", "IoU %", "possible together", "source"]
    return [
        "## What is published",
        "Figures of others, as printed; splits, code of the training and averaging are not given, "
        "so they are no yardstick for the tables above. Mean Dice cannot exceed 2 IoU / (1 + IoU) "
        "when both are means over the same images; where it does, they are not.",
        table(head, lines),
    ]


def budget(series: Series, result: Result, *, whole: bool) -> str:
    """Return what a training took; of all folds together the hours add up."""
    facts = result.facts
    parts = []
    if (epochs := facts.get("epochs")) is not None:
        slices = facts.get("slices")
        parts.append(f"{epochs} epochs" + (f" of {slices} slices" if slices else ""))
    hours = [one.facts.get("training_hours") for one in (series.results if whole else [result])]
    if all(hour is not None for hour in hours):
        parts.append(f"{sum(float(hour) for hour in hours if hour is not None):.3g} h")
    if facts.get("start_from"):
        parts.append(f"from `{Path(str(facts['start_from'])).name}`")
    return ", ".join(parts) or "–"


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def shown(value: float | None, metric: str) -> str:
    """Return a figure, or a dash for one that was not measured."""
    return "–" if value is None else f"{value:.{DIGITS[metric]}f}"


def ranged(value: float | None, bounds: Sequence[float | None], metric: str) -> str:
    """Return a figure with its interval."""
    low, high = bounds
    if low is None or high is None:
        return shown(value, metric)
    return f"{shown(value, metric)} ({shown(low, metric)} to {shown(high, metric)})"


def signed(found: Estimate, metric: str) -> str:
    """Return a difference with its interval."""
    digits = DIGITS[metric]
    if math.isnan(found.low):
        return f"{found.value:+.{digits}f}"
    bounds = f"{found.low:+.{digits}f} to {found.high:+.{digits}f}"
    return f"{found.value:+.{digits}f} ({bounds})"


def read_published(path: Path) -> list[dict[str, str]]:
    """Read the table of what others print; none is no error."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def main(arguments: Sequence[str] | None = None) -> int:
    """Take in runs, write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("runs", metavar="RUN", nargs="*", type=Path, help="finished run folder")
    parser.add_argument("--name", help="what to call the model (default: its own name)")
    parser.add_argument("--replace", action="store_true", help="replace figures of other weights")
    parser.add_argument(
        "--mirrored", metavar="MODEL", help="name or folder of a model whose run is taken in"
    )
    parser.add_argument("--fold", type=int, default=0, help="that --mirrored is measured on")
    parser.add_argument("--data", metavar="DIR", type=Path, help="prepared data for --mirrored")
    parser.add_argument(
        "--folder", type=Path, default=FOLDER, help="of the tables and the page (%(default)s)"
    )
    options = parser.parse_args(arguments)
    if options.mirrored and not options.data:
        parser.error("--mirrored needs --data")
    try:
        for run in options.runs:
            keep_run(run, options.folder, options.name, replace=options.replace)
        if options.mirrored:
            segmenter = Segmenter.from_pretrained(options.mirrored)
            kept = f"{options.name or segmenter.card.name}-fold{options.fold}.csv"
            plain = options.folder / kept
            keep_mirrored(plain, segmenter, options.data, replace=options.replace)
        text = page(
            read_results(options.folder),
            read_published(options.folder / PUBLISHED),
            test_set_section(options.folder, table, ranged),
        )
        with atomic_write(options.folder / PAGE) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except FlomoError as error:
        print(f"accuracy: {error}", file=sys.stderr)
        return 2
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
