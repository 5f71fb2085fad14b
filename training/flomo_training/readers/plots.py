"""Bland-Altman plots of two readers."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from flomo_training.drawing import hide_frame, save_figure
from flomo_training.readers.agreement import MeasureSummary, ReaderAgreement

ACROSS = 3
PANEL = (3.9, 2.9)  # inches
INK, BLUE = "#333333", "#1f5fa8"


def draw_bland_altman(agreement: ReaderAgreement, names: tuple[str, str], path: Path) -> None:
    """Draw a plot of each measure as PNG: differences of the readers against their mean.

    ``names`` are those of the first and the second reader.
    """
    limits = agreement.limits()
    across = min(ACROSS, len(limits))
    down = -(-len(limits) // across)
    size = (PANEL[0] * across, PANEL[1] * down)
    figure = Figure(figsize=size, layout="constrained", facecolor="white")
    panels = figure.subplots(down, across, squeeze=False).ravel()
    for panel in panels[len(limits) :]:
        panel.axis("off")
    for panel, found in zip(panels, limits, strict=False):
        own = [row for row in agreement.measures if row.measure == found.name]
        panel.plot(
            [(row.first + row.second) / 2 for row in own],
            [row.difference for row in own],
            "o",
            markersize=5,
            markerfacecolor="none",
            color=BLUE,
        )
        _draw_limits(panel, found)
        panel.set_title(found.name, fontsize=10, color=INK)
        panel.set_xlabel(f"mean of both ({found.unit})", fontsize=8)
        panel.set_ylabel(f"{names[1]} − {names[0]} ({_unit(found.unit)})", fontsize=8)
        panel.tick_params(labelsize=8)
        panel.xaxis.set_major_locator(MaxNLocator(5))
        hide_frame(panel)
    save_figure(figure, path)


def _draw_limits(panel: Axes, found: MeasureSummary) -> None:
    """Draw bias and limits with their values beside them; the bias is in the middle."""
    agreement = found.agreement
    bias = agreement.bias.value
    lines = [(bias, "-", f"bias\n{bias:+.1f}")]
    if not math.isnan(agreement.lower):
        lines += [
            (agreement.upper, "--", f"+1.96 SD\n{agreement.upper:+.1f}"),
            (agreement.lower, "--", f"-1.96 SD\n{agreement.lower:+.1f}"),
        ]
        panel.axhspan(agreement.bias.low, agreement.bias.high, color=BLUE, alpha=0.12, linewidth=0)
    panel.axhline(0, color="#999999", linewidth=0.8, linestyle=":")
    reach = max(1.0, *(abs(np.array(line.get_ydata()) - bias).max() for line in panel.lines[:1]))
    reach = max(reach, *(abs(value - bias) for value, *_ in lines)) * 1.35
    panel.set_ylim(bias - reach, bias + reach)
    for value, style, text in lines:
        panel.axhline(value, color=INK, linewidth=1, linestyle=style)
        if value == bias or abs(value - bias) > 0.25 * reach:
            panel.annotate(
                text,
                (1, value),
                (3, 0),
                xycoords=("axes fraction", "data"),
                textcoords="offset points",
                va="center",
                fontsize=7,
                color=INK,
            )


def _unit(unit: str) -> str:
    """Return the unit of a difference."""
    return "percentage points" if unit == "%" else unit
