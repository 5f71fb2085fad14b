"""Correct five slices of a heart, and fine-tune the model on them for the other slices.

It needs ``pip install "napari-flomo[train]"``.

The reader of this example counts two more pixels around the left ventricle as its wall. To
fine-tune for other patients, too, put the corrections into a `CorrectionStore` and run ``flomo
finetune``.
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from skimage.morphology import dilation, disk

import napari_flomo
from flomo_training.finetuning import segment_again
from napari_flomo.segmentation import Segmenter
from napari_flomo.volumes import read

PICTURE = Path(sys.argv[1] if len(sys.argv) > 1 else "learn_from_five_slices.png")
SAMPLE = Path(napari_flomo.__file__).parent / "samples" / "sunnybrook_ed.nii.gz"

volume = read(SAMPLE)
segmenter = Segmenter.from_pretrained(napari_flomo.DEFAULT_MODEL)
before = segmenter.segment(volume).labels
code = {label.name: label.code for label in segmenter.card.labels}
wall, cavity = code["left ventricular myocardium"], code["left ventricle"]

# What the reader wants in every slice; the model sees it in five of them.
wanted = before.data.copy()
for labels in wanted:
    heart = np.isin(labels, [wall, cavity])
    labels[dilation(heart, disk(2)) & (labels == 0)] = wall
slices = np.flatnonzero((before.data == cavity).any(axis=(1, 2)))
corrected = slices[np.linspace(0, len(slices) - 1, 5).round().astype(int)]
others = np.setdiff1d(slices, corrected)

labels = before.data.copy()
labels[corrected] = wanted[corrected]
places = [(0, int(index)) for index in corrected]  # frame and slice
after = segment_again(segmenter, volume, before.with_data(labels), places).labels

wrong = [int((found.data[others] != wanted[others]).sum()) for found in (before, after)]
print(f"wrong pixels in {len(others)} other slices: {wrong[0]} before, {wrong[1]} after")

rows, columns = (np.flatnonzero(wanted.any(axis=axes)) for axes in [(0, 2), (0, 1)])
part = slice(rows[0] - 15, rows[-1] + 15), slice(columns[0] - 15, columns[-1] + 15)
shown = others[len(others) // 2]
figure, axes = plt.subplots(1, 3, figsize=(9, 3.4), layout="constrained")
titles = ("the model", "after five corrected slices", "the reader")
for axis, title, found in zip(axes, titles, (before.data, after.data, wanted), strict=True):
    axis.imshow(volume.data[shown][part], cmap="gray")
    for label in segmenter.card.labels[1:]:
        mask = found[shown][part] == label.code
        if mask.any():
            axis.contour(mask, levels=[0.5], colors=[label.colour], linewidths=1.5)
    axis.set_title(title, fontsize=10)
    axis.axis("off")
figure.suptitle(f"slice {shown + 1}, which was not corrected", fontsize=10)
figure.savefig(PICTURE, dpi=110)
