"""Options shared by several commands."""

from __future__ import annotations

import argparse
from pathlib import Path

from napari_flomo import DEFAULT_MODEL


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
        help="runtime of the network: auto (the fastest in float32; the default), fastest (in any "
        "precision), eager, fast, openvino, ...; docs/engines.md lists all",
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

    Parameters
    ----------
    model
        Name, folder or address; None means the default model, or the one that was promoted for it.
    quiet
        Whether to hide the progress bar.

    Raises
    ------
    Cancelled
        On an interruption; it says that the model was not downloaded.
    FlomoError
        If there is no such model, or it cannot be downloaded.
    """
    from napari_flomo.commands.models import interruptible_download
    from napari_flomo.models import in_use, locate
    from napari_flomo.progress import progress_bar

    wanted = in_use(DEFAULT_MODEL) if model is None else model
    with progress_bar("B", quiet=quiet) as progress, interruptible_download():
        return locate(wanted, progress)
