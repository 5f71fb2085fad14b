"""The cases of a data folder by fold, and volumes preprocessed for training."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from flomo_training.case import (
    CASES_FILE,
    Case,
    case_from_row,
    print_notes,
    read_case,
    read_case_rows,
)
from flomo_training.folds import read_folds
from flomo_training.label_mapping import codes_to_classes
from flomo_training.leaks import check_leaks, fingerprint
from napari_flomo.errors import FlomoError
from napari_flomo.models import ModelCard
from napari_flomo.segmentation import (
    Reorientation,
    check_input,
    prepare,
    prepare_labels,
    with_channels,
)

__all__ = [
    "CASES_FILE",
    "Case",
    "PreparedVolume",
    "Split",
    "case_from_row",
    "label_centre",
    "list_cases",
    "prepare_case",
    "print_notes",
    "read_case",
    "read_case_rows",
    "to_uint8",
]

Split = Literal["training", "validation", "all"]


@dataclass(frozen=True)
class PreparedVolume:
    """A preprocessed case, before cropping.

    Attributes
    ----------
    images
        ``(slices, channels, rows, columns)`` uint8; 255 is intensity 1.
    classes
        ``(slices, rows, columns)`` uint8, class index of each pixel in the card (not its code).
    centre
        ``(row, column)``, centroid of all labelled pixels of the volume.
    fingerprint
        Of the image file, see `flomo_training.leaks.fingerprint`.
    """

    case: Case
    images: np.ndarray
    classes: np.ndarray
    centre: tuple[float, float]
    fingerprint: str = ""


def list_cases(source: Path, fold: int | None, split: Split) -> list[Case]:
    """List the cases of a data set that belong to a split of a fold.

    Parameters
    ----------
    source
        Prepared folder: ``cases.csv`` with the columns ``case``, ``patient`` and, as they apply,
        ``phase``, ``group``, ``image`` and ``labels`` (paths within the folder; by default
        ``images/CASE.nii.gz`` and ``labels/CASE_gt.nii.gz``), and ``folds.json``.
    fold
        Held-out fold; None holds out no patients.
    split
        ``"training"``, ``"validation"`` or ``"all"``.

    Raises
    ------
    FlomoError
        If files are missing, or training and validation share a patient, an image or near
        duplicates (a leak).
    """
    if source.is_file():
        raise FlomoError(
            f"{source} contains only preprocessed slices for training; give the folder of the "
            "data set."
        )
    rows = read_case_rows(source)
    folds = read_folds(source)
    if fold is not None and not 0 <= fold < len(folds.folds):
        raise FlomoError(f"There is no fold {fold}; choose 0 to {len(folds.folds) - 1}.")
    fold_of = folds.fold_of()
    training: list[Case] = []
    validation: list[Case] = []
    for row in rows:
        case = case_from_row(source, row)
        if case.patient not in fold_of:
            raise FlomoError(f"{case.patient} is in no fold of {source / 'folds.json'}; fix it.")
        (validation if fold_of[case.patient] == fold else training).append(case)
    if split == "all":
        return [case_from_row(source, row) for row in rows]
    check_leaks(training, validation, folds)
    cases = training if split == "training" else validation
    if not cases:
        raise FlomoError(f"The data folder {source} has no {split} cases in fold {fold}.")
    return cases


def prepare_case(case: Case, card: ModelCard) -> PreparedVolume:
    """Read a case and resample it to the card's pixel size and intensities.

    Raises a `FlomoError` if a file is damaged or not accepted by the model, grids differ, or a
    label code is not in the card.
    """
    image, labels = read_case(case)
    check_input(image, card)
    whole = replace(card.preprocessing, crop=None)  # crops are random and follow later
    turn = Reorientation.of(image.geometry)
    seen = turn.volume(image)
    slices, plan = prepare(with_channels(seen, card), seen.in_plane_spacing, whole)
    codes = turn.array(labels.data)
    classes = prepare_labels(codes_to_classes(codes, card, case.name), plan)
    return PreparedVolume(
        case, to_uint8(slices), classes, label_centre(classes), fingerprint(case.image)
    )


def to_uint8(slices: NDArray[np.float32]) -> np.ndarray:
    """Convert preprocessed slices to uint8; 255 is intensity 1."""
    pixels: np.ndarray = np.rint(slices * 255).astype(np.uint8)
    return pixels


def label_centre(classes: np.ndarray) -> tuple[float, float]:
    """Return row and column of the centroid of all labelled pixels, or of the image centre."""
    where = np.nonzero(classes)
    if not where[0].size:
        return (classes.shape[1] - 1) / 2, (classes.shape[2] - 1) / 2
    return float(where[1].mean()), float(where[2].mean())
