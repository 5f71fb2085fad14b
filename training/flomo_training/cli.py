"""The options of the commands that train and measure; nothing heavy is imported here."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path
from types import ModuleType

from napari_flomo.errors import FlomoError

DATA_SETS = ("acdc", "busi", "cvc_clinicdb", "montgomery")
"""What ``flomo data prepare`` knows."""

# The packages of the [train] extra whose absence deserves a plain sentence.
_TRAINING_PACKAGES = {"lightning", "matplotlib", "monai", "numba", "tensorboard", "yaml"}


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands that train and measure to ``flomo``.

    Each sets ``run``, a function of the parsed arguments that returns the exit code.
    """
    _register_train(subparsers)
    _register_crossval(subparsers)
    _register_evaluate(subparsers)
    _register_calibrate(subparsers)
    _register_gate(subparsers)
    _register_data(subparsers)


def _register_train(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "train",
        help="train a network from a recipe",
        description="Train a network as a recipe says. A run that was cut off goes on with "
        "--resume where its last checkpoint stands.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--fold",
        metavar="K|none",
        type=_fold_or_none,
        help="fold to hold out, or none (default: the recipe's)",
    )
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    parser.add_argument(
        "--out", metavar="DIR", type=Path, help="where checkpoints and the model go"
    )
    parser.add_argument(
        "--no-report",
        dest="report",
        action="store_false",
        help="leave the held-out fold alone: no figures, no pictures",
    )
    _add_run(parser)
    parser.set_defaults(run=_train)


def _fold_or_none(text: str) -> int | str:
    """Parse the number of a fold, or the word ``none``."""
    return text if text == "none" else int(text)


def _register_crossval(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "crossval",
        help="train and measure every fold of a recipe",
        description="Train every fold of a recipe and measure each on the patients it held out. "
        "The same command goes on where it was cut off.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--folds", metavar="K", type=int, nargs="+", help="which folds (default: all)"
    )
    parser.add_argument("--out", metavar="DIR", type=Path, help="where the runs and the table go")
    parser.add_argument("--json", action="store_true", help="print the result as JSON on stdout")
    _add_run(parser)
    parser.set_defaults(run=_crossval)


def _add_run(parser: argparse.ArgumentParser) -> None:
    """Add what every run has: recipe, data, and hardware in the words of Lightning."""
    parser.add_argument(
        "recipe", metavar="RECIPE", type=Path, help="YAML file with every number, or a name"
    )
    parser.add_argument(
        "--data", metavar="DIR", type=Path, help="folder of the data set (default: the recipe's)"
    )
    group = parser.add_argument_group("hardware (default: the recipe's)")
    group.add_argument("--accelerator", metavar="KIND", help="auto, cpu or gpu")
    group.add_argument("--devices", metavar="N", type=int, help="devices of a machine")
    group.add_argument("--num-nodes", metavar="N", type=int, help="machines")
    group.add_argument("--strategy", metavar="NAME", help="for example ddp")


def _add_model_and_data(parser: argparse.ArgumentParser) -> None:
    """Add what is measured, and on which fold."""
    parser.add_argument(
        "--model", metavar="NAME|FOLDER", required=True, help="model name, or folder with a card"
    )
    parser.add_argument(
        "--data", metavar="DIR", type=Path, required=True, help="folder of the data set"
    )
    parser.add_argument("--fold", metavar="K", type=int, default=0, help="fold (default: 0)")


def _register_evaluate(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "evaluate",
        help="measure a model on labelled data",
        description="Segment the cases of a data set and compare with their labels.",
        allow_abbrev=False,
    )
    _add_model_and_data(parser)
    parser.add_argument(
        "--split",
        choices=("validation", "training", "all"),
        default="validation",
        help="cases held out in the fold, the others, or all (default: %(default)s)",
    )
    parser.add_argument("--out", metavar="FILE", type=Path, help="also write the table (CSV)")
    parser.add_argument(
        "--json",
        metavar="FILE",
        nargs="?",
        const="-",
        help="write the result as JSON, to stdout without FILE",
    )
    parser.add_argument(
        "--gallery", metavar="FILE", type=Path, help="also draw the worst cases (PNG)"
    )
    parser.add_argument(
        "--record", action="store_true", help="write the figures into the model's card"
    )
    parser.add_argument(
        "--mirrored",
        action="store_true",
        help="measure the mean over each slice and its three mirror images",
    )
    parser.add_argument(
        "--uncertainty",
        metavar="DIR",
        type=Path,
        help="also measure the uncertainty (calibration, errors found, all maps) and write the "
        "report into a folder; takes ten times as long and more",
    )
    parser.set_defaults(run=_evaluate)


