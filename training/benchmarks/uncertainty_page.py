"""The text and tables of ``docs/benchmarks/uncertainty.md``, from figures alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from accuracy import table

from flomo_training.uncertainty.measuring import SCORES, YARDSTICKS
from flomo_training.uncertainty.report import CHOSEN
from napari_flomo.segmentation import MAPS

Figures = Mapping[str, Any]

SUMS = {
    "tta_entropy, mutual_information, variance": "that map summed over the plausible pixels, at "
    "eight passes",
    "network_...": "the same; as these maps know next to nothing of errors pixel by pixel, "
    "presumably little more than the plausible area",
    "oracle": "knows the errors",
}

RELIABILITY = ("ece", "adaptive_ece", "brier")

TARGETS = {"ece": 0.03, "auroc": 0.85, "found": 0.5}

INTRODUCTION = """\
# Uncertainty

Written by `training/benchmarks/uncertainty.py` from `uncertainty.json`; do not edit by hand.
`docs/uncertainty.md` says what the maps and scores are."""


def page(figures: Figures, pictures: str) -> str:
    """Return the page as Markdown; ``pictures`` is their folder beside it."""
    blocks = [
        INTRODUCTION,
        _what(figures),
        "## Targets",
        _targets(figures),
        *_calibration(figures, pictures),
        *_mirrored(figures),
        *_maps(figures, pictures),
        *_finding(figures, pictures),
        *_strata(figures),
        *_quality(figures),
        *_shift(figures),
        *_foreign(figures),
    ]
    return "\n\n".join(blocks) + "\n"


def _what(figures: Figures) -> str:
    counts = figures["finding"]["counts"]
    return (
        f"Model `{figures['model']}` ({figures['network']}, weights {figures['sha256'][:12]}), "
        f"data {figures['data']}, fold {figures['fold']}, {figures['split']}: "
        f"{counts['patients']} patients that training never saw, {figures['volumes']} volumes, "
        f"{counts['slices']} slices, of which {counts['bad_slices']} are bad; "
        f"{counts['wrong_voxels']} voxels are wrong. {figures['hardware']}.\n\n"
        f"How it is measured: {figures['protocol']} Brackets are the intervals."
    )


def _targets(figures: Figures) -> str:
    band = figures["calibration"]["foreground band"]["after"]["ece"]
    views = figures["views"]
    best = max(views["maps"], key=lambda name: views["maps"][name]["auroc"][0])
    auroc = views["maps"][best]["auroc"]
    finding = figures["finding"]
    lines = [
        [
            f"ECE in the foreground band at most {TARGETS['ece']:g} after calibration",
            ranged(band, 3),
            verdict(band[0] <= TARGETS["ece"]),
        ],
        [
            f"AUROC of the best map for wrong pixels in the band at least {TARGETS['auroc']:g}",
            f"`{best}`: {ranged(auroc, 3)}, {_views_said(views)}; entropy on all volumes: "
            f"{ranged(figures['maps']['entropy']['auroc'], 3)}",
            verdict(auroc[0] >= TARGETS["auroc"])
            + ("" if views["phase"] is None else f" at {views['phase']}; not measured beyond"),
        ],
    ]
    for way, said in (("every volume", "of every volume"), ("one queue", "of all volumes")):
        queue = finding[f"wrong voxels, {way}"]
        rivals = [one for one in queue["found"] if one in (*SCORES, CHOSEN)]
        leader = max(rivals, key=lambda name: queue["found"][name][1][0])
        for name in dict.fromkeys([CHOSEN, leader]):
            found = queue["found"][name][1]
            lines.append(
                [
                    f"The first 20 % of the slices {said} hold at least "
                    f"{100 * TARGETS['found']:.0f} % of the wrong voxels",
                    f"`{name}`: {percent(found)}; an oracle: "
                    f"{percent(queue['found']['oracle'][1])}",
                    verdict(found[0] >= TARGETS["found"]),
                ]
            )
        for rival in ("random", "anatomical"):
            lead = queue["lead"][rival][1]
            lines.append(
                [
                    f"`{CHOSEN}` beats {'random' if rival == 'random' else 'anatomical'} order, "
                    f"20 % of the slices {said}",
                    f"by {percent(lead, signed=True)}",
                    verdict(lead[1] is not None and lead[1] > 0),
                ]
            )
    return table(["target", "measured", "met"], lines)


def _calibration(figures: Figures, pictures: str) -> list[str]:
    found = figures["calibration"]
    nll = found["nll"]
    lines = [
        [part, moment] + [ranged(found[part][moment][name], 4) for name in RELIABILITY]
        for part in ("foreground band", "whole image")
        for moment in ("before", "after")
    ]
    halves = " and ".join(f"{one:g}" for one in found["cross_fitted"])
    return [
        "## Calibration",
        table(["pixels", "temperature", "ECE", "adaptive ECE", "Brier score"], lines),
        f"Temperatures of the two halves: {halves}; of all patients together, as the card has it: "
        f"{found['temperature']:g}. All figures of this page use the temperature of the other "
        "half. On the network's grid labels are the same at any temperature. Far from the heart "
        "nearly every pixel is right, and one temperature cannot suit both: in the whole image the "
        "ECE is small either way.",
        f"Negative log-likelihood in the band on the other half, in nats: {nll['none']:.4f} "
        f"without calibration, {nll['temperature']:.4f} with one temperature, "
        f"{nll['vector']:.4f} with a factor and an offset for each class (vector scaling). The "
        f"latter gives {nll['labels_changed']:.1%} of the band's pixels another label, so it is "
        "not used: a model's labels are those that its accuracy was measured with.",
        f"![Reliability before and after]({pictures}/reliability.png)",
    ]


def _mirrored(figures: Figures) -> list[str]:
    """Tell how uncertainty fares where labels are the mean over mirrored views."""
    found = figures.get("mirrored")
    if not found:
        return []
    plain = figures["calibration"]["foreground band"]["after"], figures["maps"]["entropy"]
    mirrored = found["calibration"]["foreground band"], found["entropy"]
    lines = [
        [
            views,
            *(ranged(reliability[name], 4) for name in RELIABILITY),
            ranged(entropy["auroc"], 3),
            ranged(entropy["wrong_share"], 3),
        ]
        for views, (reliability, entropy) in (("plain", plain), ("mirrored", mirrored))
    ]
    return [
        "## With mirrored views",
        "The same cases with `--mirrored`, where probabilities are the mean over each slice and "
        "its three mirror images; pixels of the band. The temperature is the plain network's.",
        table(["views", "ECE", "adaptive ECE", "Brier score", "AUROC", "share of wrong"], lines),
    ]


def _maps(figures: Figures, pictures: str) -> list[str]:
    views = figures["views"]
    blocks = [
        "## Which map shows where the labels are wrong",
        f"Pixels of the band, {_views_said(views)}. A map that knows nothing has AUROC 0.5 and the "
        f"AUPR and AURC {views['maps']['entropy']['wrong_share'][0]:.3f}, the share of wrong "
        f"pixels; an oracle's AURC is {views['maps']['entropy']['best_aurc'][0]:.4f}. *Passes*: of "
        "the network over each slice, with the one for the labels.",
        _map_table(views["maps"]),
    ]
    own = {name: one for name, one in figures["maps"].items() if name.startswith("network_")}
    if own:
        best = max(own, key=lambda name: own[name]["auroc"][0])
        entropy = figures["maps"]["entropy"]["auroc"]
        verdict_of_own = (
            "worse than entropy, which stays the default"
            if own[best]["auroc"][0] <= entropy[0]
            else "better than entropy"
        )
        blocks += [
            "### The network's own maps",
            f"All {figures['volumes']} volumes, every stage by itself. The best of them is "
            f"`{best}` with {ranged(own[best]['auroc'], 3)}, {verdict_of_own} "
            f"({ranged(entropy, 3)}).",
            _map_table({"entropy": figures["maps"]["entropy"], **own}),
        ]
    return [*blocks, f"![Risk against coverage]({pictures}/risk_coverage.png)"]


def _map_table(maps: Figures) -> str:
    lines = [
        [
            f"`{name}`",
            str(MAPS[name].passes),
            ranged(found["auroc"], 3),
            "–" if name == "entropy" else ranged(found["auroc_less_entropy"], 3, signed=True),
            ranged(found["aupr"], 3),
            ranged(found["aurc"], 4),
        ]
        for name, found in maps.items()
    ]
    return table(["map", "passes", "AUROC", "less that of entropy", "AUPR", "AURC"], lines)


def _finding(figures: Figures, pictures: str) -> list[str]:
    views = figures["views"]
    finding = views["finding"] if views["phase"] is None else figures["finding"]
    blocks = [
        "## What a reviewer finds",
        "Share found after the first 10, 20 and 30 % of the slices: of *every volume*, as in a "
        "viewer, or of *one queue* of all volumes, most uncertain first. The viewers' order was "
        "chosen among these on these very patients: by the wrong voxels in 20 % of every volume, "
        "and between equals by the bad slices. That flatters it a little.",
        "\n".join(f"- `{name}`: {said}" for name, said in {**SCORES, **YARDSTICKS, **SUMS}.items()),
    ]
    for what in ("wrong voxels", "bad slices"):
        for way in ("every volume", "one queue"):
            queue = finding[f"{what}, {way}"]
            lines = [
                [f"`{name}`" + (" (viewers)" if name == CHOSEN else "")]
                + [percent(one) for one in found]
                for name, found in queue["found"].items()
            ]
            blocks += [
                f"### {what.capitalize()}, {way}",
                table(["order", "10 %", "20 %", "30 %"], lines),
                _lead(queue["lead"]),
            ]
    blocks.append(f"![Found against looked at]({pictures}/finding.png)")
    return blocks


def _lead(lead: Figures) -> str:
    parts = [
        f"{name.replace('_', ' ')} {percent(found[1], signed=True)}" for name, found in lead.items()
    ]
    return f"Lead of `{CHOSEN}` after 20 %, on the same draws of patients: {'; '.join(parts)}."


def _strata(figures: Figures) -> list[str]:
    blocks = [
        "## By contrast and by size",
        "Quartiles of the slices that hold a structure. Contrast: largest difference between the "
        "mean intensities of two classes in the band, in units of the intensity window. Size: "
        "area of all structures of the reference.",
    ]
    for name, title in (("contrast", "contrast"), ("size_mm2", "size, mm²")):
        lines = [
            [
                f"{row['from']:g} to {row['to']:g}",
                str(row["slices"]),
                f"{row['mean_dice']:.3f}",
                ranged(row["wrong_share"], 3),
                ranged(row["ece"], 3),
                ranged(row["auroc"], 3),
            ]
            for row in figures["strata"][name]
        ]
        head = [title, "slices", "mean Dice", "wrong in the band", "ECE", "AUROC of entropy"]
        blocks.append(table(head, lines))
    return blocks


def _quality(figures: Figures) -> list[str]:
    quality = figures["quality"]
    lines = [
        [name, ranged(found["mean_absolute_error"], 3), _number(found["correlation"], 2)]
        for name, found in quality["predicted_dice"].items()
    ]
    volume = quality["wrong_ml_of_a_volume"]
    return [
        "## Predicted Dice and expected error",
        f"Dice of each structure in each slice ({quality['structures_in_slices']} pairs). *Ridge*: "
        "regression on six uncertainty scores, fitted on the other patients; its numbers are in "
        "`uncertainty.json`. *Expected Dice*: computed from the calibrated probabilities alone, "
        "as `Segmentation.scores` has it. *Mean of the others*: no uncertainty at all.",
        table(["prediction", "mean absolute error", "correlation"], lines),
        f"Volume with a wrong label in each of {volume['volumes']} volumes: expected "
        f"{volume['mean_expected']:.1f} ml, found {volume['mean_found']:.1f} ml in the mean; mean "
        f"absolute error {volume['mean_absolute_error']:.1f} ml, correlation "
        f"{volume['correlation']:.2f}.",
    ]


def _shift(figures: Figures) -> list[str]:
    shift = figures["shift"]
    names = (("dice", 3), ("expected_dice", 3), ("uncertainty_mm", 2), ("expected_error_ml", 2))
    lines = []
    for row in shift["states"]:
        cells = [f"{row[name]:.{digits}f}" for name, digits in names]
        if row["grade"]:
            cells = [
                f"{cell} ({ranged(row[f'{name}_change'], digits, signed=True)})"
                for cell, (name, digits) in zip(cells, names, strict=True)
            ]
        lines.append([f"{row['kind']} {row['grade']}".strip(), *cells])
    what = {row["kind"]: row["what"] for row in shift["states"] if row["grade"]}
    follows = shift["correlation"]
    return [
        "## Worse images",
        f"One of {shift['every']} slices of {shift['volumes']} volumes of {shift['patients']} "
        f"patients ({' and '.join(shift['phases'])}). In brackets: the change against the same "
        "images as they are. Dice and expected Dice: mean over structures and slices; width of "
        "uncertainty and expected error: mean over slices.",
        "\n".join(f"- {kind}: {said}" for kind, said in what.items()),
        table(
            ["images", "Dice", "expected Dice", "width of uncertainty, mm", "expected error, ml"],
            lines,
        ),
        "How well uncertainty follows the fall of Dice over all degraded volumes (Spearman): "
        + ", ".join(f"{name.replace('_', ' ')} {value:.2f}" for name, value in follows.items())
        + ".",
    ]


def _foreign(figures: Figures) -> list[str]:
    foreign = figures["foreign"]
    lines = [
        [
            said,
            f"{found['slices']} ({found['patients']})",
            f"{found['dice']:.3f}",
            f"{found['expected_dice']:.3f}",
            f"{found['uncertainty_mm']:.2f}",
        ]
        for said, found in (
            ("fold of the report", foreign["at home"]),
            ("Sunnybrook, another hospital and scanner", foreign["foreign"]),
        )
    ]
    head = ["images", "slices (patients)", "Dice", "expected Dice", "width of uncertainty, mm"]
    return [
        "## Another hospital",
        f"The {foreign['structure']} in slices where the reference has one. Three patients: no "
        "more than a sign.",
        table(head, lines),
    ]


def _views_said(views: Figures) -> str:
    if views["phase"] is None:
        return f"all {views['volumes']} volumes"
    return f"the {views['volumes']} volumes at {views['phase']}"


def ranged(found: Sequence[float | None], digits: int, *, signed: bool = False) -> str:
    """Return a figure with its interval."""
    return _spoken([_number(one, digits, signed=signed) for one in found])


def percent(found: Sequence[float | None], *, signed: bool = False) -> str:
    """Return a share with its interval in percent, a difference of shares in points."""
    if signed:
        return _spoken(["–" if one is None else f"{100 * one:+.1f}" for one in found]) + " points"
    return _spoken(["–" if one is None else f"{100 * one:.0f} %" for one in found])


def verdict(met: bool) -> str:
    """Return yes or no."""
    return "yes" if met else "**no**"


def _spoken(cells: Sequence[str]) -> str:
    value, low, high = cells
    return value if low == "–" else f"{value} ({low} to {high})"


def _number(value: float | None, digits: int, *, signed: bool = False) -> str:
    return "–" if value is None else f"{value:{'+' if signed else ''}.{digits}f}"
