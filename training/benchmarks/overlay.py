"""Draw every slice of a segmentation with its contours and its uncertainty.

    python training/benchmarks/overlay.py IMAGE -o PICTURE.png [--model NAME] [--frame K]

Colours and names come from the model card.
"""

from __future__ import annotations

import math
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.lines import Line2D
from page_writer import parser_of

from napari_flomo.files import atomic_write
from napari_flomo.segmentation import Segmentation, Segmenter
from napari_flomo.volumes import Volume, read

COLUMNS = 6
MARGIN_MM = 20.0
"""Margin around the structures."""


def window(labels: np.ndarray, spacing: tuple[float, float]) -> tuple[slice, slice]:
    """Return the rows and columns of all structures with a margin; all if there is none."""
    where = np.nonzero(labels.any(0))
    if not where[0].size:
        return slice(None), slice(None)
    parts = []
    for indices, step in zip(where, spacing, strict=True):
        margin = round(MARGIN_MM / step)
        parts.append(slice(max(0, int(indices.min()) - margin), int(indices.max()) + margin + 1))
    return parts[0], parts[1]


def draw(volume: Volume, result: Segmentation, path: Path) -> None:
    """Draw one frame and write the picture."""
    labels, entropy = result.labels.data, result.uncertainty["entropy"].data
    rows, columns = window(labels, volume.in_plane_spacing)
    low, high = np.percentile(volume.data, (1, 99.5))
    count = len(labels)
    across = min(COLUMNS, count)
    down = math.ceil(count / across)
    figure, axes = plt.subplots(
        2 * down, across, figsize=(2 * across, 4 * down), squeeze=False, facecolor="black"
    )
    for axis in axes.flat:
        axis.axis("off")
    aspect = volume.in_plane_spacing[0] / volume.in_plane_spacing[1]
    for index in range(count):
        row, column = divmod(index, across)
        image = volume.data[index][rows, columns]
        for axis in (axes[2 * row, column], axes[2 * row + 1, column]):
            axis.imshow(image, cmap="gray", vmin=low, vmax=high, aspect=aspect)
        top, bottom = axes[2 * row, column], axes[2 * row + 1, column]
        for label in result.card.labels[1:]:
            mask = labels[index][rows, columns] == label.code
            if mask.any():
                top.contour(mask, levels=[0.5], colors=[label.colour], linewidths=1.2)
        uncertainty = entropy[index][rows, columns]
        bottom.imshow(
            uncertainty,
            cmap="inferno",
            vmin=0,
            vmax=1,
            alpha=np.clip(uncertainty * 2, 0, 1),
            aspect=aspect,
        )
        title = f"slice {index + 1}, uncertainty {result.slice_scores[0, index]:.1f} cm²"
        top.set_title(title, color="white", fontsize=7)
    handles = [Line2D([], [], color=label.colour, label=label.name)
               for label in result.card.labels[1:]]  # fmt: skip
    figure.legend(
        handles=handles, loc="lower center", ncol=len(handles), facecolor="black",
        labelcolor="white", frameon=False, fontsize=9,
    )  # fmt: skip
    figure.tight_layout(rect=(0, 0.04, 1, 1), pad=0.4)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=110, facecolor="black")
    plt.close(figure)


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