def _register_calibrate(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "calibrate",
        help="fit a model's temperature",
        description="Fit the temperature that makes a model's probabilities honest, on labelled "
        "cases that it never saw, and write it into the model's card. Its weights do not change.",
        allow_abbrev=False,
    )
    _add_model_and_data(parser)
    parser.add_argument(
        "--split",
        choices=("validation", "all"),
        default="validation",
        help="cases held out in the fold, or all (default: %(default)s)",
    )
    parser.add_argument("--dry-run", action="store_true", help="leave the card as it is")
    parser.add_argument("--json", action="store_true", help="print the result as JSON on stdout")
    parser.set_defaults(run=_calibrate)


def _register_gate(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "gate",
        help="compare a tuned model with its parent",
        description="Compare a tuned model with its parent on a reference set and on corrections "
        "that were kept out of training, and say whether it may take its place. The verdict goes "
        "into its card.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--candidate", metavar="DIR", required=True, help="folder or name of the tuned model"
    )
    parser.add_argument(
        "--parent", metavar="NAME|DIR", help="its parent (default: the one that its card names)"
    )
    parser.add_argument("--store", metavar="DIR", type=Path, help="store of corrections")
    parser.add_argument(
        "--held-out",
        metavar="FILE",
        type=Path,
        help='what was kept out of training: JSON list of {"record_id", "frame", "slices"}',
    )
    parser.add_argument(
        "--reference",
        metavar="DIR",
        type=Path,
        help="prepared data of the base task (default: what is packed with the parent)",
    )
    parser.add_argument(
        "--rules", metavar="FILE", type=Path, help="YAML file with margins (default: built in)"
    )
    parser.add_argument(
        "--out", metavar="DIR", type=Path, help="for the report (default: gate/ in the candidate)"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default: auto)")
    parser.add_argument("--json", action="store_true", help="print the report as JSON on stdout")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress bar, no summary")
    parser.add_argument(
        "--strict", action="store_true", help="end with 3 when the candidate did not pass"
    )
    parser.set_defaults(run=_gate)


def _register_data(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "data",
        help="prepare a data set, or pack it into one file",
        description="Make data sets ready for training.",
        allow_abbrev=False,
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    prepare = actions.add_parser(
        "prepare",
        help="check a data set and lay it out for training",
        description="Check a data set as its makers give it out, and write images, labels, "
        "cases.csv, folds.json and a manifest with the SHA-256 of each file. The same command goes "
        "on where it was cut off.",
        allow_abbrev=False,
    )
    prepare.add_argument("name", choices=DATA_SETS, help="which data set it is")
    prepare.add_argument(
        "--published-split",
        action="store_true",
        help="acdc: hold out the 20 test patients of the published split instead of five folds",
    )
    pack = actions.add_parser(
        "pack",
        help="write the slices of a recipe to one file",
        description="Bring all cases to the pixels of a recipe and write them to one file, which "
        "'flomo train --data FILE' takes in place of the folder.",
        allow_abbrev=False,
    )
    pack.add_argument(
        "recipe", metavar="RECIPE", type=Path, help="YAML file with every number, or a name"
    )
    for action, run, out in ((prepare, _prepare, "DIR"), (pack, _pack, "FILE")):
        action.add_argument(
            "--source", metavar="DIR", type=Path, required=True, help="folder of the data set"
        )
        action.add_argument("--out", metavar=out, type=Path, required=True, help="what to write")
        action.add_argument(
            "--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS
        )
        action.set_defaults(run=run)


def _train(args: argparse.Namespace) -> int:
    code: int = import_training("flomo_training.fit").run_training(args)
    return code


def _crossval(args: argparse.Namespace) -> int:
    code: int = import_training("flomo_training.crossval").run_crossval(args)
    return code


def _calibrate(args: argparse.Namespace) -> int:
    code: int = import_training("flomo_training.uncertainty.command").run_calibration(args)
    return code


def _evaluate(args: argparse.Namespace) -> int:
    code: int = import_training("flomo_training.evaluate").run_evaluation(args)
    return code


def _gate(args: argparse.Namespace) -> int:
    code: int = import_training("flomo_training.gate.command").run_gate_command(args)
    return code


def _prepare(args: argparse.Namespace) -> int:
    code: int = import_training("flomo_training.data_command").run_prepare(args)
    return code


def _pack(args: argparse.Namespace) -> int:
    code: int = import_training("flomo_training.data_command").run_pack(args)
    return code


def import_training(name: str) -> ModuleType:
    """Import a training module.

    Raises
    ------
    FlomoError
        If a package of the extra is missing; it says how to get it.
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
