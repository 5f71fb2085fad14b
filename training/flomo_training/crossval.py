"""Every fold of a recipe: train, measure what was held out, and one table over all patients."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from flomo_training.agreement import Agreement, read_table, write_table
from flomo_training.fit import LAST, choose_hardware, is_first_process, save_recipe, train
from flomo_training.folds import read_folds
from flomo_training.recipe import Recipe, read_recipe
from flomo_training.reports import CASES_TABLE, write_reports
from flomo_training.summary import figures
from napari_flomo.errors import FlomoError
from napari_flomo.files import atomic_write
from napari_flomo.models.card import CARD_FILE


def run_fold(recipe: Recipe, source: Path, out: Path) -> list[Agreement]:
    """Train one fold and measure its held-out cases; what is done already is not done again.

    Parameters
    ----------
    recipe
        With the fold to hold out.
    source
        Data folder.
    out
        The fold's run folder. A finished run is kept, an interrupted one goes on.

    Returns
    -------
    list of Agreement
        One row for each structure of each held-out case.

    Raises
    ------
    FlomoError
        As `flomo_training.fit.train` and `flomo_training.reports.write_reports` do.
    """
    if not (out / CASES_TABLE).is_file():
        if not (out / "model" / CARD_FILE).is_file():
            train(recipe, source, out, resume=(out / LAST).is_file())
        write_reports(out, recipe, source)
    return read_table(out / CASES_TABLE)


def cross_validate(recipe: Recipe, source: Path, out: Path, folds: Sequence[int]) -> dict[str, Any]:
    """Train and measure several folds.

    Every patient is measured once, by the one model that never saw that patient.

    Parameters
    ----------
    recipe
        Its own fold is ignored.
    source
        Data folder.
    out
        Holds ``fold0``, ``fold1``, ... and at the end ``cases.csv`` and ``crossval.json``.
    folds
        Which.

    Returns
    -------
    dict
        The figures of all folds together, and ``folds``: the mean Dice of each.

    Raises
    ------
    FlomoError
        If a fold cannot be trained or measured; the folds that are finished stay.
    """
    rows: list[Agreement] = []
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
        raise FlomoError(f"{out}: {repeated} results stand in two folds; the folds have a leak.")
    result = {"model": recipe.model.name, "flavour": recipe.flavour, "folds": means}
    result |= figures(rows)
    write_table(rows, out / CASES_TABLE)
    with atomic_write(out / "crossval.json") as temporary:
        temporary.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return result


def run_crossval(args: argparse.Namespace) -> int:
    """Serve ``flomo crossval``."""
    recipe = read_recipe(args.recipe)
    recipe = replace(recipe, hardware=choose_hardware(recipe.hardware, args))
    if recipe.hardware.devices * recipe.hardware.num_nodes > 1:
        # Each fold starts its processes anew, which only a program of its own can do.
        raise FlomoError(
            "flomo crossval uses one device; with several, run flomo train --fold K for each fold."
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
    elif is_first_process():
        low, high = result["interval_95"]
        print(
            f"{recipe.model.name}: mean Dice {result['mean_dice']} ({low} to {high}) over "
            f"{len(folds)} folds; the table is in {out / CASES_TABLE}."
        )
    return 0
