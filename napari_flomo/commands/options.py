"""Options and arguments shared by several commands."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_flomo import DEFAULT_MODEL
from napari_flomo.errors import Cancelled
from napari_flomo.progress import ProgressCallback, progress_bar

if TYPE_CHECKING:
    from napari_flomo.models import Family

LARGEST_INDEX = 99_999

_RANGE = re.compile(r"(\d+)(?:-(\d+))?")


def add_computing(parser: argparse.ArgumentParser) -> None:
    """Add ``--device``, ``--engine`` and ``--mirrored``."""
    parser.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        help="device to compute on (default: the GPU if there is one)",
    )
    parser.add_argument(
        "--engine",
        metavar="NAME",
        default="auto",
        help="runtime of the network: auto (the usual one in float32; the default), fastest (may "
        "be in lower precision), eager, onnxruntime, openvino, ...; docs/engines.md lists all",
    )
    parser.add_argument(
        "--mirrored",
        action="store_true",
        help="average the predictions of each slice and its three mirror images: better labels in "
        "four times as long",
    )


def add_slice_axis(parser: argparse.ArgumentParser) -> None:
    """Add ``--slice-axis``."""
    parser.add_argument(
        "--slice-axis",
        choices=("i", "j", "k"),
        help="slice axis of a NIfTI, NRRD or MetaImage file, counted from the fastest axis of the "
        "file: i, j or k, as in nibabel and 3D Slicer (default: the axis with a "
        "clearly larger step or clearly fewer samples)",
    )


def model_folder(model: str | None, quiet: bool) -> Path:
    """Return the folder of a model; download it with a progress bar if needed.

    ``model`` is a name, folder or address; None means the default model, or the one that was
    promoted for it and is no specialist. Raises `Cancelled` on an interruption, and `FlomoError`
    if the model does not exist or cannot be downloaded.
    """
    from napari_flomo.models import AUTOMATIC, locate

    with download_progress(quiet) as progress:
        return locate(AUTOMATIC if model is None else model, progress)


def default_family(model: str | None) -> Family | None:
    """Return the family of which each image chooses a member; None if a model was named."""
    from napari_flomo.models import AUTOMATIC, family

    if model not in (None, AUTOMATIC):
        return None
    members = family(DEFAULT_MODEL)
    for problem in members.problems:
        print(f"Warning: {problem}", file=sys.stderr)
    return members if members.specialists else None


@contextmanager
def download_progress(quiet: bool) -> Iterator[ProgressCallback]:
    """Show the progress of a download, and explain an interruption in one sentence."""
    try:
        with progress_bar("B", quiet=quiet) as progress:
            yield progress
    except KeyboardInterrupt as error:
        raise Cancelled("Interrupted; the model was not downloaded.") from error


def add_actions(
    subparsers: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    text: str,
    epilog: str,
) -> Callable[[str, Callable[[argparse.Namespace], int], str], Any]:
    """Add a command and return a function that adds actions to it.

    The function takes name, function and help of an action, and returns its parser, which has
    ``--json``.
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


def indices(text: str) -> list[int]:
    """Parse indices such as ``0,3,5-9`` (from 0, ends included); an argparse type.

    Returns them in ascending order without duplicates.
    """
    chosen: set[int] = set()
    for part in text.split(","):
        match = _RANGE.fullmatch(part.strip())
        if match is None:
            raise argparse.ArgumentTypeError(
                f"{text!r} is not a list like 0,3,5-9 (counted from 0)"
            )
        first = int(match[1])
        last = first if match[2] is None else int(match[2])
        if last < first:
            raise argparse.ArgumentTypeError(f"the range {part.strip()} is in descending order")
        if last > LARGEST_INDEX:
            raise argparse.ArgumentTypeError(f"{last} is too large")
        chosen.update(range(first, last + 1))
    return sorted(chosen)
