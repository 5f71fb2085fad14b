"""Picture of the worst cases of an evaluation: image, reference and result."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from flomo_training.drawing import (
    BACKGROUND,
    FOREGROUND,
    crop_around,
    display_range,
    draw_contours,
    draw_image,
    draw_legend,
    save_figure,
)
from flomo_training.metrics_table import StructureMetrics
from napari_flomo.errors import FlomoError
from napari_flomo.models import Label
from napari_flomo.volumes import Volume

ACROSS = 2
"""Cases per row."""


@dataclass(frozen=True, eq=False)
class GalleryCase:
    """One case of the gallery: the slice with the most wrong pixels.

    ``dice`` is the mean over its structures, ``place`` the position of the slice, such as
    ``"slice 3 of 10"``, empty for a photo. For ``window`` and ``aspect`` see
    `flomo_training.drawing.draw_image`.
    """

    rows: Sequence[StructureMetrics]
    dice: float
    image: NDArray[Any]
    reference: NDArray[Any]
    result: NDArray[Any]
    window: tuple[float, float]
    place: str
    aspect: float


class WorstCases:
    """Collects the cases with the lowest Dice, one slice of each, and draws them."""

    def __init__(self, count: int = 6) -> None:
        self.count = count
        self.cases: list[GalleryCase] = []
        """The worst first; ties in the order of arrival."""

    def add(
        self,
        volume: Volume,
        reference: NDArray[Any],
        result: NDArray[Any],
        rows: Sequence[StructureMetrics],
    ) -> None:
        """Keep a case if it is one of the worst; codes are ``(slices, rows, columns)``."""
        values = [row.dice for row in rows if not math.isnan(row.dice)]
        if not values:
            return
        dice = float(np.mean(values))
        if len(self.cases) < self.count or dice < self.cases[-1].dice:
            self.cases.append(_gallery_case(volume, reference, result, rows, dice))
            self.cases.sort(key=lambda case: case.dice)
            del self.cases[self.count :]

    def draw(self, labels: Sequence[Label], picture: Path) -> None:
        """Write the picture as PNG; raise a `FlomoError` if there is no case."""
        if not self.cases:
            raise FlomoError("No case contains a structure, so there is nothing to draw.")
        across = min(ACROSS, len(self.cases))
        down = math.ceil(len(self.cases) / across)
        figure = Figure(
            figsize=(6.9 * across, 2.75 * down + 0.5), facecolor=BACKGROUND, layout="constrained"
        )
        cells = figure.subfigures(down, across, squeeze=False, wspace=0.03, hspace=0.03)
        for cell, case in zip(cells.flat, self.cases, strict=False):
            _draw_case(cell, case, labels)
        for cell in cells.flat:
            cell.set_facecolor(BACKGROUND)
        draw_legend(figure, labels)
        save_figure(figure, picture, 120)


def _gallery_case(
    volume: Volume,
    reference: NDArray[Any],
    result: NDArray[Any],
    rows: Sequence[StructureMetrics],
    dice: float,
) -> GalleryCase:
    wrong = (reference != result).sum((1, 2))
    held = ((reference > 0) | (result > 0)).sum((1, 2))
    index = int(wrong.argmax() if wrong.any() else held.argmax())
    image = volume.data[index]
    row_step, column_step = volume.in_plane_spacing
    rows_shown, columns_shown = crop_around((reference[index] > 0) | (result[index] > 0))
    return GalleryCase(
        rows=rows,
        dice=dice,
        image=image[rows_shown, columns_shown].copy(),
        reference=reference[index][rows_shown, columns_shown].copy(),
        result=result[index][rows_shown, columns_shown].copy(),
        window=display_range(volume.data),
        place=f"slice {index + 1} of {len(reference)}" if len(reference) > 1 else "",
        aspect=row_step / column_step,
    )


def _draw_case(cell: Any, case: GalleryCase, labels: Sequence[Label]) -> None:
    first = case.rows[0]
    figure = f"{'volume' if case.place else 'image'} Dice {case.dice:.3f}"
    words = (first.case, first.phase, case.place, figure)
    cell.suptitle("   ".join(word for word in words if word), color=FOREGROUND, fontsize=10)
    panels = cell.subplots(1, 3)
    shown = {"image": None, "reference": case.reference, "result": case.result}
    for axes, (name, codes) in zip(panels, shown.items(), strict=True):
        draw_image(axes, case.image, case.window, case.aspect)
        axes.set_title(name, color=FOREGROUND, fontsize=8, pad=3)
        if codes is not None:
            draw_contours(axes, codes, labels)
    colours = {label.name: label.colour for label in labels}
    for number, row in enumerate(case.rows):
        panels[2].text(
            0.02,
            0.98 - 0.085 * number,
            "absent" if math.isnan(row.dice) else f"{row.dice:.3f}",
            transform=panels[2].transAxes,
            va="top",
            color=colours[row.structure],
            fontsize=8,
            fontweight="bold",
            path_effects=[withStroke(linewidth=2.5, foreground=BACKGROUND)],
        )
