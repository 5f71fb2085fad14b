"""A data set on the disk: its cases, its folds, and volumes ready for training."""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from torch import Tensor

from flomo_training.folds import read_folds
from flomo_training.label_mapping import codes_to_classes
from flomo_training.leaks import check_leaks, fingerprint
from napari_flomo.errors import FlomoError
from napari_flomo.models.card import ModelCard
from napari_flomo.segmentation.inputs import check_input, with_channels
from napari_flomo.segmentation.orientation import Turn
from napari_flomo.segmentation.preprocessing import prepare, prepare_labels
from napari_flomo.tables import read_table
from napari_flomo.volumes import Volume, align_labels, read

Split = Literal["training", "validation", "all"]

CASES_FILE = "cases.csv"


@dataclass(frozen=True)
class Case:
    """One labelled volume or photo.

    Attributes
    ----------
    name, patient, phase
        Identifiers without personal data. ``patient`` is what the folds keep together: a patient,
        or for photos a block of video, a cluster of near duplicates or a file. ``phase`` is
        ``"ED"`` or ``"ES"``, empty for photos.
    image, labels
        Files.
    group
        What the folds have in equal shares: a pathology, or a kind of photo.
    """

    name: str
    patient: str
    phase: str
    image: Path
    labels: Path
    group: str = ""


@dataclass(frozen=True)
class PreparedVolume:
    """A case as the network sees it, before any square is cut.

    Attributes
    ----------
    images
        ``(slices, channels, rows, columns)`` uint8, 255 standing for intensity 1.
    classes
        ``(slices, rows, columns)`` uint8, index of each pixel's class in the card (not its code).
    centre
        ``(row, column)`` of the middle of all labelled pixels of the volume.
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
        Held out; None holds out nobody.
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
            f"{source} holds no images in their own grids, only slices to train on; give the "
            "folder of the data set."
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
            raise FlomoError(f"{case.patient} is in no fold of {source / 'folds.json'}; mend it.")
        (validation if fold_of[case.patient] == fold else training).append(case)
    if split == "all":
        return [case_from_row(source, row) for row in rows]
    check_leaks(training, validation, folds)
    cases = training if split == "training" else validation
    if not cases:
        raise FlomoError(f"The data folder {source} has no {split} cases in fold {fold}.")
    return cases


def read_case_rows(source: Path) -> list[dict[str, str]]:
    """Read ``cases.csv`` of a data folder.

    Raises
    ------
    FlomoError
        If it is missing, empty, or lacks a column or a value.
    """
    path = source / CASES_FILE
    try:
        rows = read_table(path)
    except (OSError, ValueError, csv.Error) as error:
        raise FlomoError(
            f"The data folder {source} is not complete ({error}); it needs cases.csv, folds.json, "
            "images/ and labels/, as 'flomo data prepare' writes them."
        ) from error
    if not rows or not all(row.get("case") and row.get("patient") for row in rows):
        raise FlomoError(f"{path} must name a case and a patient in every row; prepare it again.")
    names = [row["case"] for row in rows]
    if len(set(names)) < len(names):
        doubled = next(name for name in names if names.count(name) > 1)
        raise FlomoError(f"{path} holds the case {doubled} twice; remove one.")
    return rows


def case_from_row(source: Path, row: Mapping[str, str]) -> Case:
    """Return the case of a row of ``cases.csv``."""
    name = row["case"]
    return Case(
        name,
        row["patient"],
        row.get("phase") or "",
        source / (row.get("image") or f"images/{name}.nii.gz"),
        source / (row.get("labels") or f"labels/{name}_gt.nii.gz"),
        row.get("group") or "",
    )


def read_case(case: Case) -> tuple[Volume, Volume]:
    """Read the image and the labels of a case, the labels in the storage of the image.

    Raises
    ------
    FlomoError
        If a file is broken or the two do not lie at the same place.
    """
    image, labels = read(case.image, fill=True), read(case.labels)
    try:
        return image, align_labels(labels, image)
    except FlomoError as error:
        raise FlomoError(f"The image and the labels of {case.name} differ: {error}") from error


def print_notes(notes: Mapping[str, str], total: int) -> None:
    """Print, for many cases in one line, what had to be decided about their headers.

    Parameters
    ----------
    notes
        A sentence for each case that has one.
    total
        Number of all cases.
    """
    if notes:
        case, note = next(iter(notes.items()))
        print(f"Note: of {len(notes)} of {total} cases, as {case}: {note}", file=sys.stderr)


def prepare_case(case: Case, card: ModelCard) -> PreparedVolume:
    """Read a case and bring it to the card's pixel size and intensities.

    Raises
    ------
    FlomoError
        If a file is broken or not what the model takes, grids differ, or a label code is not in the
        card.
    """
    image, labels = read_case(case)
    check_input(image, card)
    whole = replace(card.preprocessing, crop=None)  # the squares are cut later, at random
    turn = Turn.of(image.geometry)
    seen = turn.volume(image)
    slices, plan = prepare(with_channels(seen, card), seen.in_plane_spacing, whole)
    codes = turn.array(labels.data)
    classes = prepare_labels(codes_to_classes(codes, card, case.name), plan).numpy()
    return PreparedVolume(
        case, to_uint8(slices), classes, label_centre(classes), fingerprint(case.image)
    )


def to_uint8(slices: Tensor) -> np.ndarray:
    """Return prepared slices as they are kept: uint8, 255 standing for intensity 1."""
    pixels: np.ndarray = np.rint(slices.numpy() * 255).astype(np.uint8)
    return pixels


def label_centre(classes: np.ndarray) -> tuple[float, float]:
    """Return row and column of the middle of all labelled pixels, or of the image without any."""
    where = np.nonzero(classes)
    if not where[0].size:
        return (classes.shape[1] - 1) / 2, (classes.shape[2] - 1) / 2
    return float(where[1].mean()), float(where[2].mean())
