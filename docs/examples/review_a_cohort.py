"""Segment a folder of studies, and show the slices to review first.

It needs ``pip install "napari-flomo[report]"``.

The folder is made of frames of the sample cine.
"""

import csv
import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt

import napari_flomo
from napari_flomo.cohorts import CohortConfig, segment_cohort
from napari_flomo.models import load_card, locate
from napari_flomo.volumes import read, write

PICTURE = Path(sys.argv[1] if len(sys.argv) > 1 else "review_a_cohort.png")
SAMPLE = Path(napari_flomo.__file__).parent / "samples" / "sunnybrook_cine.nii.gz"
SHOWN = 6

folder = Path(tempfile.mkdtemp())
images, results = folder / "images", folder / "results"
images.mkdir()
cine = read(SAMPLE)
for frame in (0, 4, 8):
    write(cine.frame(frame), images / f"frame_{frame}.nii.gz")

model = locate(napari_flomo.DEFAULT_MODEL)
summary = segment_cohort(CohortConfig(images, results), model, workers=1)
print(f"{summary.done} studies, {summary.failed} failed; results in {results}")

with (results / "review.csv").open(newline="", encoding="utf-8") as file:
    queue = list(csv.DictReader(file))[:SHOWN]

figure, axes = plt.subplots(1, SHOWN, figsize=(2.1 * SHOWN, 2.8), layout="constrained")
for axis, row in zip(axes, queue, strict=True):
    index = int(row["slice"])  # counted from 0
    image = read(images / row["study"]).data[index]
    labels = read(results / "studies" / row["study"] / "labels.nii.gz").data[index]
    axis.imshow(image, cmap="gray")
    for label in load_card(model).labels[1:]:
        if (labels == label.code).any():
            axis.contour(labels == label.code, levels=[0.5], colors=[label.colour], linewidths=1)
    expected = float(row["expected_wrong_voxels"])
    axis.set_title(f"{row['study']}\nslice {index + 1}: {expected:.0f} voxels", fontsize=8)
    axis.axis("off")
figure.suptitle("Voxels expected to be wrong: the first slices of review.csv", fontsize=10)
figure.savefig(PICTURE, dpi=110)
