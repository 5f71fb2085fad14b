"""Commands that `speed.py` runs in separate processes, besides ``flomo`` itself.

``unet IMAGE MASK MODEL`` runs MONAI's U-Net like ``flomo segment`` runs its model; ``settle IMAGE
MODEL`` determines and stores the fastest engine, as an idle viewer does.
"""

from __future__ import annotations

import sys

from speed_subjects import SUBJECTS, make

from napari_flomo.segmentation import Segmenter
from napari_flomo.volumes import read


def unet(image: str, mask: str, model: str) -> None:
    """Segment an image with the settings of a model card and write the mask."""
    subject = next(subject for subject in SUBJECTS if subject.name == "unet")
    segmenter = Segmenter(*make(subject, model), "cpu")
    segmenter.segment(read(image), keep_probabilities=False).save(mask)


def settle(image: str, model: str) -> None:
    """Fill the caches for images like this one."""
    segmenter = Segmenter.from_pretrained(model, "cpu")
    segmenter.segment(read(image))
    segmenter.prepare_graphs()


if __name__ == "__main__":
    verb, *arguments = sys.argv[1:]
    if verb == "unet":
        unet(*arguments)
    else:
        settle(*arguments)
