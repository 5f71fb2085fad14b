"""Pages of a report, drawn with matplotlib."""

from __future__ import annotations

import io
import textwrap
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

from napari_flomo.measures import thickening
from napari_flomo.models import Label
from napari_flomo.reports.bullseye import draw_bullseye
from napari_flomo.reports.content import DISCLAIMER, TO_CHECK, Report

A4 = (8.27, 11.69)  # inches
THICKNESS_MM = (3.0, 15.0)
THICKENING_PERCENT = (0.0, 100.0)
SLICES_PER_FRAME = 12
MARGIN_PIXELS = 12
FLAGS_SHOWN = 4
TABLE, TABLE_ROW = 0.24, 0.0147
"""Largest height of the table, and height of a row, relative to the page."""
LIMITS_NOTE = (
    "* Of the model's uncorrected labels with a reader: mean difference ± 1.96 standard deviations "
    "({patients})."
)


def make_pdf(report: Report) -> bytes:
    """Return the pages of a report: measures, curve and bullseyes; contours of the phases."""
    stream = io.BytesIO()
    # No date: the same study gives the same file.
    with PdfPages(stream, metadata={"CreationDate": None, "Title": report.title}) as pages:
        pages.savefig(measures_page(report))
        if report.images:
            pages.savefig(contours_page(report))
    return stream.getvalue()


def measures_page(report: Report) -> Figure:
    """Return the page with measures, volume-time curves and bullseyes."""
    figure = Figure(figsize=A4)
    _head(figure, report)
    _draw_table(figure.add_axes((0.08, 0.89 - TABLE, 0.84, TABLE)), report)
    frames = len({one.frame for one in report.measures.structures})
    bullseyes = 0.42
    if len(report.labels) == 1 and frames > 2:  # two points are no curve
        _draw_curves(figure.add_axes((0.1, 0.485, 0.8, 0.14)), report)
        bullseyes = 0.235
    _draw_wall(figure, report, bullseyes)
    _foot(figure, report)
    return figure


def contours_page(report: Report) -> Figure:
    """Return the page with the contours of end diastole and end systole."""
    figure = Figure(figsize=A4)
    figure.text(0.08, 0.96, "Contours", fontsize=14, weight="bold")
    phases = report.measures.frames
    height = 0.86 / len(phases)
    for row, (phase, (number, frame)) in enumerate(phases.items()):
        image, labels = report.images[number], report.labels[number]
        pixels = image.data.reshape(-1, *image.spatial_shape)[frame]
        codes = labels.data.reshape(-1, *labels.spatial_shape)[frame]
        top = 0.93 - row * height
        title = "" if phase == "only" else phase
        if len(report.labels) == 1 and title:
            title += f", frame {frame + 1}"
        figure.text(0.08, top, title, fontsize=10)
        _draw_stack(figure, pixels, codes, report, (top, height - 0.04))
    figure.text(0.08, 0.03, DISCLAIMER, fontsize=7)
    return figure


def _head(figure: Figure, report: Report) -> None:
    figure.text(0.08, 0.95, report.title, fontsize=16, weight="bold")
    lines = [one for one in (report.patient, report.accepted) if one]
    surface = report.measures.body_surface_m2
    if surface is not None:
        lines.append(f"Body surface {surface:.2f} m²")
    figure.text(0.08, 0.925, "   ".join(lines), fontsize=9)
    figure.text(0.08, 0.905, report.origin, fontsize=8, color="#555555")


def _draw_table(axes: Axes, report: Report) -> None:
    axes.axis("off")
    cells = [
        [
            row.name,
            "–" if row.value is None else f"{row.value:.1f} {row.unit}",
            "" if row.indexed is None else f"{row.indexed:.1f} {row.unit}/m²",
            row.limits,
        ]
        for row in report.rows()
    ]
    head = ["", "value", "per body surface", "limits of agreement*"]
    height = min(1.0, (len(cells) + 1) * TABLE_ROW / TABLE)
    table = axes.table(
        cells,
        colLabels=head,
        bbox=Bbox.from_bounds(0, 1 - height, 1, height),
        cellLoc="left",
        colLoc="left",
        edges="horizontal",
    )
    table.auto_set_font_size(False)
    table.set_fontsize(min(9, 9 * TABLE / ((len(cells) + 1) * TABLE_ROW)))


