"""The page of the docs on how accurate a model is, from what was measured.

flomo evaluate --model NAME --data DIR --record --out rows.csv
python training/benchmarks/accuracy.py --model NAME --rows rows.csv --run run.json
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from flomo_training.evaluate import Agreement
from napari_flomo.files import atomic_write
from napari_flomo.models import ModelCard, load_card

PAGE = Path(__file__).resolve().parents[2] / "docs" / "benchmarks" / "accuracy.md"


def volume_bias(rows: Sequence[Agreement], structure: str) -> tuple[float, float]:
    """Return mean and standard deviation of (result - reference) in ml."""
    errors = [r.result_ml - r.reference_ml for r in rows if r.structure == structure]
    return float(np.mean(errors)), float(np.std(errors, ddof=1))


def as_markdown(card: ModelCard, rows: Sequence[Agreement], run: dict[str, Any]) -> str:
    """Return the page."""
    summary = card.metrics
    low, high = summary["interval_95"]
    lines = [
        "# Accuracy",
        "",
        "Written by `training/benchmarks/accuracy.py`; do not edit by hand.",
        "",
        f"`{card.name}` (SHA-256 {card.sha256[:12]}), {summary['split']} part of fold "
        f"{summary['fold']}: {summary['volumes']} volumes of {summary['patients']} patients that "
        "training never saw. No setting was chosen on them.",
        "",
        f"**Mean Dice {summary['mean_dice']:.4f}** (95 % interval {low:.4f} to {high:.4f}).",
        "",
    ]
    phases = sorted({phase for table in summary["dice"].values() for phase in table} - {"all"})
    lines += [
        "| structure | "
        + " | ".join(f"Dice {p}" for p in [*phases, "all"])
        + " | volume error ml |",
        "|---|" + "---|" * (len(phases) + 2),
    ]
    for structure, table in summary["dice"].items():
        mean, deviation = volume_bias(rows, structure)
        cells = " | ".join(f"{table[phase]:.4f}" for phase in [*phases, "all"])
        lines.append(f"| {structure} | {cells} | {mean:+.1f} ± {deviation:.1f} |")
    lines += [
        "",
        f"Protocol: {summary['protocol']}. Volume error: result minus reference, mean ± standard "
        "deviation over volumes.",
        "",
        f"Training: {card.protocol}",
    ]
    versions = ", ".join(f"{name} {value}" for name, value in run["versions"].items() if value)
    lines.append(
        f"{run['slices']} slices of {run['cases']} volumes, {run['training_hours']} "
        f"hours on {run['hardware']} ({versions})."
    )
    return "\n".join([*lines, ""])


def read_rows(path: Path) -> list[Agreement]:
    """Read the rows that ``flomo evaluate --out`` wrote."""
    with path.open(newline="", encoding="utf-8") as file:
        return [
            Agreement(
                row["case"],
                row["patient"],
                row["phase"],
                row["structure"],
                float(row["dice"]),
                float(row["reference_ml"]),
                float(row["result_ml"]),
            )
            for row in csv.DictReader(file)
        ]


def main() -> None:
    """Read the options, write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", default="flomo-b0-acdc")
    parser.add_argument("--rows", type=Path, required=True, help="CSV of flomo evaluate")
    parser.add_argument("--run", type=Path, required=True, help="run.json of the training")
    parser.add_argument("-o", "--output", type=Path, default=PAGE)
    options = parser.parse_args()
    run = json.loads(options.run.read_text(encoding="utf-8"))
    page = as_markdown(load_card(options.model), read_rows(options.rows), run)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(options.output) as temporary:
        temporary.write_text(page, encoding="utf-8")
    print(page)


if __name__ == "__main__":
    main()
