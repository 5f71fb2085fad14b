"""Read files into layers: NIfTI, NRRD, MetaImage, DICOM files and folders."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from napari.utils.notifications import show_info
from numpy.typing import NDArray

from napari_flomo.errors import FlomoError
from napari_flomo.session import Preferences, image_name, messages
from napari_flomo.volumes import (
    READABLE,
    MissingValues,
    Volume,
    read,
    read_series,
    suffix_of,
    whole_labels,
)
from napari_flomo.volumes.dicom import SeveralSeries
from napari_flomo.widgets.label_files import label_arguments
from napari_flomo.widgets.layers import KEY, layer_of_volume
from napari_flomo.widgets.opening import holds_dicom, is_dicom_file, opening_of, volume_groups
from napari_flomo.widgets.series_dialog import ask_for_series

LayerData = tuple[Any, dict[str, Any], str]
Path_ = str | os.PathLike[str]

DISPLAYED = (0.5, 99.5)
"""Percentiles of the grey values that are shown as black and white at first."""

_PHOTOS = {".png", ".jpg", ".jpeg", ".tif", ".tiff"}  # napari opens them itself
_LABELS = re.compile(r"(^|[_\-. ])(labels?|seg|segmentation|masks?|gt)($|[_\-. ])", re.IGNORECASE)
_LARGEST_CODE = 255
_SAMPLED = 2_000_000

OPEN_WITH_NAPARI = "Medical images are opened with File > Open, or by dropping them on the window."
NOTHING: list[Any] = [(None,)]
"""Return value for a path that was read without adding a layer."""


def get_reader(
    path: Path_ | Sequence[Path_] | None = None,
) -> Callable[[Path_ | Sequence[Path_]], list[LayerData]] | None:
    """Return a function that reads a path, None if it cannot be read (called by napari).

    A folder is read if it contains a DICOM file; a file without a known suffix if it is one. The
    command palette gives no path; the user is then told how files are opened.
    """
    if path is None:
        show_info(OPEN_WITH_NAPARI)
        return None
    first = Path(path if isinstance(path, str | os.PathLike) else path[0])
    if first.is_dir():
        return read_layers if holds_dicom(first) else None
    suffix = suffix_of(first)
    ours = suffix in READABLE and suffix not in _PHOTOS
    return read_layers if ours or is_dicom_file(first) else None


def read_layers(path: Path_ | Sequence[Path_]) -> list[LayerData]:
    """Read one path, or several, into layers; DICOM files of one series are one layer.

    napari gives files that are opened together one by one, unless they are to be stacked. The
    first of a series adds all of them, the others nothing.

    Raises
    ------
    FlomoError
        As `napari_flomo.volumes.read`.
    """
    paths = [Path(path)] if isinstance(path, str | os.PathLike) else [Path(one) for one in path]
    call = opening_of(paths[0]) if len(paths) == 1 else None
    groups = volume_groups(paths) if call is None else [call.take(paths[0])]
    by_folder = Preferences().name_by_folder
    layers: list[LayerData] = []
    for group in groups:
        volume = _read(group) if group else None
        if volume is not None:
            data, arguments, kind = layer_data(_with_notes(volume), group[0])
            name = image_name(volume, group[0], by_folder=by_folder)
            layers.append((data, arguments | {"name": name}, kind))
    return layers or NOTHING


def _read(group: Sequence[Path]) -> Volume | None:
    """Read the paths of one volume; None if the user chose none of several series."""
    try:
        return _read_filled(group)
    except MissingValues as missing:  # napari can show it; Segment offers what can be done
        return replace(
            missing.volume,
            notes=(*missing.volume.notes, messages.MISSING_SHOWN.format(group[0].name)),
        )


def _read_filled(group: Sequence[Path]) -> Volume | None:
    first = group[0]
    if len(group) > 1 and not first.is_dir():
        return read_series(group, fill=True)
    try:
        return read(first, fill=True)
    except SeveralSeries as several:
        chosen = ask_for_series(several)
        return None if chosen is None else read(first, series=chosen, fill=True)


def _with_notes(volume: Volume) -> Volume:
    """Show the remarks of the reader."""
    for note in volume.notes:
        show_info(note)
    return volume


def layer_data(volume: Volume, path: Path | None = None) -> LayerData:
    """Return the layer of a volume: labels where name and values say so, else an image.

    ``path`` is the file that the volume was read from.
    """
    arguments = layer_of_volume(volume)
    if "channels" in volume.axes:
        return volume.data, arguments | {"rgb": True}, "image"
    if (labels := _labels_in(volume)) is not None:
        arguments |= {"metadata": {KEY: volume.with_data(labels)}}
        return labels, arguments | label_arguments(labels, path), "labels"
    return volume.data, arguments | {"contrast_limits": contrast_limits(volume.data)}, "image"


def contrast_limits(
    data: Any, low: float = DISPLAYED[0], high: float = DISPLAYED[1]
) -> tuple[float, float]:
    """Return grey values at two percentiles, estimated from a sample of a large image."""
    values = np.asarray(data).ravel()
    values = values[:: max(1, values.size // _SAMPLED)]
    values = values[np.isfinite(values)]
    if not values.size:
        return 0.0, 1.0
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