def _draw_wall(figure: Figure, report: Report, bottom: float) -> None:
    """Draw the bullseyes, if the segments are known."""
    wall = report.measures.wall
    bullseyes = []
    diastole = wall.get("ED") or wall.get("only")
    if diastole is not None:
        title = "Wall thickness, ED (mm)" if "ED" in wall else "Wall thickness (mm)"
        bullseyes.append((diastole.segments_mm, THICKNESS_MM, title))
    if {"ED", "ES"} <= wall.keys():
        change = thickening(wall["ED"], wall["ES"])
        bullseyes.append((change, THICKENING_PERCENT, "Thickening, ED to ES (%)"))
    for number, (values, limits, title) in enumerate(bullseyes):
        if any(value is not None for value in values):
            place = (0.12 + 0.44 * number, bottom, 0.32, 0.165)
            axes = figure.add_axes(place, projection="polar")
            draw_bullseye(axes, values, limits, title=title)


def _draw_curves(axes: Axes, report: Report) -> None:
    colours = {label.code: label for label in report.names}
    for code, label in colours.items():
        own = [one for one in report.measures.structures if one.code == code]
        if code and any(one.ml for one in own):
            axes.plot(
                [one.frame + 1 for one in own],
                np.array([one.ml for one in own], float),
                "o-",
                ms=3,
                color=label.colour,
                label=label.name,
            )
    for phase, (_, frame) in report.measures.frames.items():
        axes.axvline(frame + 1, color="#999999", lw=1, ls=":")
        axes.annotate(phase, (frame + 1, 1.0), xycoords=("data", "axes fraction"), fontsize=8)
    axes.set(xlabel="frame", ylabel="ml", ylim=(0, None))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=7, frameon=False)


def _foot(figure: Figure, report: Report) -> None:
    flags = report.flag_lines()
    shown = [TO_CHECK, *flags[:FLAGS_SHOWN]] if flags else []
    if len(flags) > FLAGS_SHOWN:
        shown.append(f"and {len(flags) - FLAGS_SHOWN} more flags")
    patients = next((row.patients for row in report.rows() if row.limits), "")
    limits = [LIMITS_NOTE.format(patients=patients)] if patients else []
    lines = [*shown, *limits, *report.convention_lines(), DISCLAIMER]
    text = "\n".join(part for line in lines for part in textwrap.wrap(line, 130))
    figure.text(0.08, 0.02, text, fontsize=7, va="bottom")


def _draw_stack(
    figure: Figure,
    pixels: NDArray[Any],
    codes: NDArray[np.integer],
    report: Report,
    place: tuple[float, float],
) -> None:
    """Draw up to `SLICES_PER_FRAME` labelled slices below ``place``: its top and its height."""
    top, height = place
    shown = [number for number, slice_ in enumerate(codes) if slice_.any()]
    if len(shown) > SLICES_PER_FRAME:
        picked = np.linspace(0, len(shown) - 1, SLICES_PER_FRAME).round().astype(int)
        shown = [shown[number] for number in picked]
    if not shown:
        return
    rows, columns = _around(np.any(codes > 0, axis=0))
    window = np.percentile(pixels[:, rows, columns], (1, 99.5))
    row_step, column_step = report.labels[0].in_plane_spacing
    across = 4
    down = -(-len(shown) // across)
    for place_, number in enumerate(shown):
        y, x = divmod(place_, across)
        axes = figure.add_axes(
            (0.08 + 0.21 * x, top - (y + 1) * height / down, 0.2, height / down - 0.01)
        )
        axes.imshow(
            pixels[number, rows, columns],
            cmap="gray",
            vmin=window[0],
            vmax=window[1],
            aspect=row_step / column_step,
        )
        for label in report.names:
            _draw_contour(axes, codes[number, rows, columns] == label.code, label)
        axes.text(
            0.03,
            0.96,
            str(number + 1),
            color="white",
            fontsize=8,
            va="top",
            transform=axes.transAxes,
            bbox={"facecolor": "black", "edgecolor": "none", "pad": 1},
        )
        axes.axis("off")


def _draw_contour(axes: Axes, mask: NDArray[np.bool_], label: Label) -> None:
    if label.code and mask.any() and not mask.all():
        axes.contour(mask, [0.5], colors=[label.colour], linewidths=1)


def _around(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Return rows and columns around a mask, with a margin."""
    parts = []
    for axis, length in enumerate(mask.shape):
        filled = np.flatnonzero(mask.any(axis=1 - axis))
        start, stop = filled[0] - MARGIN_PIXELS, filled[-1] + 1 + MARGIN_PIXELS
        parts.append(slice(max(0, int(start)), min(length, int(stop))))
    return parts[0], parts[1]
