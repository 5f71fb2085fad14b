"""Read files into layers: NIfTI, NRRD, MetaImage, DICOM files and folders."""

from __future__ import annotations

import math
import os
import re
import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from napari.utils.notifications import show_info
from numpy.typing import NDArray

from napari_flomo.errors import FlomoError
from napari_flomo.volumes import (
    READABLE,
    Volume,
    read,
    read_series,
    series_name,
    suffix_of,
    whole_labels,
)
from napari_flomo.volumes.dicom import SeveralSeries, is_dicom
from napari_flomo.widgets.layers import KEY, layer_of_volume
from napari_flomo.widgets.series_dialog import ask_for_series

LayerData = tuple[Any, dict[str, Any], str]
Path_ = str | os.PathLike[str]

DISPLAYED = (0.5, 99.5)
"""Percentiles of the grey values that are shown as black and white at first."""

_PHOTOS = {".png", ".jpg", ".jpeg", ".tif", ".tiff"}  # napari opens them itself
_LABELS = re.compile(r"(^|[_\-. ])(labels?|seg|segmentation|masks?|gt)($|[_\-. ])", re.IGNORECASE)
_LARGEST_CODE = 255
_SAMPLED = 2_000_000
_FILES_TO_PROBE = 50
_DICOM = {".dcm", ".dicom", ".ima"}
_ONE_DROP_S = 20.0

NOTHING: list[Any] = [(None,)]
"""Return value for a path that was read without adding a layer."""


def get_reader(
    path: Path_ | Sequence[Path_],
) -> Callable[[Path_ | Sequence[Path_]], list[LayerData]] | None:
    """Return a function that reads a path, None if it cannot be read (called by napari).

    A folder is read if it contains a DICOM file; a file without a known suffix if it is one.
    """
    first = Path(path if isinstance(path, str | os.PathLike) else path[0])
    if first.is_dir():
        return read_layers if _holds_dicom(first) else None
    suffix = suffix_of(first)
    ours = {*READABLE, *_DICOM} - _PHOTOS
    return read_layers if suffix in ours or (suffix not in _PHOTOS and _is_dicom(first)) else None


def read_layers(path: Path_ | Sequence[Path_]) -> list[LayerData]:
    """Read one path, or several, into one layer each; DICOM files of one series are one layer.

    napari gives files that are dropped together one by one, unless they are to be stacked. The
    first of a series adds all of it, the others nothing.

    Raises
    ------
    FlomoError
        As `napari_flomo.volumes.read`.
    """
    paths = [Path(path)] if isinstance(path, str | os.PathLike) else [Path(one) for one in path]
    slices = [one for one in paths if _is_series_file(one)]
    if len(slices) > 1:
        volumes = [read_series(files, fill=True) for files in _by_series(slices)]
        volumes += [read(one, fill=True) for one in paths if one not in slices]
        return [layer_data(_with_notes(volume)) for volume in volumes]
    if len(paths) == 1 and slices and not _DROP.is_new(paths[0]):
        return NOTHING
    layers = [
        layer_data(_with_notes(volume)) for one in paths if (volume := _read(one)) is not None
    ]
    _DROP.touch()
    return layers or NOTHING


class _Drop:
    """The files that are being dropped together, by folder and series."""

    def __init__(self) -> None:
        self._given: dict[tuple[Path, str | None], set[Path]] = {}
        self._last = -math.inf

    def is_new(self, path: Path) -> bool:
        """Return True for the first file of a series, and note it.

        A drop ends after a while, or when a file comes again.
        """
        place = path.resolve()
        key = (place.parent, series_name(path))
        given = self._given.get(key, set())
        if place in given or time.monotonic() - self._last > _ONE_DROP_S:
            self._given.clear()
        new = key not in self._given
        self._given.setdefault(key, set()).add(place)
        self.touch()
        return new

    def touch(self) -> None:
        """Note that a file has just been read, however long that took."""
        self._last = time.monotonic()


_DROP = _Drop()


def _read(path: Path) -> Volume | None:
    """Read a path, asking which series is meant where there are several; None if none is."""
    try:
        return read(path, fill=True)
    except SeveralSeries as several:
        chosen = ask_for_series(several)
        return None if chosen is None else read(path, series=chosen, fill=True)


def _with_notes(volume: Volume) -> Volume:
    """Show the remarks of the reader."""
    for note in volume.notes:
        show_info(note)
    return volume


def _by_series(paths: Sequence[Path]) -> list[list[Path]]:
    series: dict[str | None, list[Path]] = {}
    for path in paths:
        series.setdefault(series_name(path), []).append(path)
    if len(series) > 1:
        try:  # each slice in a series of its own
            read_series(paths)
        except FlomoError:
            return list(series.values())
        return [list(paths)]
    return list(series.values())


def _is_series_file(path: Path) -> bool:
    if path.is_dir() or path.name.upper() == "DICOMDIR":
        return False
    suffix = suffix_of(path)
    return suffix in _DICOM or (suffix not in READABLE and _is_dicom(path))


def _is_dicom(path: Path) -> bool:
    try:
        return is_dicom(path)
    except FlomoError:
        return False


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
    """Return grey values at two percentiles, estimated from a sample of a large image."""
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
    """Return True if one of the first files of a folder is DICOM."""
    files = (entry for entry in folder.rglob("*") if entry.is_file())
    for file in islice(files, _FILES_TO_PROBE):
        try:
            with file.open("rb") as stream:
                if stream.read(132)[128:] == b"DICM":
                    return True
        except OSError:
            continue
    return False
