"""A small picture of a slice with the contours of its labels."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_flomo.corrections import Preview

PIXELS = 72
_MARGIN = 0.5  # around the labels, as a fraction of their size
_DISPLAYED = (1, 99)  # percentiles that are black and white
_OTHER = "#9ca3af"


def thumbnail(shown: Preview, colours: Mapping[int, str]) -> bytes:
    """Return a square PNG of the part of a slice that has labels, or of the whole slice.

    ``colours`` are those of the labels by their codes; other codes are grey.
    """
    from PIL import Image, ImageColor
    from skimage.segmentation import find_boundaries

    rows, columns = _samples(shown.labels)
    labels, picture = shown.labels[rows, columns], _as_rgb(shown.image[rows, columns])
    contours = find_boundaries(labels, mode="inner") & (labels > 0)
    for code in np.unique(labels[contours]):
        colour = ImageColor.getrgb(colours.get(int(code), _OTHER))
        picture[contours & (labels == code)] = colour[:3]
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()


def _samples(labels: NDArray[np.integer]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the rows and columns of the pixels to show, as an open mesh."""
    shape = np.array(labels.shape)
    where = np.argwhere(labels)
    low, high = (where.min(0), where.max(0) + 1) if len(where) else (np.zeros(2), shape)
    side = float((high - low).max() * (1 + _MARGIN))
    start = np.clip((low + high - side) / 2, 0, np.maximum(shape - side, 0))
    axes = [
        np.linspace(first, min(first + side, length) - 1, PIXELS).round().astype(np.intp)
        for first, length in zip(start, shape, strict=True)
    ]
    rows, columns = np.ix_(*axes)
    return rows, columns


def _as_rgb(image: NDArray[Any]) -> NDArray[np.uint8]:
    grey = image[..., :3] if image.ndim == 3 else np.repeat(image[..., np.newaxis], 3, -1)
    values = grey.astype(np.float32)
    low, high = np.nanpercentile(values, _DISPLAYED)
    scaled = np.nan_to_num((values - low) / max(float(high - low), 1e-9))
    return (scaled.clip(0, 1) * 255).astype(np.uint8)
