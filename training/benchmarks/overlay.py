"""Draw every slice of a segmentation with its contours and its uncertainty.

    python training/benchmarks/overlay.py IMAGE -o PICTURE.png [--model NAME] [--frame K]

Colours and names come from the model card.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from page_writer import parser_of

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
from napari_flomo.segmentation import Segmentation, Segmenter
from napari_flomo.volumes import Volume, read

COLUMNS = 6


def draw(volume: Volume, result: Segmentation, path: Path) -> None:
    """Draw one frame and write the picture."""
    labels, entropy = result.labels.data, result.uncertainty["entropy"].data
    structures = result.card.labels[1:]
    part, limits = crop_around(np.any(labels, axis=0)), display_range(volume.data)
    across = min(COLUMNS, len(labels))
    down = math.ceil(len(labels) / across)
    figure = Figure(figsize=(2 * across, 4 * down), facecolor=BACKGROUND, layout="constrained")
    axes = figure.subplots(2 * down, across, squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    aspect = volume.in_plane_spacing[0] / volume.in_plane_spacing[1]
    for index, codes in enumerate(labels):
        row, column = divmod(index, across)
        top, bottom = axes[2 * row, column], axes[2 * row + 1, column]
        for axis in (top, bottom):
            draw_image(axis, volume.data[index][part], limits, aspect)
        draw_contours(top, codes[part], structures)
        shown = entropy[index][part]
        opacity = np.clip(2 * shown, 0, 1)
        bottom.imshow(shown, cmap="inferno", vmin=0, vmax=1, alpha=opacity, aspect=aspect)
        title = f"slice {index + 1}, uncertainty {result.slice_scores[0, index]:.1f} cm²"
        top.set_title(title, color=FOREGROUND, fontsize=7)
    draw_legend(figure, structures)
    save_figure(figure, path)


def main() -> None:
    """Segment and draw."""
    parser = parser_of(__doc__)
    parser.add_argument("image", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--model", default="flomo-b0-acdc")
    parser.add_argument("--frame", type=int, default=0)
    options = parser.parse_args()
    volume = read(options.image)
    if volume.n_frames > 1:
        volume = volume.frame(options.frame)
    result = Segmenter.from_pretrained(options.model).segment(volume)
    draw(volume, result, options.output)


if __name__ == "__main__":
    main()
