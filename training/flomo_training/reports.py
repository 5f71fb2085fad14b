"""What a finished run leaves for people: curves, figures for each case, the worst cases."""

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
"""Facts of ``run.json`` that a table of figures states."""


def write_reports(run: Path, recipe: Recipe, source: Path) -> dict[str, Any]:
    """Measure the model of a finished run on the held-out fold and write everything about it.

    Writes ``curves.png``, ``cases.csv`` (a row for each structure of each case),
    ``worst_cases.png`` and ``report.json`` into the run folder, and the figures into the card of
    the run's model. With several processes, call it in one of them.

    Parameters
    ----------
    run
        Run folder with ``model/``, ``run.json`` and curves.
    recipe
        That it ran by, with the fold that was held out.
    source
        Data folder that holds the images as they are; figures are never taken from prepared slices.

    Returns
    -------
    dict
        What ``report.json`` holds: `flomo_training.summary.summarise` with the facts of the run.

    Raises
    ------
    FlomoError
        If the run is not finished, or the data is not complete.
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
    """Return how a model was trained, as tables of figures state it."""
    noted = json.loads((run / "run.json").read_text(encoding="utf-8"))
    parent = noted.get("parent")  # its name and the hash of its weights
    return {
        "flavour": recipe.flavour,
        "seed": recipe.seed,
        "epochs": noted.get("epochs", recipe.epochs),
        "start_from": parent and parent.split()[0],
        **{key: noted[key] for key in COSTS if key in noted},
    }
