"""A data set on the disk: its cases, its folds, and volumes ready for training."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from napari_flomo.errors import FlomoError
from napari_flomo.models.card import ModelCard
from napari_flomo.segmentation.preprocessing import prepare, prepare_labels
from napari_flomo.volumes import Volume, read

Split = Literal["training", "validation", "all"]


@dataclass(frozen=True)
class Case:
    """One labelled volume.

    Attributes
    ----------
    name, patient, phase
        Identifiers without personal data; ``phase`` is ``"ED"`` or ``"ES"``.
    image, labels
        Files.
    """

    name: str
    patient: str
    phase: str
    image: Path
    labels: Path


@dataclass(frozen=True)
class PreparedVolume:
    """A case as the network sees it, before any square is cut.

    Attributes
    ----------
    images
        ``(slices, rows, columns)`` uint8, 255 standing for intensity 1.
    classes
        Same shape, uint8, index of each pixel's class in the card (not its code).
    centre
        ``(row, column)`` of the middle of all labelled pixels of the volume.
    """

    case: Case
    images: np.ndarray
    classes: np.ndarray
    centre: tuple[float, float]


def list_cases(source: Path, fold: int, split: Split) -> list[Case]:
    """List the cases of a data set that belong to a split of a fold.

    Raises
    ------
    FlomoError
        If files are missing, or a patient is in no fold or in several (a leak).
    """
    try:
        with (source / "cases.csv").open(newline="", encoding="utf-8") as table:
            rows = list(csv.DictReader(table))
        folds = json.loads((source / "folds.json").read_text(encoding="utf-8"))["folds"]
    except (OSError, ValueError, KeyError) as error:
        raise FlomoError(
            f"The data folder {source} is not complete ({error}); it needs cases.csv, folds.json, "
            "images/ and labels/."
        ) from error
    if not 0 <= fold < len(folds):
        raise FlomoError(f"There is no fold {fold}; choose 0 to {len(folds) - 1}.")
    everyone = [patient for members in folds for patient in members]
    if len(everyone) != len(set(everyone)):
        raise FlomoError(f"{source / 'folds.json'} puts a patient into two folds; mend it.")
    held_out = set(folds[fold])
    cases = []
    for row in rows:
        if row["patient"] not in everyone:
            raise FlomoError(f"{row['patient']} is in no fold of {source / 'folds.json'}.")
        if split == "all" or (row["patient"] in held_out) == (split == "validation"):
            image = source / "images" / f"{row['case']}.nii.gz"
            labels = source / "labels" / f"{row['case']}_gt.nii.gz"
            cases.append(Case(row["case"], row["patient"], row["phase"], image, labels))
    if not cases:
        raise FlomoError(f"The data folder {source} has no {split} cases in fold {fold}.")
    return cases


def read_case(case: Case) -> tuple[Volume, Volume]:
    """Read the image and the labels of a case.

    Raises
    ------
    FlomoError
        If a file is broken or the two differ in shape.
    """
    image, labels = read(case.image), read(case.labels)
    if image.data.shape != labels.data.shape:
        raise FlomoError(f"The image and the labels of {case.name} differ in shape.")
    return image, labels


def prepare_case(case: Case, card: ModelCard) -> PreparedVolume:
    """Read a case and bring it to the card's pixel size and intensities.

    Raises
    ------
    FlomoError
        If a file is broken, grids differ, or a label code is not in the card.
    """
    image, labels = read_case(case)
    whole = replace(card.preprocessing, crop=None)  # the squares are cut later, at random
    slices, plan = prepare(image.data, image.in_plane_spacing, whole)
    classes = prepare_labels(code_to_class(labels.data, card, case.name), plan).numpy()
    where = np.nonzero(classes)
    centre = (
        (float(where[1].mean()), float(where[2].mean()))
        if where[0].size
        else ((classes.shape[1] - 1) / 2, (classes.shape[2] - 1) / 2)
    )
    pixels = np.rint(slices[:, 0].numpy() * 255).astype(np.uint8)
    return PreparedVolume(case, pixels, classes, centre)


def code_to_class(codes: np.ndarray, card: ModelCard, name: str) -> np.ndarray:
    """Turn label codes into indices of the card's labels.

    Raises
    ------
    FlomoError
        If a code is not in the card.
    """
    table = {label.code: index for index, label in enumerate(card.labels)}
    if unknown := sorted(set(np.unique(codes).tolist()) - table.keys()):
        raise FlomoError(
            f"The labels of {name} hold the codes {unknown}, which the model card {card.name} does "
            f"not name; it names {sorted(table)}."
        )
    lookup = np.zeros(256, np.uint8)
    for code, index in table.items():
        lookup[code] = index
    result: np.ndarray = lookup[codes.astype(np.uint8)]
    return result
