"""Plot training curves from the table of a run."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from flomo_training.drawing import hide_frame, save_figure
from napari_flomo.errors import FlomoError
from napari_flomo.tables import read_table

COUNTERS = {"epoch", "step", "slices", "seconds"}

Points = list[tuple[float, float]]


def draw_curves(table: Path, picture: Path) -> None:
    """Plot every quantity of a table against the epoch, as PNG.

    ``train/loss`` and ``val/loss`` share a panel; the speed is computed from ``slices`` and
    ``seconds``. An epoch may have several rows with different columns filled. Raises a `FlomoError`
    if the table is missing or has no values.
    """
    panels = read_curves(table)
    figure = Figure(figsize=(5.2 * len(panels), 3.6), layout="constrained")
    for axes, (quantity, curves) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True
    ):
        for name, points in curves.items():
            epochs, values = zip(*points, strict=True)
            marker = "o" if len(points) == 1 else ""
            axes.plot(epochs, values, label=name or None, linewidth=1.6, marker=marker)
        axes.set_title(quantity.replace("_", " "), fontsize=11)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        hide_frame(axes)
        if any(curves):
            axes.legend(frameon=False)
        if _spans_decades(curves.values()):
            axes.set_yscale("log")
        elif min(value for points in curves.values() for _, value in points) >= 0:
            axes.set_ylim(bottom=0)
    save_figure(figure, picture, 120)


def read_curves(table: Path) -> dict[str, dict[str, Points]]:
    """Return points (epoch, value) by quantity and stage.

    Epochs are counted from 1. ``train/loss`` is the quantity ``loss`` of the stage ``train``; the
    stage may be empty. Raises a `FlomoError` if the table is missing or has no values.
    """
    try:
        rows = read_table(table)
        panels: dict[str, dict[str, Points]] = {}
        for row in rows:
            epoch = float(row["epoch"]) + 1
            for column, text in row.items():
                if column not in COUNTERS and text and math.isfinite(float(text)):
                    stage, _, quantity = column.rpartition("/")
                    curves = panels.setdefault(quantity, {})
                    curves.setdefault(stage, []).append((epoch, float(text)))
            seconds, slices = float(row.get("seconds") or 0), float(row.get("slices") or 0)
            if seconds > 0 and slices > 0:
                speed = panels.setdefault("slices_per_second", {})
                speed.setdefault("", []).append((epoch, slices / seconds))
    except FileNotFoundError as error:
        raise FlomoError(f"The curves {table} do not exist; train first.") from error
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise FlomoError(f"The curves {table} cannot be read ({error}); train again.") from error
    if not panels:
        raise FlomoError(f"The curves {table} are empty; train for at least one epoch.")
    return panels


def _spans_decades(curves: Iterable[Points]) -> bool:
    values = [value for points in curves for _, value in points]
    return min(values) > 0 and max(values) / min(values) > 100
