"""Files into layers: NIfTI, NRRD, MetaImage, a DICOM file or folder. Knows no Qt."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_flomo.errors import FlomoError
from napari_flomo.volumes import READABLE, Volume, read, suffix_of, whole_labels
from napari_flomo.widgets.layers import KEY, layer_of_volume

LayerData = tuple[Any, dict[str, Any], str]
Path_ = str | os.PathLike[str]

DISPLAYED = (0.5, 99.5)
"""Percentiles of the grey values that are shown as black and white at first."""

_PHOTOS = {".png", ".jpg", ".jpeg", ".tif", ".tiff"}  # napari opens them itself
_LABELS = re.compile(r"(^|[_\-. ])(labels?|seg|segmentation|masks?|gt)($|[_\-. ])", re.IGNORECASE)
_LARGEST_CODE = 255
_SAMPLED = 2_000_000
_FILES_TO_PROBE = 50


def get_reader(
    path: Path_ | Sequence[Path_],
) -> Callable[[Path_ | Sequence[Path_]], list[LayerData]] | None:
    """Return a function that reads a path, or None if it is nothing for us (asked by napari).

    A folder is ours when it holds a DICOM file.
    """
    first = Path(path if isinstance(path, str | os.PathLike) else path[0])
    if first.is_dir():
        return read_layers if _holds_dicom(first) else None
    suffix = suffix_of(first)
    ours = {*READABLE, ".dicom", ".ima"} - _PHOTOS
    return read_layers if suffix in ours else None


def read_layers(path: Path_ | Sequence[Path_]) -> list[LayerData]:
    """Read one path, or several, into one layer each.

    Raises
    ------
    FlomoError
        As `napari_flomo.volumes.read`.
    """
    paths = [path] if isinstance(path, str | os.PathLike) else list(path)
    return [layer_data(read(one, fill=True)) for one in paths]


def layer_data(volume: Volume) -> LayerData:
    """Return the layer of a volume: labels where name and values say so, else an image."""
    arguments = layer_of_volume(volume)
    if "channels" in volume.axes:
        return volume.data, arguments | {"rgb": True}, "image"
    if (labels := _labels_in(volume)) is not None:
        return labels, arguments | {"metadata": {KEY: volume.with_data(labels)}}, "labels"
    return volume.data, arguments | {"contrast_limits": contrast_limits(volume.data)}, "image"


def contrast_limits(
    data: Any, low: float = DISPLAYED[0], high: float = DISPLAYED[1]
) -> tuple[float, float]:
    """Return grey values at two percentiles, judged by a sample of a large image."""
    values = np.asarray(data).ravel()
    values = values[:: max(1, values.size // _SAMPLED)]
    bottom, top = (float(value) for value in np.percentile(values, (low, high)))
    return (bottom, top) if top > bottom else (bottom, bottom + 1)


def _labels_in(volume: Volume) -> NDArray[np.integer] | None:
    """Return the labels of a volume that is named so and holds few small whole numbers."""
    if not _LABELS.search(volume.source):
        return None
    try:
        data = whole_labels(volume).data
    except FlomoError:
        return None
    if data.min() < 0 or data.max() > _LARGEST_CODE:
        return None
    return data if volume.data.dtype.kind in "iu" else data.astype(np.uint8)


def _holds_dicom(folder: Path) -> bool:
    """Look for the mark of DICOM in the first files; reading all headers comes later."""
    files = (entry for entry in folder.rglob("*") if entry.is_file())
    for file in islice(files, _FILES_TO_PROBE):
        try:
            with file.open("rb") as stream:
                if stream.read(132)[128:] == b"DICM":
                    return True
        except OSError:
            continue
    return False
