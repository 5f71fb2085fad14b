"""Cross-validation: train every fold of a recipe and evaluate all held-out patients."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from flomo_training.fit import LAST, is_global_zero_process, override_hardware, save_recipe, train
from flomo_training.folds import read_folds
from flomo_training.json_files import write_json
from flomo_training.metrics_table import StructureMetrics, read_metrics, write_metrics
from flomo_training.recipe import Recipe, read_recipe
from flomo_training.reports import CASES_TABLE, write_reports
from flomo_training.summary import figures
from napari_flomo.errors import FlomoError
from napari_flomo.models import CARD_FILE


def run_fold(recipe: Recipe, source: Path, out: Path) -> list[StructureMetrics]:
    """Train one fold and evaluate its held-out cases; return a row for each structure of each case.

    A finished run in the folder ``out`` is kept, an interrupted one is resumed. Raises the errors
    of `flomo_training.fit.train` and `flomo_training.reports.write_reports`.
    """
    if not (out / CASES_TABLE).is_file():
        if not (out / "model" / CARD_FILE).is_file():
            train(recipe, source, out, resume=(out / LAST).is_file())
        write_reports(out, recipe, source)
    return read_metrics(out / CASES_TABLE)


def cross_validate(recipe: Recipe, source: Path, out: Path, folds: Sequence[int]) -> dict[str, Any]:
    """Train and evaluate several folds; the fold of the recipe is ignored.

    Every patient is evaluated once, by the model that was not trained on it.

    Parameters
    ----------
    recipe, source
        Training recipe and data folder.
    out
        Folder for ``fold0``, ``fold1``, ..., ``cases.csv`` and ``crossval.json``.
    folds
        Folds to run.

    Returns
    -------
    dict
        Summary of all folds together, and ``folds``: the mean Dice of each.

    Raises
    ------
    FlomoError
        If a fold cannot be trained or evaluated; finished folds are kept.
    """
    rows: list[StructureMetrics] = []
    means: dict[str, Any] = {}
    for fold in folds:
        of_fold = replace(recipe, data=replace(recipe.data, fold=fold))
        run = out / f"fold{fold}"
        run.mkdir(parents=True, exist_ok=True)
        measured = run_fold(of_fold, source, run)
        means[str(fold)] = figures(measured)["mean_dice"]
        print(f"fold {fold}: mean Dice {means[str(fold)]}", file=sys.stderr, flush=True)
        rows += measured
    repeated = len(rows) - len({(row.case, row.structure) for row in rows})
    if repeated:
        raise FlomoError(f"{out}: {repeated} results are in two folds; fix the folds.")
    result = {"model": recipe.model.name, "flavour": recipe.flavour, "folds": means}
    result |= figures(rows)
    write_metrics(rows, out / CASES_TABLE)
    write_json(result, out / "crossval.json")
    return result


def run_crossval(args: argparse.Namespace) -> int:
    """Run ``flomo crossval``."""
    recipe = read_recipe(args.recipe)
    recipe = replace(recipe, hardware=override_hardware(recipe.hardware, args))
    if recipe.hardware.devices * recipe.hardware.num_nodes > 1:
        # Lightning starts new processes for each fold, which needs a separate program.
        raise FlomoError(
            "flomo crossval uses one device; for several, run flomo train --fold K for each fold."
        )
    source = Path(args.data or recipe.data.source)
    out = Path(args.out) if args.out else Path("runs") / f"{recipe.model.name}-crossval"
    count = len(read_folds(source).folds)
    folds = args.folds if args.folds else list(range(count))
    if unknown := sorted(set(folds) - set(range(count))):
        raise FlomoError(f"There is no fold {unknown[0]}; choose 0 to {count - 1}.")
    out.mkdir(parents=True, exist_ok=True)
    save_recipe(args.recipe, out)
    result = cross_validate(recipe, source, out, folds)
    if args.json:
        print(json.dumps(result, indent=2))
    elif is_global_zero_process():
        low, high = result["interval_95"]
        print(
            f"{recipe.model.name}: mean Dice {result['mean_dice']} ({low} to {high}) over "
            f"{len(folds)} folds; the table is in {out / CASES_TABLE}."
        )
    return 0
