"""What `speed.py` starts in processes of their own, beside ``flomo`` itself.

``unet IMAGE MASK MODEL`` does with MONAI's U-Net what ``flomo segment`` does with its model;
``settle IMAGE MODEL`` finds the fastest engine and keeps it, as a viewer does while nobody waits.
"""

from __future__ import annotations

import sys

from speed_subjects import SUBJECTS, make

from napari_flomo.segmentation import Segmenter
from napari_flomo.volumes import read


def unet(image: str, mask: str, model: str) -> None:
    """Segment an image behind the card of a model and write the mask."""
    subject = next(subject for subject in SUBJECTS if subject.name == "unet")
    segmenter = Segmenter(*make(subject, model), "cpu")
    segmenter.segment(read(image), keep_probabilities=False).save(mask)


def settle(image: str, model: str) -> None:
    """Look for the fastest engine for images like this one."""
    segmenter = Segmenter.from_pretrained(model, "cpu")
    segmenter.segment(read(image))
    segmenter.find_fastest_engine()


if __name__ == "__main__":
    verb, *arguments = sys.argv[1:]
    if verb == "unet":
        unet(*arguments)
    else:
        settle(*arguments)
