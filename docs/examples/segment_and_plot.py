"""Segment a heart, and plot its labels and where the network is uncertain.

It needs ``pip install "napari-flomo[report]"``.
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import napari_flomo
from napari_flomo.measures import measure_study
from napari_flomo.segmentation import Segmenter
from napari_flomo.volumes import read

PICTURE = Path(sys.argv[1] if len(sys.argv) > 1 else "segment_and_plot.png")
SAMPLE = Path(napari_flomo.__file__).parent / "samples" / "sunnybrook_ed.nii.gz"

volume = read(SAMPLE)  # or a file or DICOM folder of yours
result = Segmenter.from_pretrained(napari_flomo.DEFAULT_MODEL).segment(volume)

measured = measure_study(result.labels, result.card.labels)
print(f"mass of the wall: {measured.heart.mass_g:.0f} g")

# The middle of the heart and the two slices on either side.
labels, uncertainty = result.labels.data, result.uncertainty["entropy"].data
slices = np.flatnonzero(labels.any(axis=(1, 2)))
slices = slices[len(slices) // 2 - 2 : len(slices) // 2 + 3]
rows, columns = (np.flatnonzero(labels.any(axis=axes)) for axes in [(0, 2), (0, 1)])
part = slice(rows[0] - 15, rows[-1] + 15), slice(columns[0] - 15, columns[-1] + 15)

figure, axes = plt.subplots(2, len(slices), figsize=(2.2 * len(slices), 4.6), layout="constrained")
for index, (above, below) in zip(slices, axes.T, strict=True):
    for axis in (above, below):
        axis.imshow(volume.data[index][part], cmap="gray")
        axis.axis("off")
    for label in result.card.labels[1:]:
        mask = labels[index][part] == label.code
        if mask.any():
            above.contour(mask, levels=[0.5], colors=[label.colour], linewidths=1.5)
    shown = uncertainty[index][part]
    below.imshow(shown, cmap="inferno", vmin=0, vmax=1, alpha=np.clip(2 * shown, 0, 1))
    above.set_title(f"slice {index + 1}", fontsize=9)
figure.savefig(PICTURE, dpi=110)
