"""Leaks stop a run: nothing that a model is judged on may have been seen in training.

Groups are compared by name, images by their bytes, pictures also by their looks, and a parent model
(``start_from``) by the fingerprints of the images that it was trained on.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from flomo_training.duplicates import distances
from flomo_training.folds import Folds
from napari_flomo.errors import FlomoError

if TYPE_CHECKING:
    from flomo_training.cases import Case

FINGERPRINT = 16
"""Hexadecimal digits: 64 bits tell a million images apart."""


def fingerprint(image: Path) -> str:
    """Return a short hash of an image's bytes, those inside of a gzip file.

    A compressed file tells in its header when it was made, which says nothing about its image.

    Raises
    ------
    FlomoError
        If the file is missing or damaged.
    """
    try:
        content = image.read_bytes()
        if image.suffix == ".gz":
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise FlomoError(f"The image {image} is missing or damaged; get it again.") from error
    return hashlib.sha256(content).hexdigest()[:FINGERPRINT]


def fingerprints(cases: Iterable[Case]) -> dict[str, str]:
    """Return the fingerprint of every case's image, by case."""
    return {case.name: fingerprint(case.image) for case in cases}


def check_leaks(training: Sequence[Case], validation: Sequence[Case], folds: Folds) -> None:
    """Raise if a held-out case is among the training cases, by name, by bytes or by looks.

    Raises
    ------
    FlomoError
        Naming the two cases.
    """
    if shared := {c.patient for c in training} & {c.patient for c in validation}:
        raise FlomoError(
            f"The {folds.unit} {min(shared)} is in training and in validation; mend the folds."
        )
    seen = {value: name for name, value in fingerprints(training).items()}
    for name, value in fingerprints(validation).items():
        if value in seen:
            raise FlomoError(
                f"{name} in validation is the same image as {seen[value]} in training; put both "
                "into one fold, or remove one."
            )
    if folds.perceptual_hashes and training and validation:
        _check_looks(training, validation, folds)


def _check_looks(training: Sequence[Case], validation: Sequence[Case], folds: Folds) -> None:
    hashes = folds.perceptual_hashes
    for case in (*training, *validation):
        if case.name not in hashes:
            raise FlomoError(
                f"The folds know nothing of how {case.name} looks, so a near duplicate would pass; "
                "prepare the data again."
            )
    unlike = distances([hashes[c.name] for c in validation], [hashes[c.name] for c in training])
    held_out, taught = np.unravel_index(int(unlike.argmin()), unlike.shape)
    if unlike[held_out, taught] <= folds.near_duplicate_bits:
        raise FlomoError(
            f"{validation[held_out].name} in validation is a near duplicate of "
            f"{training[taught].name} in training; prepare the data again, or remove one."
        )


def check_parent(
    name: str, trained_on: Sequence[str] | None, held_out: Mapping[str, str], fold: int
) -> None:
    """Raise if the model that a run starts from was trained on held-out images.

    Parameters
    ----------
    name
        Of the parent.
    trained_on
        Fingerprints from its card; None if the card does not tell.
    held_out
        Fingerprints of the held-out images, by case.
    fold
        For the message.

    Raises
    ------
    FlomoError
        If an image is shared, or the card does not tell.
    """
    if trained_on is None:
        raise FlomoError(
            f"The card of {name} does not tell which images it was trained on, so fold {fold} may "
            "be among them; if you know that it is not, set 'parent_never_saw_fold: true' under "
            "'data' in the recipe."
        )
    seen = set(trained_on)
    if leaked := sorted(case for case, value in held_out.items() if value in seen):
        raise FlomoError(
            f"{name} was trained on {leaked[0]}, which fold {fold} holds out; start from a model "
            "that has not seen this fold, or choose another fold."
        )
