"""``flomo worker``: the child process that does the long work of a viewer."""

from __future__ import annotations

import argparse


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``flomo worker``."""
    parser = subparsers.add_parser(
        "worker",
        help="work for a viewer (started by the plugins)",
        description="Do the long work of a viewer: requests on stdin, answers on stdout, one JSON "
        "object per line. Started by the plugins.",
        allow_abbrev=False,
    )
    parser.set_defaults(run=run)


def run(_args: argparse.Namespace) -> int:
    """Serve until stdin is closed."""
    from napari_flomo.jobs.worker_main import serve

    serve()
    return 0
