"""The options of ``flomo calibrate``; nothing heavy is imported here."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path


def register(
    subparsers: argparse._SubParsersAction[argparse.ArgumentParser],
    run: Callable[[argparse.Namespace], int],
) -> None:
    """Add ``calibrate`` to the ``flomo`` command."""
    parser = subparsers.add_parser(
        "calibrate",
        help="fit a model's temperature",
        description="Fit the temperature that makes a model's probabilities honest, on labelled "
        "cases that it never saw, and write it into the model's card. Labels do not change.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--model", metavar="NAME|FOLDER", required=True, help="model name, or folder with a card"
    )
    parser.add_argument(
        "--data", metavar="DIR", type=Path, required=True, help="folder of the data set"
    )
    parser.add_argument("--fold", metavar="K", type=int, default=0, help="fold (default: 0)")
    parser.add_argument(
        "--split",
        choices=("validation", "all"),
        default="validation",
        help="cases held out in the fold, or all (default: %(default)s)",
    )
    parser.add_argument("--dry-run", action="store_true", help="leave the card as it is")
    parser.add_argument("--json", action="store_true", help="print the result as JSON on stdout")
    parser.set_defaults(run=run)
