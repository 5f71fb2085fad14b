"""``flomo worklist``: the studies of a folder and how far they are."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_flomo.commands.report import print_json

if TYPE_CHECKING:
    from napari_flomo.session.worklist import ListedStudy


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the options of ``flomo worklist``."""
    parser = subparsers.add_parser(
        "worklist",
        help="list the studies of a folder and their review states",
        description="List the studies below a folder with the states of the Studies panel: new, "
        "segmented, in review or accepted. Nothing is changed.",
        allow_abbrev=False,
    )
    parser.add_argument("input", metavar="FOLDER", type=Path, help="folder of the studies")
    parser.add_argument("--json", action="store_true", help="print the states as JSON on stdout")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the states."""
    from napari_flomo.session import study_messages
    from napari_flomo.session.worklist import WorkList

    worklist = WorkList(args.input)
    studies = worklist.refresh()
    if args.json:
        print_json({"studies": [_as_json(one) for one in studies], "gone": worklist.gone})
        return 0
    rows = [(one.study.id, *study_messages.row(one)[1:]) for one in studies]
    width = max((len(state) for _, state, _ in rows), default=0)
    for id, state, slices in rows:
        print(f"{state:{width}}  {slices or '-':>12}  {id}")
    print(study_messages.progress_text(worklist))
    return 0


def _as_json(one: ListedStudy) -> dict[str, Any]:
    return {
        "study": one.study.id,
        "series": one.study.series,
        "state": str(one.state),
        "accepted": one.accepted,
        "slices": one.slices,
        "changed": one.changed,
        "unsaved": one.unsaved,
        "labels": None if one.labels is None else str(one.labels),
    }
