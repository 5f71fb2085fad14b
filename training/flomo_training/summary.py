"""Summary of an evaluation: means with intervals, their definition, and warnings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from flomo_training.bootstrap import Estimate, Sample, estimate, rounded
from flomo_training.consistency import DiceIouPair, check_pairs
from flomo_training.metrics import NSD_TOLERANCE_MM
from flomo_training.metrics_table import StructureMetrics
from flomo_training.ventricles import LimitsOfAgreement, Reference, limits_of_agreement
from napari_flomo.models import ModelCard

EMPTY_MASKS = (
    "a structure that is absent from both reference and result is ignored; if it is absent from "
    "one of them, Dice, IoU and surface Dice are 0 and HD95 is the diagonal of the volume"
)
AVERAGING = (
    "mean over {unit}s of each structure, then over structures; intervals: bootstrap over "
    "patients, 95 %"
)
VOLUME_PROTOCOL = (
    "3-D Dice of whole volumes in native spacing; HD95: the larger of the two directed 95th "
    "percentiles of surface distances in mm; surface Dice with a tolerance of "
    f"{NSD_TOLERANCE_MM:g} mm; {EMPTY_MASKS}; {AVERAGING.format(unit='volume')}"
)
IMAGE_PROTOCOL = (
    "Dice and IoU of each image in its original size; a structure that is absent from both "
    "reference and result is ignored (a correctly empty normal image is counted, not averaged); if "
    "it is absent from one of them, both are 0 (also for a false alarm on a normal image); "
    f"{AVERAGING.format(unit='image').replace('patients', 'groups of images')}"
)
SLICE_PROTOCOL = (
    "Dice of each slice that contains the structure in reference or result, mean over all slices "
    "of all volumes and structures; only for comparison with other slice-wise results"
)

DIGITS = {"dice": 4, "iou": 4, "nsd": 4, "hd95_mm": 2, "slice_dice": 4}


def sample(rows: Sequence[StructureMetrics], metric: str) -> Sample:
    """Return the values of a metric for `flomo_training.bootstrap`, stratified by structure.

    The slice-wise Dice is not stratified; rows are weighted by their number of slices.
    """
    values = [float(getattr(row, metric)) for row in rows]
    if not is_complete(rows, metric):
        values = [math.nan] * len(rows)  # a mean over a part of the cases would be misleading
    patients = [row.patient for row in rows]
    if metric == "slice_dice":
        return Sample(values, patients, [""] * len(rows), [row.slices for row in rows])
    return Sample(values, patients, [row.structure for row in rows])


def is_complete(rows: Sequence[StructureMetrics], metric: str) -> bool:
    """Return True if every case with a Dice also has the metric."""
    return not any(math.isnan(getattr(row, metric)) for row in rows if not math.isnan(row.dice))


def mean_dice(rows: Sequence[StructureMetrics]) -> float:
    """Return the mean over volumes of each structure, then over structures."""
    return estimate(sample(rows, "dice")).value


def figures(rows: Sequence[StructureMetrics]) -> dict[str, Any]:
    """Return all summary metrics in plain JSON types; None if not measured.

    ``mean_dice``, ``mean_iou``, ``mean_hd95_mm`` and ``mean_nsd`` have their intervals in
    ``interval_95`` (of the Dice) and ``intervals_95``; ``dice``, ``hd95_mm`` and ``nsd`` are given
    by structure and phase.
    """
    images = are_images(rows)
    metrics = ("dice", "iou") if images else ("dice", "iou", "hd95_mm", "nsd")
    overall = {metric: estimate(sample(rows, metric)) for metric in metrics}
    result: dict[str, Any] = {
        "mean_dice": _figure(overall["dice"].value, "dice"),
        "interval_95": _bounds(overall["dice"], "dice"),
    }
    for metric in metrics[1:]:
        result[f"mean_{metric}"] = _figure(overall[metric].value, metric)
    tables = {metric: by_structure(rows, metric) for metric in metrics}
    for metric in metrics:
        result[metric] = {
            structure: {phase: _figure(cell.value, metric) for phase, cell in cells.items()}
            for structure, cells in tables[metric].items()
        }
    result["intervals_95"] = {
        metric: {"mean": _bounds(overall[metric], metric)}
        | {
            structure: {phase: _bounds(cell, metric) for phase, cell in cells.items()}
            for structure, cells in tables[metric].items()
        }
        for metric in metrics
    }
    if not images:
        slices = estimate(sample(rows, "slice_dice"))
        result["slice_mean_dice"] = {
            "value": _figure(slices.value, "slice_dice"),
            "interval_95": _bounds(slices, "slice_dice"),
            "protocol": SLICE_PROTOCOL,
        }
        for key, against in _REFERENCES.items():
            result[key] = _ventricles(rows, against)
    result |= {
        "missed": sum(row.in_reference and not row.in_result for row in rows),
        "false_alarms": sum(row.in_result and not row.in_reference for row in rows),
        "absent": sum(not row.in_result and not row.in_reference for row in rows),
        "images" if images else "volumes": len({row.case for row in rows}),
        "patients": len({row.patient for row in rows}),
        "impossible_pairs": [str(fault) for fault in check_pairs(_pairs(overall, tables))],
        "protocol": IMAGE_PROTOCOL if images else VOLUME_PROTOCOL,
    }
    return result


_REFERENCES: dict[str, Reference] = {
    "ventricles": "reference_ml",
    "ventricles_listed": "listed_ml",
}


def summarise(rows: Sequence[StructureMetrics], card: ModelCard) -> dict[str, Any]:
    """Return `figures` and the identity of the model."""
    return figures(rows) | {
        "model": card.name,
        "network": card.network,
        "sha256": card.sha256,
        "postprocessing": card.postprocessing,
    }


def are_images(rows: Sequence[StructureMetrics]) -> bool:
    """Return True for photos, which have no spacing in mm."""
    return all(math.isnan(row.reference_ml) for row in rows)


def by_structure(rows: Sequence[StructureMetrics], metric: str) -> dict[str, dict[str, Estimate]]:
    """Return a metric by structure and phase, including ``"all"``."""
    table = {}
    for structure in dict.fromkeys(row.structure for row in rows):
        own = [row for row in rows if row.structure == structure]
        phases = sorted({row.phase for row in own if row.phase})
        table[structure] = {
            phase: estimate(sample([row for row in own if row.phase == phase], metric))
            for phase in phases
        } | {"all": estimate(sample(own, metric))}
    return table


def as_text(summary: dict[str, Any]) -> str:
    """Return a summary as readable text."""
    unit = "images" if "images" in summary else "volumes"
    lines = [
        f"{summary['model']}: mean Dice {_shown(summary['mean_dice'])}"
        f"{_between(summary['interval_95'])}, {summary[unit]} {unit} of {summary['patients']} "
        f"{'groups' if unit == 'images' else 'patients'}, {summary['split']} part of fold "
        f"{summary['fold']}"
    ]
    for metric, name in (("iou", "mean IoU"), ("hd95_mm", "mean HD95 in mm"), ("nsd", "mean NSD")):
        if summary.get(f"mean_{metric}") is not None:
            interval = _between(summary["intervals_95"][metric]["mean"])
            lines.append(f"  {name} {_shown(summary[f'mean_{metric}'])}{interval}")
    for structure, phases in summary["dice"].items():
        cells = "  ".join(f"{phase} {_shown(value)}" for phase, value in phases.items())
        lines.append(f"  {structure:30s} {cells}")
    for ventricle, quantities in summary.get("ventricles", {}).items():
        for quantity, found in quantities.items():
            lines.append(
                f"  {ventricle} {quantity}: bias {found['bias']:+.1f} {found['unit']}, limits "
                f"{_shown(found['limits'][0])} to {_shown(found['limits'][1])}"
            )
    lines += [f"  Warning: {fault}" for fault in summary["impossible_pairs"]]
    return "\n".join([*lines, f"  ({summary['protocol']})"])


def _ventricles(
    rows: Sequence[StructureMetrics], against: Reference
) -> dict[str, dict[str, dict[str, Any]]]:
    table: dict[str, dict[str, dict[str, Any]]] = {}
    for limits in limits_of_agreement(rows, against):
        table.setdefault(limits.ventricle, {})[limits.quantity] = _limits(limits)
    return table


def _limits(found: LimitsOfAgreement) -> dict[str, Any]:
    return {
        "unit": found.unit,
        "bias": rounded(found.bias.value, 2),
        "interval_95": found.bias.rounded(2)[1:],
        "limits": [rounded(found.lower, 2), rounded(found.upper, 2)],
        "patients": found.patients,
    }


def _pairs(
    overall: dict[str, Estimate], tables: dict[str, dict[str, dict[str, Estimate]]]
) -> list[DiceIouPair]:
    """Return all pairs of Dice and IoU."""
    pairs = [DiceIouPair("mean", overall["dice"].value, overall["iou"].value)]
    for structure, cells in tables["dice"].items():
        for phase, cell in cells.items():
            beside = tables["iou"][structure][phase].value
            pairs.append(DiceIouPair(f"{structure}, {phase}", cell.value, beside))
    return pairs


def _figure(value: float, metric: str) -> float | None:
    return rounded(value, DIGITS[metric])


def _bounds(found: Estimate, metric: str) -> list[float | None]:
    return found.rounded(DIGITS[metric])[1:]


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}" if abs(value) <= 1 else f"{value:.1f}"


def _between(bounds: Sequence[float | None]) -> str:
    low, high = bounds
    return "" if low is None or high is None else f" ({_shown(low)} to {_shown(high)})"
