"""Contrast as percentiles: grey values differ between scanners, their distribution less."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_flomo.widgets.reader import contrast_limits

if TYPE_CHECKING:
    from napari.layers import Image

_SAMPLED = 500_000


def apply(layer: Image, data: NDArray[Any], percentiles: tuple[float, float]) -> None:
    """Set the contrast of a layer to two percentiles of the grey values of its image."""
    layer.contrast_limits = contrast_limits(data, *percentiles)


def percentiles_of(layer: Image, data: NDArray[Any]) -> tuple[float, float]:
    """Return which percentiles of the grey values are black and white now."""
    flat = data.ravel()
    values = np.sort(flat[:: max(1, flat.size // _SAMPLED)])
    low, high = np.searchsorted(values, layer.contrast_limits) / values.size * 100
    low = float(np.clip(round(low, 2), 0, 99))
    return low, float(np.clip(round(high, 2), low + 0.5, 100))
