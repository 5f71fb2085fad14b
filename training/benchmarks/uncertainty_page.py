"""Write ``docs/benchmarks/uncertainty.md`` from the figures in ``uncertainty.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from page_writer import (
    MISSING,
    Columns,
    document,
    interval,
    number,
    percent,
    points,
    table,
    table_of,
)

from flomo_training.uncertainty.measurement import BASELINE_ORDERS, SCORES
from flomo_training.uncertainty.report import REVIEW_ORDER
from napari_flomo.segmentation import MAPS

Figures = Mapping[str, Any]

OTHER_ORDERS = {
    "tta_entropy, mutual_information, variance": "this map summed over the plausible pixels, with "
    "eight passes",
    "network_...": "the same; pixel by pixel these maps hardly predict errors, so the sum is "
    "probably little more than the plausible area",
    "oracle": "knows the errors",
}
RELIABILITY = {"ece": "ECE", "adaptive_ece": "adaptive ECE", "brier": "Brier score"}
TARGETS = {"ece": 0.03, "auroc": 0.85, "found": 0.5}

INTRODUCTION = """\
# Uncertainty

Written by `training/benchmarks/uncertainty.py` from `uncertainty.json`; do not edit by hand.
`docs/uncertainty.md` explains the maps and scores."""


def page(figures: Figures, pictures: str) -> str:
    """Return the page as Markdown; ``pictures`` is their folder beside it."""
    return document(
        INTRODUCTION,
        _protocol(figures),
        _targets(figures),
        _calibration(figures, pictures),
        _mirrored(figures),
        _maps(figures, pictures),
        _finding(figures, pictures),
        _strata(figures),
        _quality(figures),
        _shift(figures),
        _foreign(figures),
    )


def _protocol(figures: Figures) -> str:
    counts = figures["finding"]["counts"]
    return (
        f"Model `{figures['model']}` ({figures['network']}, weights {figures['sha256'][:12]}), "
        f"data {figures['data']}, fold {figures['fold']}, {figures['split']}: "
        f"{counts['patients']} patients not seen in training, {figures['volumes']} volumes, "
        f"{counts['slices']} slices, {counts['bad_slices']} of them bad; "
        f"{counts['wrong_voxels']} voxels are wrong. {figures['hardware']}.\n\n"
        f"Protocol: {figures['protocol']} Intervals are in brackets."
    )


def _targets(figures: Figures) -> str:
    band = figures["calibration"]["foreground band"]["after"]["ece"]
    views = figures["views"]
    best = max(views["maps"], key=lambda name: views["maps"][name]["auroc"][0])
    auroc = views["maps"][best]["auroc"]
    limited = "" if views["phase"] is None else f" at {views['phase']}; not measured beyond"
    lines = [
        [
            f"ECE in the foreground band at most {TARGETS['ece']:g} after calibration",
            interval(band, 3),
            _yes(band[0] <= TARGETS["ece"]),
        ],
        [
            f"AUROC of the best map for wrong pixels in the band at least {TARGETS['auroc']:g}",
            f"`{best}`: {interval(auroc, 3)}, {_volumes(views)}; entropy on all volumes: "
            f"{interval(figures['maps']['entropy']['auroc'], 3)}",
            _yes(auroc[0] >= TARGETS["auroc"]) + limited,
        ],
    ]
    for order, where in (("every volume", "of every volume"), ("one queue", "of all volumes")):
        queue = figures["finding"][f"wrong voxels, {order}"]
        found = {name: values[1] for name, values in queue["found"].items()}
        best = max(
            (one for one in found if one in (*SCORES, REVIEW_ORDER)), key=lambda n: found[n][0]
        )
        lines += [
            [
                f"The first 20 % of the slices {where} hold at least "
                f"{100 * TARGETS['found']:.0f} % of the wrong voxels",
                f"`{name}`: {percent(found[name])}; an oracle: {percent(found['oracle'])}",
                _yes(found[name][0] >= TARGETS["found"]),
            ]
            for name in dict.fromkeys([REVIEW_ORDER, best])
        ]
        lines += [
            [
                f"`{REVIEW_ORDER}` finds more than {other} order, 20 % of the slices {where}",
                f"by {points(queue['lead'][other][1])}",
                _yes((queue["lead"][other][1][1] or 0) > 0),
            ]
            for other in ("random", "anatomical")
        ]
    return f"## Targets\n\n{table(['target', 'measured', 'met'], lines)}"


def _calibration(figures: Figures, pictures: str) -> str:
    found = figures["calibration"]
    nll = found["nll"]
    lines = [
        [part, moment, *_reliability(found[part][moment])]
        for part in ("foreground band", "whole image")
        for moment in ("before", "after")
    ]
    halves = " and ".join(f"{one:g}" for one in found["cross_fitted"])
    return document(
        "## Calibration",
        table(["pixels", "temperature scaling", *RELIABILITY.values()], lines),
        f"Temperatures of the two halves: {halves}; of all patients together, as stored in the "
        f"model card: {found['temperature']:g}. All figures on this page use the temperature of "
        "the other half. On the network's grid the temperature does not change the labels. Far "
        "from the heart nearly every pixel is right, and one temperature cannot suit both; in the "
        "whole image the ECE is small either way.",
        f"Negative log-likelihood in the band on the other half, in nats: {nll['none']:.4f} "
        f"without calibration, {nll['temperature']:.4f} with one temperature, "
        f"{nll['vector']:.4f} with a factor and an offset for each class (vector scaling). Vector "
        f"scaling changes the label of {nll['labels_changed']:.1%} of the pixels in the band, so "
        "it is not used: the labels must stay those that the accuracy was measured with.",
        f"![Reliability before and after]({pictures}/reliability.png)",
    )


def _mirrored(figures: Figures) -> str:
    found = figures.get("mirrored")
    if not found:
        return ""
    views = {
        "plain": (figures["calibration"]["foreground band"]["after"], figures["maps"]["entropy"]),
        "mirrored": (found["calibration"]["foreground band"], found["entropy"]),
    }
    lines = [
        [
            name,
            *_reliability(reliability),
            interval(entropy["auroc"], 3),
            interval(entropy["wrong_share"], 3),
        ]
        for name, (reliability, entropy) in views.items()
    ]
    return document(
        "## With mirrored views",
        "The same cases with `--mirrored`, where probabilities are the mean over each slice and "
        "its three mirror images; pixels of the band. The temperature is that of the plain views.",
        table(["views", *RELIABILITY.values(), "AUROC", "fraction wrong"], lines),
    )


def _maps(figures: Figures, pictures: str) -> str:
    views = figures["views"]
    entropy = views["maps"]["entropy"]
    blocks = [
        "## Which map shows where the labels are wrong",
        f"Pixels of the band, {_volumes(views)}. An uninformative map has AUROC 0.5 and an AUPR "
        f"and AURC of {entropy['wrong_share'][0]:.3f}, the fraction of wrong pixels; an oracle has "
        f"an AURC of {entropy['best_aurc'][0]:.4f}. *Passes*: of the network over each slice, "
        "including the one for the labels.",
        _map_table(views["maps"]),
    ]
    own = {name: one for name, one in figures["maps"].items() if name.startswith("network_")}
    if own:
        best = max(own, key=lambda name: own[name]["auroc"][0])
        entropy = figures["maps"]["entropy"]
        better = own[best]["auroc"][0] > entropy["auroc"][0]
        verdict = "better than entropy" if better else "worse than entropy, which stays the default"
        blocks += [
            "### Maps computed by the network",
            f"All {figures['volumes']} volumes, each stage separately. The best of these maps is "
            f"`{best}` with {interval(own[best]['auroc'], 3)}, {verdict} "
            f"({interval(entropy['auroc'], 3)}).",
            _map_table({"entropy": entropy, **own}),
        ]
    return document(*blocks, f"![Risk against coverage]({pictures}/risk_coverage.png)")


def _map_table(maps: Figures) -> str:
    return table_of(
        maps.items(),
        {
            "map": "`{0[0]}`",
            "passes": lambda item: MAPS[item[0]].passes,
            "AUROC": lambda item: interval(item[1]["auroc"], 3),
            "minus entropy's": lambda item: (
                MISSING
                if item[0] == "entropy"
                else interval(item[1]["auroc_less_entropy"], 3, signed=True)
            ),
            "AUPR": lambda item: interval(item[1]["aupr"], 3),
            "AURC": lambda item: interval(item[1]["aurc"], 4),
        },
    )


def _finding(figures: Figures, pictures: str) -> str:
    views = figures["views"]
    finding = views["finding"] if views["phase"] is None else figures["finding"]
    orders = {**SCORES, **BASELINE_ORDERS, **OTHER_ORDERS}
    blocks = [
        "## What a reviewer finds",
        "Fraction of the errors found in the first 10, 20 and 30 % of the slices: of *every "
        "volume*, as in a viewer, or of *one queue* of all volumes, most uncertain first. The "
        "viewers' order was chosen among these on the same patients (by the wrong voxels in 20 % "
        "of every volume, ties by the bad slices), so its figures are slightly optimistic.",
        "\n".join(f"- `{name}`: {meaning}" for name, meaning in orders.items()),
    ]
    for what in ("wrong voxels", "bad slices"):
        for order in ("every volume", "one queue"):
            queue = finding[f"{what}, {order}"]
            lines = [
                [f"`{name}`" + (" (viewers)" if name == REVIEW_ORDER else ""), *map(percent, found)]
                for name, found in queue["found"].items()
            ]
            leads = [
                f"{name.replace('_', ' ')} {points(found[1])}"
                for name, found in queue["lead"].items()
            ]
            blocks += [
                f"### {what.capitalize()}, {order}",
                table(["order", "10 %", "20 %", "30 %"], lines),
                f"Difference of `{REVIEW_ORDER}` to other orders at 20 %, on the same bootstrap "
                f"samples: {'; '.join(leads)}.",
            ]
    return document(*blocks, f"![Errors found against slices reviewed]({pictures}/finding.png)")


def _strata(figures: Figures) -> str:
    blocks = [
        "## By contrast and by size",
        "Quartiles of the slices that contain a structure. Contrast: largest difference between "
        "the mean intensities of two classes in the band, in units of the intensity window. Size: "
        "area of all structures of the reference.",
    ]
    for name, title in (("contrast", "contrast"), ("size_mm2", "size, mm²")):
        columns: Columns = {
            title: "{0[from]:g} to {0[to]:g}",
            "slices": "{0[slices]}",
            "mean Dice": "{0[mean_dice]:.3f}",
            "wrong in the band": lambda row: interval(row["wrong_share"], 3),
            "ECE": lambda row: interval(row["ece"], 3),
            "AUROC of entropy": lambda row: interval(row["auroc"], 3),
        }
        blocks.append(table_of(figures["strata"][name], columns))
    return "\n\n".join(blocks)


def _quality(figures: Figures) -> str:
    quality = figures["quality"]
    lines = [
        [name, interval(found["mean_absolute_error"], 3), number(found["correlation"], 2)]
        for name, found in quality["predicted_dice"].items()
    ]
    volume = quality["wrong_ml_of_a_volume"]
    return document(
        "## Predicted Dice and expected error",
        f"Dice of each structure in each slice ({quality['structures_in_slices']} pairs). *Ridge*: "
        "ridge regression on six uncertainty scores, fitted on the other patients; its "
        "coefficients are in `uncertainty.json`. *Expected Dice*: computed from the calibrated "
        "probabilities alone, as in `Segmentation.scores`. *Mean of the others*: uses no "
        "uncertainty.",
        table(["prediction", "mean absolute error", "correlation"], lines),
        f"Volume with a wrong label, mean over {volume['volumes']} volumes: expected "
        f"{volume['mean_expected']:.1f} ml, measured {volume['mean_found']:.1f} ml; mean absolute "
        f"error {volume['mean_absolute_error']:.1f} ml, correlation {volume['correlation']:.2f}.",
    )


def _shift(figures: Figures) -> str:
    shift = figures["shift"]
    columns = {
        "dice": ("Dice", 3),
        "expected_dice": ("expected Dice", 3),
        "uncertainty_mm": ("width of uncertainty, mm", 2),
        "expected_error_ml": ("expected error, ml", 2),
    }
    lines = []
    for row in shift["states"]:
        cells = [f"{row['kind']} {row['grade']}".strip()]
        for name, (_, digits) in columns.items():
            change = f" ({interval(row[f'{name}_change'], digits, signed=True)})"
            cells.append(f"{row[name]:.{digits}f}" + (change if row["grade"] else ""))
        lines.append(cells)
    kinds = {row["kind"]: row["what"] for row in shift["states"] if row["grade"]}
    correlations = ", ".join(
        f"{name.replace('_', ' ')} {value:.2f}" for name, value in shift["correlation"].items()
    )
    return document(
        "## Degraded images",
        f"One in {shift['every']} slices of {shift['volumes']} volumes of {shift['patients']} "
        f"patients ({' and '.join(shift['phases'])}). In brackets: the change compared with the "
        "same images undegraded. Dice and expected Dice: mean over structures and slices; width of "
        "uncertainty and expected error: mean over slices.",
        "\n".join(f"- {kind}: {what}" for kind, what in kinds.items()),
        table(["images", *(title for title, _ in columns.values())], lines),
        "Spearman correlation between the increase of uncertainty and the decrease of Dice over "
        f"all degraded volumes: {correlations}.",
    )


def _foreign(figures: Figures) -> str:
    foreign = figures["foreign"]
    shown = table_of(
        (
            foreign["at home"] | {"title": "fold of this report"},
            foreign["foreign"] | {"title": "Sunnybrook, another hospital and scanner"},
        ),
        {
            "images": "{0[title]}",
            "slices (patients)": "{0[slices]} ({0[patients]})",
            "Dice": "{0[dice]:.3f}",
            "expected Dice": "{0[expected_dice]:.3f}",
            "width of uncertainty, mm": "{0[uncertainty_mm]:.2f}",
        },
    )
    return (
        f"## Another hospital\n\nThe {foreign['structure']} in slices where the reference has one. "
        f"With three patients this is only an indication.\n\n{shown}"
    )


def _reliability(figures: Mapping[str, Sequence[float | None]]) -> list[str]:
    return [interval(figures[name], 4) for name in RELIABILITY]


def _volumes(views: Figures) -> str:
    if views["phase"] is None:
        return f"all {views['volumes']} volumes"
    return f"the {views['volumes']} volumes at {views['phase']}"


def _yes(met: bool) -> str:
    return "yes" if met else "**no**"
