"""Detection of leaks between training and validation data.

Groups are compared by name, images by their bytes, pictures also by perceptual hash, and parent
models (``start_from``) by the fingerprints of their training images.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from flomo_training.case import Case
from flomo_training.duplicates import hamming_distances
from flomo_training.folds import Folds
from napari_flomo.errors import FlomoError

FINGERPRINT = 16
"""Number of hexadecimal digits; 64 bits are enough to distinguish a million images."""


def fingerprint(image: Path) -> str:
    """Return a short hash of an image's bytes, after decompression.

    The header of a gzip file contains its date, which is not part of the image. Raises a
    `FlomoError` if the file is missing or damaged.
    """
    try:
        state = image.stat()
        return _fingerprint(image, state.st_mtime_ns, state.st_size)
    except (OSError, EOFError, zlib.error) as error:
        raise FlomoError(f"The image {image} is missing or damaged; download it again.") from error


@lru_cache(maxsize=100_000)
def _fingerprint(image: Path, _modified: int, _size: int) -> str:
    """Hash a file; cached as long as its date and size stay the same."""
    content = image.read_bytes()
    if image.suffix == ".gz":
        content = gzip.decompress(content)
    return hashlib.sha256(content).hexdigest()[:FINGERPRINT]


def fingerprints(cases: Iterable[Case]) -> dict[str, str]:
    """Return the fingerprint of every case's image, by case."""
    return {case.name: fingerprint(case.image) for case in cases}


def check_leaks(
    training: Sequence[Case],
    validation: Sequence[Case],
    folds: Folds,
    known: Mapping[str, str] | None = None,
) -> None:
    """Check that no held-out case is among the training cases, by name, bytes or appearance.

    ``known`` has the fingerprints by case; by default they are computed from the image files.
    Raises a `FlomoError` that names the two cases if there is a leak.
    """
    if shared := {c.patient for c in training} & {c.patient for c in validation}:
        raise FlomoError(
            f"The {folds.unit} {min(shared)} is in training and in validation; fix the folds."
        )
    if known is None:
        known = fingerprints((*training, *validation))
    seen = {known[case.name]: case.name for case in training}
    for case in validation:
        if known[case.name] in seen:
            raise FlomoError(
                f"{case.name} in validation is the same image as {seen[known[case.name]]} in "
                "training; put both into one fold, or remove one."
            )
    if folds.perceptual_hashes and training and validation:
        _check_near_duplicates(training, validation, folds)


def _check_near_duplicates(
    training: Sequence[Case], validation: Sequence[Case], folds: Folds
) -> None:
    hashes = folds.perceptual_hashes
    for case in (*training, *validation):
        if case.name not in hashes:
            raise FlomoError(
                f"The folds have no perceptual hash of {case.name}, so near duplicates cannot be "
                "detected; prepare the data again."
            )
    unlike = hamming_distances(
        [hashes[c.name] for c in validation], [hashes[c.name] for c in training]
    )
    held_out, trained = divmod(int(unlike.argmin()), len(training))
    if unlike[held_out, trained] <= folds.near_duplicate_bits:
        raise FlomoError(
            f"{validation[held_out].name} in validation is a near duplicate of "
            f"{training[trained].name} in training; prepare the data again, or remove one."
        )
