"""Measure a model on labelled volumes, in their own spacing, through the same code users run."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from flomo_training.cases import Case, code_to_class, list_cases, read_case
from flomo_training.export import record_metrics
from napari_flomo.files import atomic_write
from napari_flomo.models import ModelCard, locate
from napari_flomo.segmentation import Segmenter

RESAMPLES = 2000
"""Draws of the bootstrap."""

PROTOCOL = (
    "3-D Dice of whole volumes in native spacing; a structure that is absent from both reference "
    "and result is left out, absent from one of them it counts 0; mean over volumes of each "
    "structure, then over structures; intervals: bootstrap over patients, 95 %"
)


@dataclass(frozen=True)
class Agreement:
    """How well one structure of one volume was found.

    Attributes
    ----------
    dice
        3-D Dice, or NaN when neither reference nor result holds the structure.
    reference_ml, result_ml
        Its volumes.
    """

    case: str
    patient: str
    phase: str
    structure: str
    dice: float
    reference_ml: float
    result_ml: float


def dice(reference: np.ndarray, result: np.ndarray) -> float:
    """Return the Dice overlap of two masks, NaN if both are empty."""
    total = int(reference.sum()) + int(result.sum())
    if total == 0:
        return float("nan")
    return 2 * int(np.logical_and(reference, result).sum()) / total


def evaluate_case(case: Case, segmenter: Segmenter) -> list[Agreement]:
    """Segment one case and compare every structure with its reference.

    Raises
    ------
    FlomoError
        If a file is broken, or the reference holds codes that the card does not name.
    """
    volume, reference = read_case(case)
    code_to_class(reference.data, segmenter.card, case.name)
    result = segmenter.segment(volume, keep_probabilities=False).labels.data
    voxel_ml = float(np.prod(volume.geometry.spacing)) / 1000
    rows = []
    for label in segmenter.card.labels[1:]:
        expected, found = reference.data == label.code, result == label.code
        rows.append(
            Agreement(
                case.name,
                case.patient,
                case.phase,
                label.name,
                dice(expected, found),
                float(expected.sum() * voxel_ml),
                float(found.sum() * voxel_ml),
            )
        )
    return rows


def evaluate(
    cases: Sequence[Case],
    segmenter: Segmenter,
    progress: Callable[[int, int], object] | None = None,
) -> list[Agreement]:
    """Evaluate many cases; one row per case and structure."""
    rows: list[Agreement] = []
    for done, case in enumerate(cases, start=1):
        rows += evaluate_case(case, segmenter)
        if progress:
            progress(done, len(cases))
    return rows


def mean_dice(rows: Sequence[Agreement]) -> float:
    """Return the mean over volumes of each structure, then over structures."""
    structures = sorted({row.structure for row in rows})
    values = [np.nanmean([r.dice for r in rows if r.structure == name]) for name in structures]
    return float(np.mean(values))


def bootstrap_interval(rows: Sequence[Agreement], seed: int = 0) -> tuple[float, float]:
    """Return the 95 % interval of `mean_dice` over draws of patients with replacement."""
    by_patient: dict[str, list[Agreement]] = {}
    for row in rows:
        by_patient.setdefault(row.patient, []).append(row)
    patients = sorted(by_patient)
    rng = np.random.default_rng(seed)
    means = []
    for _ in range(RESAMPLES):
        drawn = rng.choice(patients, len(patients))
        means.append(mean_dice([row for patient in drawn for row in by_patient[patient]]))
    low, high = np.percentile(means, (2.5, 97.5))
    return float(low), float(high)


def summarise(rows: Sequence[Agreement], card: ModelCard) -> dict[str, Any]:
    """Return the figures of a report: overall, and by structure and phase."""
    low, high = bootstrap_interval(rows)
    table: dict[str, dict[str, float]] = {}
    for structure in [label.name for label in card.labels[1:]]:
        of_structure = [row for row in rows if row.structure == structure]
        phases = sorted({row.phase for row in of_structure})
        table[structure] = {
            phase: round(float(np.nanmean([r.dice for r in of_structure if r.phase == phase])), 4)
            for phase in phases
        } | {"all": round(float(np.nanmean([r.dice for r in of_structure])), 4)}
    return {
        "mean_dice": round(mean_dice(rows), 4),
        "interval_95": [round(low, 4), round(high, 4)],
        "dice": table,
        "volumes": len({row.case for row in rows}),
        "patients": len({row.patient for row in rows}),
        "protocol": PROTOCOL,
    }


def run_evaluation(args: argparse.Namespace) -> int:
    """Serve ``flomo evaluate``."""
    cases = list_cases(Path(args.data), args.fold, args.split)
    segmenter = Segmenter.from_pretrained(args.model)
    with tqdm(total=len(cases), unit="volume", disable=not sys.stderr.isatty()) as bar:
        rows = evaluate(cases, segmenter, lambda _done, _total: bar.update())
    summary = summarise(rows, segmenter.card) | {
        "model": segmenter.card.name,
        "sha256": segmenter.card.sha256,
        "fold": args.fold,
        "split": args.split,
    }
    if args.out:
        with (
            atomic_write(args.out) as temporary,
            temporary.open("w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, fieldnames=list(asdict(rows[0])))
            writer.writeheader()
            writer.writerows(asdict(row) for row in rows)
    if args.record:
        record_metrics(locate(args.model), summary)
    print(json.dumps(summary, indent=2) if args.json else as_text(summary))
    return 0


def as_text(summary: dict[str, Any]) -> str:
    """Return a report for people."""
    low, high = summary["interval_95"]
    lines = [
        f"{summary['model']}: mean Dice {summary['mean_dice']:.4f} ({low:.4f} to {high:.4f}), "
        f"{summary['volumes']} volumes of {summary['patients']} patients, {summary['split']} part "
        f"of fold {summary['fold']}"
    ]
    for structure, phases in summary["dice"].items():
        figures = "  ".join(f"{phase} {value:.4f}" for phase, value in phases.items())
        lines.append(f"  {structure:30s} {figures}")
    return "\n".join([*lines, f"  ({summary['protocol']})"])
