"""Reports of a finished run: curves, metrics of each case, and the worst cases."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from flomo_training.curves import draw_curves
from flomo_training.evaluate import card_metrics, evaluate_folder
from flomo_training.export import record_metrics
from flomo_training.gallery import WorstCases
from flomo_training.json_files import write_json
from flomo_training.metrics_table import write_metrics
from flomo_training.progress_logger import CURVES
from flomo_training.recipe import Recipe
from napari_flomo.segmentation import Segmenter

CURVES_PICTURE = "curves.png"
CASES_TABLE = "cases.csv"
WORST_CASES_PICTURE = "worst_cases.png"
REPORT = "report.json"

COSTS = ("slices", "cases", "training_hours", "hardware", "versions")
"""Facts of ``run.json`` that are part of the report."""


def write_reports(run: Path, recipe: Recipe, source: Path) -> dict[str, Any]:
    """Evaluate the model of a finished run on the held-out fold and write the reports.

    Writes ``curves.png``, ``cases.csv`` (a row for each structure of each case),
    ``worst_cases.png`` and ``report.json`` to the run folder, and the metrics to the model card.
    With several processes, call it in one of them.

    Parameters
    ----------
    run
        Run folder with ``model/``, ``run.json`` and curves.
    recipe
        Recipe of the run, with the held-out fold.
    source
        Data folder with the original images; preprocessed slices are never used for evaluation.

    Returns
    -------
    dict
        Content of ``report.json``: `flomo_training.summary.summarise` and the facts of the run.

    Raises
    ------
    FlomoError
        If the run is not finished, or the data is incomplete.
    """
    draw_curves(run / CURVES, run / CURVES_PICTURE)
    segmenter = Segmenter.from_pretrained(run / "model")
    gallery = WorstCases()
    rows, summary = evaluate_folder(source, recipe.data.fold, "validation", segmenter, gallery)
    write_metrics(rows, run / CASES_TABLE)
    gallery.draw(segmenter.card.labels[1:], run / WORST_CASES_PICTURE)
    report = summary | training_facts(run, recipe)
    write_json(report, run / REPORT)
    record_metrics(run / "model", card_metrics(summary))
    return report


def training_facts(run: Path, recipe: Recipe) -> dict[str, Any]:
    """Return the facts of the training for the report."""
    run_facts = json.loads((run / "run.json").read_text(encoding="utf-8"))
    parent = run_facts.get("parent")  # its name and the hash of its weights
    return {
        "flavour": recipe.flavour,
        "seed": recipe.seed,
        "epochs": run_facts.get("epochs", recipe.epochs),
        "start_from": parent and parent.split()[0],
        **{key: run_facts[key] for key in COSTS if key in run_facts},
    }
