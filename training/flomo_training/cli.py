"""Command-line options for training and evaluation; heavy modules are imported when they run."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from napari_flomo.errors import FlomoError

DATA_SETS = ("acdc", "busi", "cvc_clinicdb", "montgomery")
"""Data sets that ``flomo data prepare`` supports."""

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

# Packages of the [train] extra.
_TRAINING_PACKAGES = {"lightning", "matplotlib", "monai", "numba", "tensorboard", "torch", "yaml"}


def register(subparsers: Subparsers) -> None:
    """Add the training and evaluation commands to ``flomo``.

    Each sets ``run``, a function of the parsed arguments that returns the exit code.
    """
    _register_train(subparsers)
    _register_crossval(subparsers)
    _register_evaluate(subparsers)
    _register_calibrate(subparsers)
    _register_gate(subparsers)
    _register_data(subparsers)


def _add_command(
    subparsers: Subparsers, name: str, summary: str, description: str, function: str = ""
) -> argparse.ArgumentParser:
    """Add a command; ``function`` is that of a module of this package, which it imports."""
    parser = subparsers.add_parser(name, help=summary, description=description, allow_abbrev=False)
    if function:
        parser.set_defaults(run=_lazy(function))
    return parser


def _register_train(subparsers: Subparsers) -> None:
    parser = _add_command(
        subparsers,
        "train",
        "train a network from a recipe",
        "Train a network with a recipe. An interrupted run is resumed from its last checkpoint "
        "with --resume.",
        "fit.run_training",
    )
    parser.add_argument(
        "--fold",
        metavar="K|none",
        type=_fold_or_none,
        help="fold to hold out, or none (default: from the recipe)",
    )
    parser.add_argument("--resume", action="store_true", help="resume from the last checkpoint")
    parser.add_argument(
        "--out", metavar="DIR", type=Path, help="folder for checkpoints and the model"
    )
    parser.add_argument(
        "--no-report",
        dest="report",
        action="store_false",
        help="do not evaluate the held-out fold",
    )
    _add_run(parser)


def _fold_or_none(text: str) -> int | str:
    """Parse the number of a fold, or the word ``none``."""
    return text if text == "none" else int(text)


def _register_crossval(subparsers: Subparsers) -> None:
    parser = _add_command(
        subparsers,
        "crossval",
        "train and evaluate every fold of a recipe",
        "Train every fold of a recipe and evaluate each on its held-out patients. Run the same "
        "command again to resume.",
        "crossval.run_crossval",
    )
    parser.add_argument(
        "--folds", metavar="K", type=int, nargs="+", help="folds to run (default: all)"
    )
    parser.add_argument("--out", metavar="DIR", type=Path, help="folder for the runs and the table")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    _add_run(parser)


def _add_run(parser: argparse.ArgumentParser) -> None:
    """Add the options of every run: recipe, data, and hardware as for Lightning's Trainer."""
    parser.add_argument(
        "recipe", metavar="RECIPE", type=Path, help="YAML file, or name of a recipe of the package"
    )
    parser.add_argument(
        "--data", metavar="DIR", type=Path, help="data folder (default: from the recipe)"
    )
    group = parser.add_argument_group("hardware (default: from the recipe)")
    group.add_argument("--accelerator", metavar="KIND", help="auto, cpu or gpu")
    group.add_argument("--devices", metavar="N", type=int, help="devices per machine")
    group.add_argument("--num-nodes", metavar="N", type=int, help="number of machines")
    group.add_argument("--strategy", metavar="NAME", help="for example ddp")


def _add_model_and_data(parser: argparse.ArgumentParser) -> None:
    """Add the options for model, data folder and fold."""
    parser.add_argument(
        "--model", metavar="NAME|FOLDER", required=True, help="name or folder of a model"
    )
    parser.add_argument("--data", metavar="DIR", type=Path, required=True, help="data folder")
    parser.add_argument("--fold", metavar="K", type=int, default=0, help="fold (default: 0)")


def _register_evaluate(subparsers: Subparsers) -> None:
    parser = _add_command(
        subparsers,
        "evaluate",
        "evaluate a model on labelled data",
        "Segment the cases of a data set and compare the results with their labels.",
        "evaluate.run_evaluation",
    )
    _add_model_and_data(parser)
    parser.add_argument(
        "--split",
        choices=("validation", "training", "all"),
        default="validation",
        help="held-out cases of the fold, training cases, or all (default: %(default)s)",
    )
    parser.add_argument("--out", metavar="FILE", type=Path, help="also write the table (CSV)")
    parser.add_argument(
        "--json",
        metavar="FILE",
        nargs="?",
        const="-",
        help="write the result as JSON (to stdout without FILE)",
    )
    parser.add_argument(
        "--gallery", metavar="FILE", type=Path, help="also draw the worst cases (PNG)"
    )
    parser.add_argument("--record", action="store_true", help="store the metrics in the model card")
    parser.add_argument(
        "--mirrored",
        action="store_true",
        help="average predictions over each slice and its three mirror images",
    )
    parser.add_argument(
        "--uncertainty",
        metavar="DIR",
        type=Path,
        help="also evaluate the uncertainty (calibration, error detection, all maps) and write a "
        "report to this folder; takes at least ten times as long",
    )


