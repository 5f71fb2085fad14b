"""The bullseye of the 16 segments of the left ventricle."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, to_rgb
from matplotlib.projections.polar import PolarAxes

NO_VALUE = (0.8, 0.8, 0.8)
LUMINANCE = (0.3, 0.59, 0.11)

_RINGS = (
    # first segment, count, inner and outer radius, angle of the centre of the first segment
    (0, 6, 2 / 3, 1.0, 90.0),
    (6, 6, 1 / 3, 2 / 3, 90.0),
    (12, 4, 0.0, 1 / 3, 90.0),
)


def draw_bullseye(
    axes: Axes,
    values: Sequence[float | None],
    limits: tuple[float, float],
    *,
    title: str,
    colours: str = "viridis",
) -> None:
    """Draw values of segments 1 to 16 on polar axes: base outside, anterior on top, septum left.

    Segments without a value are grey. Cerqueira et al., Circulation 105(4), 2002.
    """
    assert isinstance(axes, PolarAxes)
    norm, colour_of = Normalize(*limits), colormaps[colours]
    for first, count, inner, outer, centre in _RINGS:
        width = 360 / count
        for number in range(count):
            value = values[first + number]
            angle = np.radians(centre + number * width)  # counter-clockwise: the septum is left
            face = NO_VALUE if value is None else to_rgb(colour_of(norm(value)))
            axes.bar(
                angle,
                outer - inner,
                width=np.radians(width),
                bottom=inner,
                color=[face],
                edgecolor="white",
                linewidth=1,
            )
            text = "–" if value is None else f"{value:.0f}" if limits[1] > 30 else f"{value:.1f}"
            bright = np.dot(face, LUMINANCE) > 0.5
            axes.text(
                angle,
                (inner + outer) / 2 if inner else 0.19,
                text,
                ha="center",
                va="center",
                fontsize=7,
                color="black" if bright else "white",
            )
    axes.set_title(title, fontsize=9, pad=2)
    axes.set_ylim(0, 1)
    axes.axis("off")
