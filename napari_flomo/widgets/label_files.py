"""Show label files with the colours and names that our results have."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_flomo import DEFAULT_MODEL
from napari_flomo.errors import FlomoError
from napari_flomo.models import Label, info
from napari_flomo.volumes import suffix_of
from napari_flomo.widgets.results import UNKNOWN, label_colours, label_names

COHORT = "flomo-cohort.json"
"""Marks a folder of results and names their model."""

_FOLDERS_ABOVE = 4


def label_arguments(labels: NDArray[np.integer], path: Path | None) -> dict[str, Any]:
    """Return colours and names of a label file as arguments of a labels layer.

    The names come from the file itself (NRRD segmentations) or from the model of the results that
    it is part of. Other files have the colours of the default model if all of their codes are codes
    of that, but no names: another program may use the same codes for other structures.
    """
    known = () if path is None else _named_segments(path) or _labels_of_cohort(path)
    offered = known or info(DEFAULT_MODEL)[1].labels
    if not set(np.unique(labels).tolist()) - {0} <= {label.code for label in offered}:
        return {}
    arguments: dict[str, Any] = {"colormap": label_colours(offered)}
    return arguments | {"features": label_names(known)} if known else arguments


def _named_segments(path: Path) -> Sequence[Label]:
    """Return the segments that the header of an NRRD file names."""
    if suffix_of(path) != ".nrrd":
        return ()
    import nrrd

    with suppress(OSError, LookupError, ValueError, nrrd.NRRDError):
        header = nrrd.read_header(str(path))
        numbers = [key.split("_")[0] for key in header if str(key).endswith("_LabelValue")]
        return [
            Label(int(header[f"{one}_LabelValue"]), header[f"{one}_Name"], UNKNOWN)
            for one in numbers
        ]
    return ()


def _labels_of_cohort(path: Path) -> Sequence[Label]:
    """Return the labels of the model that made the results around a file, if it is known here."""
    for folder in path.resolve().parents[:_FOLDERS_ABOVE]:
        marker = folder / COHORT
        if marker.is_file():
            with suppress(FlomoError, OSError, ValueError, LookupError, TypeError):
                return info(str(json.loads(marker.read_text("utf-8"))["model"]["name"]))[1].labels
            return ()
    return ()
