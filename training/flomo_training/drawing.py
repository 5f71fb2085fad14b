"""Drawing of slices and contours for all pictures of this package."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from flomo_training.metrics import bounding_box
from napari_flomo.files import atomic_write
from napari_flomo.models import Label

MARGIN = 0.6
"""Margin around the structures, as a fraction of their larger side."""

BACKGROUND, FOREGROUND = "#111111", "#f0f0f0"


def save_figure(figure: Figure, path: Path, dpi: int = 110) -> None:
    """Write a figure as PNG."""
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=dpi, format="png")


def hide_frame(axes: Axes) -> None:
    """Remove the upper and right edges of a plot."""
    axes.spines[["top", "right"]].set_visible(False)


def display_range(pixels: NDArray[Any]) -> tuple[float, float]:
    """Return the intensities of an image that are displayed as black and white."""
    low, high = np.percentile(pixels, (1, 99.5))
    return float(low), float(high)


def crop_around(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Return a square of rows and columns around a mask ``(rows, columns)``, clipped to the image.

    An empty mask gives the whole image.
    """
    if not mask.any():
        return slice(None), slice(None)
    box = bounding_box(mask)
    half = (0.5 + MARGIN) * max(part.stop - part.start for part in box)
    parts = []
    for part, length in zip(box, mask.shape, strict=True):
        middle = (part.start + part.stop) / 2
        parts.append(slice(max(0, round(middle - half)), min(length, round(middle + half))))
    return parts[0], parts[1]


def draw_image(axes: Axes, image: NDArray[Any], window: tuple[float, float], aspect: float) -> None:
    """Draw a slice ``(rows, columns)`` or ``(rows, columns, channels)``.

    ``window`` has the intensities displayed as black and white; ``aspect`` is the height of a pixel
    divided by its width.
    """
    if image.ndim == 3 and image.shape[2] >= 3:
        axes.imshow(image[..., :3], aspect=aspect)  # without opacity
    else:
        grey = image if image.ndim == 2 else image[..., 0]
        low, high = window
        axes.imshow(grey, cmap="gray", vmin=low, vmax=max(high, low + 1e-6), aspect=aspect)
    axes.axis("off")


def draw_contours(axes: Axes, codes: NDArray[Any], labels: Sequence[Label]) -> None:
    """Draw the outlines of the structures of a slice ``(rows, columns)`` in the card's colours."""
    for label in labels:
        mask = np.equal(codes, label.code)
        if mask.any():
            # Padding closes contours at the edge of the image.
            extent = np.pad(mask.astype(np.float32), 1)
            grid = [np.arange(-1, length + 1) for length in mask.shape]
            axes.contour(
                grid[1], grid[0], extent, levels=[0.5], colors=[label.colour], linewidths=1.3
            )


def draw_legend(figure: Figure, labels: Sequence[Label]) -> None:
    """Draw the names of the structures below a figure."""
    lines = [Line2D([], [], color=label.colour, label=label.name) for label in labels]
    style = {"frameon": False, "labelcolor": FOREGROUND, "fontsize": 9}
    figure.legend(handles=lines, loc="outside lower center", ncol=len(lines), **style)