def _register_calibrate(subparsers: Subparsers) -> None:
    parser = _add_command(
        subparsers,
        "calibrate",
        "fit a model's temperature",
        "Calibrate a model's probabilities: fit a temperature on labelled cases that it was not "
        "trained on, and store it in the model card. The weights do not change.",
        "uncertainty.command.run_calibration",
    )
    _add_model_and_data(parser)
    parser.add_argument(
        "--split",
        choices=("validation", "all"),
        default="validation",
        help="held-out cases of the fold, or all (default: %(default)s)",
    )
    parser.add_argument("--dry-run", action="store_true", help="do not change the model card")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def _register_gate(subparsers: Subparsers) -> None:
    parser = _add_command(
        subparsers,
        "gate",
        "compare a tuned model with its parent",
        "Compare a tuned model with its parent on a reference set and on held-out corrections, and "
        "decide whether it may replace it. The verdict is stored in its card.",
        "gate.command.run_gate_command",
    )
    parser.add_argument(
        "--candidate", metavar="DIR", required=True, help="name or folder of the tuned model"
    )
    parser.add_argument("--parent", metavar="NAME|DIR", help="its parent (default: from its card)")
    parser.add_argument("--store", metavar="DIR", type=Path, help="store of corrections")
    parser.add_argument(
        "--held-out",
        metavar="FILE",
        type=Path,
        help='held-out slices: JSON list of {"record_id", "frame", "slices"}',
    )
    parser.add_argument(
        "--reference",
        metavar="DIR",
        type=Path,
        help="prepared data of the base task (default: the reference set of the parent)",
    )
    parser.add_argument(
        "--rules",
        metavar="FILE",
        type=Path,
        help="YAML file with margins (default: built-in rules)",
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        type=Path,
        help="folder for the report (default: gate/ in the candidate)",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default: auto)")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument(
        "-q", "--quiet", action="store_true", help="show no progress bar and no summary"
    )
    parser.add_argument(
        "--strict", action="store_true", help="exit with 3 if the candidate does not pass"
    )


def _register_data(subparsers: Subparsers) -> None:
    parser = _add_command(
        subparsers,
        "data",
        "prepare a data set, or pack it into one file",
        "Prepare data sets for training.",
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    prepare = _add_command(
        actions,
        "prepare",
        "check a data set and write it in the training layout",
        "Check a data set in its original layout, and write images, labels, cases.csv, folds.json "
        "and a manifest with the SHA-256 of each file. Run the same command again to resume.",
        "data_command.run_prepare",
    )
    prepare.add_argument("name", choices=DATA_SETS, help="data set")
    prepare.add_argument(
        "--published-split",
        action="store_true",
        help="acdc: hold out the 20 test patients of the published split instead of five folds",
    )
    pack = _add_command(
        actions,
        "pack",
        "write preprocessed slices to one file",
        "Preprocess all cases for a recipe and write them to one file, which 'flomo train --data "
        "FILE' accepts instead of the folder.",
        "data_command.run_pack",
    )
    pack.add_argument(
        "recipe", metavar="RECIPE", type=Path, help="YAML file, or name of a recipe of the package"
    )
    for action, out in ((prepare, "DIR"), (pack, "FILE")):
        action.add_argument("--source", metavar="DIR", type=Path, required=True, help="data folder")
        action.add_argument("--out", metavar=out, type=Path, required=True, help="output")
        action.add_argument(
            "--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS
        )


def _lazy(function: str) -> Callable[[argparse.Namespace], int]:
    """Return a command whose module is imported when it runs."""
    module, _, name = function.rpartition(".")

    def run(args: argparse.Namespace) -> int:
        code: int = getattr(import_training(f"flomo_training.{module}"), name)(args)
        return code

    return run


def import_training(name: str) -> ModuleType:
    """Import a training module.

    Raises a `FlomoError` that says how to install it if a package of the extra is missing.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in _TRAINING_PACKAGES:
            raise
        raise FlomoError(
            f"Training needs the package {missing}; install it with: "
            "pip install 'napari-flomo[train]'."
        ) from error
