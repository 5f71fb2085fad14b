"""Write the signature of the bundled model, by which images choose between it and specialists.

python training/benchmarks/pack_signature.py ACDC_FOLDER [MODEL_FOLDER]

The folder holds ``cases.csv`` and ``images/``. Only the training images that the card lists are
used. To be run whenever these or the statistics change.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from flomo_training.case import read_case_rows
from flomo_training.leaks import fingerprint
from napari_flomo import DEFAULT_MODEL
from napari_flomo.files import atomic_write
from napari_flomo.models import ModelCard, Signature, card_text, load_card, locate
from napari_flomo.segmentation import fit_signature, image_signature
from napari_flomo.volumes import read


def training_signature(folder: Path, card: ModelCard) -> Signature:
    """Return the signature of the images of a folder that a model was trained on."""
    known = set(card.trained_on or ())
    vectors, patients = [], []
    for row in read_case_rows(folder):
        path = folder / "images" / f"{row['case']}.nii.gz"
        if fingerprint(path) in known:
            vectors.append(image_signature(read(path), card))
            patients.append(row["patient"])
    return fit_signature(vectors, patients, title="cine")


def main() -> None:
    """Write the signature into the card."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("acdc", type=Path)
    parser.add_argument("folder", type=Path, nargs="?", default=locate(DEFAULT_MODEL))
    options = parser.parse_args()
    card = load_card(options.folder)
    signature = training_signature(options.acdc, card)
    with atomic_write(options.folder / "card.json") as path:
        path.write_text(card_text(replace(card, signature=signature)), "utf-8", newline="\n")
    print(f"{card.name}: signature of {signature.patients} patients")


if __name__ == "__main__":
    main()
