"""Commands with actions, such as ``flomo models pull``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any


def add_actions(
    subparsers: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    text: str,
    epilog: str,
) -> Callable[[str, Callable[[argparse.Namespace], int], str], Any]:
    """Add a command and return a function that adds actions to it.

    Parameters
    ----------
    subparsers
        Subparsers of ``flomo``.
    name, text, epilog
        Name, help and epilog of the command.

    Returns
    -------
    Callable
        Takes the name, function and help of an action; returns its parser, which has ``--json``.
    """
    parser = subparsers.add_parser(
        name,
        help=text,
        description=text.capitalize() + ".",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)

    def add(name: str, run: Callable[[argparse.Namespace], int], text: str) -> Any:
        action = actions.add_parser(name, help=text, description=text.capitalize() + ".")
        action.add_argument("--json", action="store_true", help="print the result as JSON")
        action.add_argument(
            "--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS
        )
        action.set_defaults(run=run)
        return action

    return add
