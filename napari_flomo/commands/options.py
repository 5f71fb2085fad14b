"""Options that several commands have, and what they mean."""

from __future__ import annotations

import argparse
from pathlib import Path

from napari_flomo import DEFAULT_MODEL


def add_computing(parser: argparse.ArgumentParser) -> None:
    """Add ``--device``, ``--engine`` and ``--mirrored``: where and how a network is run."""
    parser.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        help="where to compute (default: the GPU if there is one)",
    )
    parser.add_argument(
        "--engine",
        metavar="NAME",
        default="auto",
        help="what runs the network: auto (the fastest here in float32; the default), fastest (in "
        "any precision), eager, fast, openvino, ...; docs/engines.md has them all",
    )
    parser.add_argument(
        "--mirrored",
        action="store_true",
        help="show the network each slice and its three mirror images, and take the mean: better "
        "labels in four times as long",
    )


def add_slice_axis(parser: argparse.ArgumentParser) -> None:
    """Add ``--slice-axis``: along which axis of a file the slices lie."""
    parser.add_argument(
        "--slice-axis",
        choices=("i", "j", "k"),
        help="along which axis of a NIfTI, NRRD or MetaImage file the slices lie, counted from the "
        "fastest in the file: i, j or k, as in nibabel and 3D Slicer (default: the axis with a "
        "clearly larger step or clearly fewer samples)",
    )


def model_folder(model: str | None, quiet: bool) -> Path:
    """Return the folder of the model that is asked for, fetched with a bar if it is not here.

    Parameters
    ----------
    model
        Name, folder or address; None stands for the default model, or what was promoted for it.
    quiet
        Whether to show no bar.

    Raises
    ------
    Cancelled
        On an interruption; it says that what was fetched is kept.
    FlomoError
        If there is no such model, or it cannot be fetched.
    """
    from napari_flomo.commands.models import kept
    from napari_flomo.models import in_use, locate
    from napari_flomo.progress import Progress, progress_bar

    wanted = in_use(DEFAULT_MODEL) if model is None else model
    with progress_bar("B", quiet=quiet) as report, kept():
        return locate(
            wanted, lambda done, total, _left: report(Progress(done, total, "Downloading"))
        )
