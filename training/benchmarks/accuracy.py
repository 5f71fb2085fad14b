"""Write ``docs/benchmarks/accuracy.md`` from the tables of cases beside it.

    python training/benchmarks/accuracy.py                  write the page again
    python training/benchmarks/accuracy.py RUN [RUN ...]    add finished runs first
    python training/benchmarks/accuracy.py --mirrored MODEL --data DIR
                                                            first measure with mirrored views

The ``cases.csv`` of a run folder (of ``flomo train``, or a fold of ``flomo crossval``) and the
training facts in its ``report.json`` are copied beside the page. All figures are computed from
these copies.
"""

from __future__ import annotations

import csv
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple
from functools import partial
from pathlib import Path
from typing import Any

from accuracy_test_set import test_set_section
from page_writer import (
    DOCS,
    MISSING,
    document,
    interval,
    number,
    parser_of,
    table,
    table_of,
    write_page,
)

from flomo_training.consistency import DiceIouPair, check_pairs
from flomo_training.results import (
    Difference,
    FoldResult,
    ModelResults,
    compare_views,
    compare_with_baselines,
    evaluate_mirrored,
    read_results,
    save_run,
)
from flomo_training.summary import are_images, figures
from napari_flomo.errors import FlomoError
from napari_flomo.segmentation import Segmenter

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
seen in training. *Flavour* distinguishes the published configuration of FLoMo-Net (`paper`) from
our own (`best`). Brackets are 95 % bootstrap intervals over patients: they show how much a figure
depends on which patients are in the fold, not how it would change with other scanners or diseases.
*Views*: the network sees each slice once (`plain`, the default), or the slice and its three mirror
images, whose predictions are averaged (`mirrored`, `flomo segment --mirrored`, four times as slow;
the default of nnU-Net). `-again` in a name: the same recipe and seed once more on another
processor, which rounds sums differently; the difference shows how little the last digits of a
single run mean."""


def page(
    series: Sequence[ModelResults],
    published: Sequence[Mapping[str, str]],
    test_set: Sequence[str] = (),
) -> str:
    """Return the page as Markdown; ``test_set`` holds the blocks on the official test set."""
    data_sets = dict.fromkeys(one.facts["data"] for one in series)
    blocks = [
        block
        for data in data_sets
        for block in data_set(data, [one for one in series if one.facts["data"] == data])
    ]
    return document(INTRODUCTION, *test_set, *blocks, published_figures(published))


def data_set(data: str, series: Sequence[ModelResults]) -> list[str]:
    """Return the blocks of one data set: models, structures, ventricles, differences."""
    images = are_images(series[0].rows)
    summaries = {one.name: figures(one.rows) for one in series}
    first = next(iter(summaries.values()))
    blocks = [
        f"## {TITLES.get(data, data)}",
        overview(series, summaries, images=images),
        "### By structure" + (" and phase" if not images else ""),
        structures(summaries),
    ]
    if any(summary.get("ventricles") for summary in summaries.values()):
        blocks += [
            "### Ventricles",
            ventricles(summaries),
            "Bias: mean of (result - reference) over patients, positive if the result is too "
            "large; limits of agreement: bias ± 1.96 standard deviations (Bland and Altman). "
            "Differences of EF are in percentage points. *labels*: volumes counted in the "
            "reference labels; *listed*: volumes in the data set's own table.",
        ]
    blocks += ["### Compared with the baselines", compared_with_baselines(series, images=images)]
    if views := compare_views(series):
        shown = differences(views, ("mirrored", "plain"), images=images)
        blocks += ["### Effect of mirrored views", shown]
    blocks.append(f"Protocol: {first['protocol']}.")
    if not images:
        blocks.append(f"Slice-wise Dice: {first['slice_mean_dice']['protocol']}.")
    return blocks + [
        f"**Warning:** {name}: {contradiction}."
        for name, summary in summaries.items()
        for contradiction in summary["impossible_pairs"]
    ]


def overview(
    series: Sequence[ModelResults], summaries: Mapping[str, dict[str, Any]], *, images: bool
) -> str:
    """Return the table of all models, a line for each fold and one for all folds together."""
    lines: list[tuple[ModelResults, FoldResult, dict[str, Any], str]] = []
    for one in series:
        lines += [(one, r, figures(r.rows), str(r.fold)) for r in one.results]
        if len(one.results) > 1:
            lines.append((one, one.results[0], summaries[one.name], f"all {len(one.results)}"))
    columns: dict[str, Callable[[Any], object]] = {
        "model": lambda line: f"`{line[0].name}`",
        "network": lambda line: line[1].facts["network"],
        "flavour": lambda line: line[1].facts["flavour"],
        "views": lambda line: line[0].views,
        "fold": lambda line: line[3],
    }
    if images:
        columns["images"] = lambda line: line[2]["images"]
    else:
        columns["volumes (patients)"] = lambda line: f"{line[2]['volumes']} ({line[2]['patients']})"
    for metric in ("dice", "iou") if images else ("dice", "hd95_mm", "nsd"):
        columns[NAMES[metric]] = partial(_overall, metric)
    if images:
        columns["missed / false alarms"] = lambda line: (
            f"{line[2]['missed']} / {line[2]['false_alarms']}"
        )
    else:
        columns["slice-wise Dice"] = lambda line: shown(line[2]["slice_mean_dice"]["value"], "dice")
    columns |= {
        "seed": lambda line: line[1].facts["seed"],
        "budget": lambda line: budget(line[0], line[1], all_folds=line[3].startswith("all")),
        "hardware": lambda line: line[1].facts.get("hardware", MISSING),
    }
    return table_of(lines, columns)


def structures(summaries: Mapping[str, dict[str, Any]]) -> str:
    """Return the table of structures: Dice with its interval, and the other metrics."""
    first = next(iter(summaries.values()))
    others = ["iou"] if "images" in first else ["hd95_mm", "nsd"]
    phases = list(next(iter(first["dice"].values())))
    lines = [
        [f"`{name}`", structure]
        + [
            with_interval(cells[phase], summary["intervals_95"]["dice"][structure][phase], "dice")
            for phase in phases
        ]
        + [shown(summary[m][structure][phase], m) for m in others for phase in phases]
        for name, summary in summaries.items()
        for structure, cells in summary["dice"].items()
    ]
    head = ["model", "structure"]
    for metric in ("dice", *others):
        head += [NAMES[metric] + (f", {phase}" if len(phases) > 1 else "") for phase in phases]
    return table(head, lines)


def ventricles(summaries: Mapping[str, dict[str, Any]]) -> str:
    """Return the table of EDV, ESV and EF: bias and limits of agreement."""
    lines = []
    for name, summary in summaries.items():
        for ventricle, quantities in summary["ventricles"].items():
            for quantity, found in quantities.items():
                listed = summary["ventricles_listed"].get(ventricle, {}).get(quantity)
                against = {"labels": agreement_cells(found)}
                if listed is not None:
                    against["listed"] = agreement_cells(listed)
                    if against["labels"] == against["listed"]:
                        against = {"labels and listed": against["labels"]}
                lines += [
                    [f"`{name}`", ventricle, quantity, reference, *cells]
                    for reference, cells in against.items()
                ]
    head = ["model", "ventricle", "", "reference", "patients", "bias", "limits of agreement"]
    return table(head, lines)


def agreement_cells(found: Mapping[str, Any]) -> list[str]:
    """Return patients, bias with its interval and limits of agreement of one quantity."""
    bias, low, high = (
        number(value, 1, signed=True) for value in (found["bias"], *found["interval_95"])
    )
    lower, upper = (number(value, 1, signed=True) for value in found["limits"])
    return [
        str(found["patients"]),
        f"{bias} {found['unit']}" + ("" if low == MISSING else f" ({low} to {high})"),
        MISSING if lower == MISSING else f"{lower} to {upper}",
    ]


def compared_with_baselines(series: Sequence[ModelResults], *, images: bool) -> str:
    """Return the table of models minus baselines on the same patients, or groups of images."""
    found = compare_with_baselines(series)
    units = "groups of images" if images else "patients"
    if not found:
        return f"No baseline has been measured on the same {units} yet."
    return (
        differences(found, ("model", "baseline"), images=images)
        + f"\n\nModel minus baseline on the same {units}; the bootstrap resamples {units} for both "
        "together, and a single one has no interval. An interval that contains 0 shows no "
        "difference. The budgets are in the first table."
    )


def differences(pairs: Sequence[Difference], sides: tuple[str, str], *, images: bool) -> str:
    """Return the table of one model minus another on the same patients, or groups of images."""
    columns: dict[str, str | Callable[[Any], object]] = {
        sides[0]: "`{0.model}`",
        sides[1]: "`{0.baseline}`",
        "folds": lambda pair: ", ".join(map(str, pair.folds)),
        "groups" if images else "patients": "{0.patients}",
    }
    for metric in ("dice", "iou") if images else ("dice", "hd95_mm", "nsd"):
        columns[NAMES[metric]] = partial(_change, metric)
    return table_of(pairs, columns)


def _overall(metric: str, line: tuple[ModelResults, FoldResult, dict[str, Any], str]) -> str:
    summary = line[2]
    bounds = summary["intervals_95"][metric]["mean"]
    return with_interval(summary[f"mean_{metric}"], bounds, metric)


def _change(metric: str, pair: Difference) -> str:
    if metric not in pair.figures:
        return MISSING
    return interval(astuple(pair.figures[metric]), DIGITS[metric], signed=True)


def published_figures(rows: Sequence[Mapping[str, str]]) -> str:
    """Return the figures of publications, with a check of pairs of Dice and IoU."""
    if not rows:
        return ""
    pairs = [
        DiceIouPair(f"{row['source']}, {row['data']}", float(row["dice"]), float(row["iou"]), 0.01)
        for row in rows
    ]
    limits = {fault.pair.name: fault.largest_dice for fault in check_pairs(pairs, percent=True)}
    lines = []
    for row, pair in zip(rows, pairs, strict=True):
        limit = limits.get(pair.name)
        possible = "yes" if limit is None else f"no: at most {limit:.2f} with this IoU"
        where = TITLES.get(row["data"], row["data"]).partition(":")[0]
        lines.append([where, row["network"], row["dice"], row["iou"], possible, row["source"]])
    head = ["data", "network", "Dice %", "IoU %", "possible together", "source"]
    return document(
        "## Published figures",
        "Figures of others, as printed; splits, training code and averaging are not given, so they "
        "cannot be compared with the tables above. The mean Dice cannot exceed 2 IoU / (1 + IoU) "
        "if both are means over the same images.",
        table(head, lines),
    )


def budget(series: ModelResults, result: FoldResult, *, all_folds: bool) -> str:
    """Return what a training took; for all folds together the hours add up."""
    facts = result.facts
    parts = []
    if (epochs := facts.get("epochs")) is not None:
        slices = facts.get("slices")
        parts.append(f"{epochs} epochs" + (f" of {slices} slices" if slices else ""))
    results = series.results if all_folds else [result]
    hours = [float(one.facts.get("training_hours", math.nan)) for one in results]
    if not math.isnan(sum(hours)):
        parts.append(f"{sum(hours):.3g} h")
    if facts.get("start_from"):
        parts.append(f"from `{Path(str(facts['start_from'])).name}`")
    return ", ".join(parts) or MISSING


def shown(value: float | None, metric: str) -> str:
    """Return a value with the digits of its metric."""
    return number(value, DIGITS[metric])


def with_interval(value: float | None, bounds: Sequence[float | None], metric: str) -> str:
    """Return a value and its interval with the digits of their metric."""
    return interval([value, *bounds], DIGITS[metric])


def read_published(path: Path) -> list[dict[str, str]]:
    """Read the table of published figures; return nothing if there is none."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def main(arguments: Sequence[str] | None = None) -> int:
    """Add runs, then write the page."""
    parser = parser_of(__doc__)
    parser.add_argument("runs", metavar="RUN", nargs="*", type=Path, help="finished run folder")
    parser.add_argument("--name", help="name of the model on the page (default: its own)")
    parser.add_argument("--replace", action="store_true", help="replace figures of other weights")
    parser.add_argument(
        "--mirrored", metavar="MODEL", help="also measure this model with mirrored views"
    )
    parser.add_argument("--fold", type=int, default=0, help="fold for --mirrored (%(default)s)")
    parser.add_argument("--data", metavar="DIR", type=Path, help="prepared data for --mirrored")
    parser.add_argument(
        "--folder", type=Path, default=DOCS, help="of the tables and the page (%(default)s)"
    )
    options = parser.parse_args(arguments)
    if options.mirrored and not options.data:
        parser.error("--mirrored needs --data")
    try:
        for run in options.runs:
            save_run(run, options.folder, options.name, replace=options.replace)
        if options.mirrored:
            segmenter = Segmenter.from_pretrained(options.mirrored)
            kept = f"{options.name or segmenter.card.name}-fold{options.fold}.csv"
            plain = options.folder / kept
            evaluate_mirrored(plain, segmenter, options.data, replace=options.replace)
        text = page(
            read_results(options.folder),
            read_published(options.folder / PUBLISHED),
            test_set_section(options.folder),
        )
        write_page(options.folder / PAGE, text)
    except FlomoError as error:
        print(f"accuracy: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
