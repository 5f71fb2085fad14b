"""Pictures of the images that changed most."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from flomo_training.drawing import (
    BACKGROUND,
    FOREGROUND,
    crop_around,
    display_range,
    draw_contours,
    draw_image,
    draw_legend,
)
from flomo_training.gate.comparison import ComparedLabels, ImageComparison
from napari_flomo.models import Label

MOST_PICTURES = 6
"""Most pictures in a report."""


@dataclass(frozen=True, eq=False)
class ChangedSlice:
    """The slice of an image with the largest difference, as pixels and codes ``(rows, columns)``.

    ``change`` is the absolute change of the image's mean Dice, 0 if it has none. For ``window`` and
    ``aspect`` see `flomo_training.drawing.draw_image`.
    """

    title: str
    change: float
    codes: tuple[int, ...]
    image: NDArray[Any]
    before: NDArray[np.integer]
    after: NDArray[np.integer]
    truth: NDArray[np.integer]
    window: tuple[float, float]
    aspect: float


def most_changed_slice(comparison: ImageComparison, labels: ComparedLabels) -> ChangedSlice | None:
    """Return the slice in which the models differ most; None if they agree everywhere."""
    different = (labels.before != labels.after).sum((1, 2))
    if not different.any():
        return None
    index = int(different.argmax())
    shown = [codes[index] for codes in (labels.before, labels.after, labels.truth)]
    part = crop_around(np.any([codes > 0 for codes in shown], axis=0))
    image = labels.volume.data[index][part].copy()
    row_step, column_step = labels.volume.in_plane_spacing
    before, after = comparison.dice
    dice = "" if math.isnan(before) else f"   Dice of the image {before:.3f} to {after:.3f}"
    place = f"   slice {index + 1} of {len(labels.truth)}" if len(labels.truth) > 1 else ""
    return ChangedSlice(
        title=comparison.image.name + place + dice,
        change=0.0 if math.isnan(before) else abs(after - before),
        codes=comparison.image.codes,
        image=image,
        before=shown[0][part].copy(),
        after=shown[1][part].copy(),
        truth=shown[2][part].copy(),
        window=display_range(image),
        aspect=row_step / column_step,
    )


def draw(shown: ChangedSlice, labels: Sequence[Label], picture: Path) -> None:
    """Draw image, parent, candidate and labels side by side, as PNG."""
    figure = Figure(figsize=(10.4, 3.3), facecolor=BACKGROUND, layout="constrained")
    figure.suptitle(shown.title, color=FOREGROUND, fontsize=10)
    contents = {
        "image": None,
        "before: parent": shown.before,
        "after: candidate": shown.after,
        "labels": shown.truth,
    }
    for axes, (name, codes) in zip(figure.subplots(1, 4), contents.items(), strict=True):
        draw_image(axes, shown.image, shown.window, shown.aspect)
        axes.set_title(name, color=FOREGROUND, fontsize=9, pad=3)
        if codes is not None:
            draw_contours(axes, codes, labels)
    draw_legend(figure, [label for label in labels if label.code in shown.codes])
    figure.savefig(picture, dpi=110, format="png")
