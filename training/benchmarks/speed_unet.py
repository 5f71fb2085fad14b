"""Does with MONAI's U-Net what ``flomo segment`` does with its model; started by `speed.py`.

python training/benchmarks/speed_unet.py IMAGE MASK MODEL
"""

from __future__ import annotations

import sys

from speed_subjects import SUBJECTS, make

from napari_flomo.segmentation import Segmenter
from napari_flomo.volumes import read


def main(image: str, mask: str, model: str) -> None:
    """Segment an image behind the card of a model and write the mask."""
    unet = next(subject for subject in SUBJECTS if subject.name == "unet")
    segmenter = Segmenter(*make(unet, model), "cpu")
    segmenter.segment(read(image), keep_probabilities=False).save(mask)


if __name__ == "__main__":
    main(*sys.argv[1:])
