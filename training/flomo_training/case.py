"""Cases of a data folder: one labelled image each, listed in ``cases.csv``."""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from napari_flomo.errors import FlomoError
from napari_flomo.tables import read_table
from napari_flomo.volumes import Volume, align_labels, read

CASES_FILE = "cases.csv"


@dataclass(frozen=True)
class Case:
    """One labelled volume or photo.

    Attributes
    ----------
    name, patient, phase
        Identifiers without personal data. ``patient`` is the unit of the folds: a patient, or for
        photos a block of video, a cluster of near duplicates or a file. ``phase`` is ``"ED"`` or
        ``"ES"``, empty for photos.
    image, labels
        Files.
    group
        What the folds are stratified by: a pathology, or a kind of photo.
    """

    name: str
    patient: str
    phase: str
    image: Path
    labels: Path
    group: str = ""


def read_case_rows(source: Path) -> list[dict[str, str]]:
    """Read ``cases.csv`` of a data folder.

    Raises a `FlomoError` if it is missing, empty, or a column or a value is missing.
    """
    path = source / CASES_FILE
    try:
        rows = read_table(path)
    except (OSError, ValueError, csv.Error) as error:
        raise FlomoError(
            f"The data folder {source} is incomplete ({error}); it needs cases.csv, folds.json, "
            "images/ and labels/, as written by 'flomo data prepare'."
        ) from error
    if not rows or not all(row.get("case") and row.get("patient") for row in rows):
        raise FlomoError(f"{path} needs a case and a patient in every row; prepare the data again.")
    names = [row["case"] for row in rows]
    if len(set(names)) < len(names):
        duplicate = next(name for name in names if names.count(name) > 1)
        raise FlomoError(f"{path} contains the case {duplicate} twice; remove one.")
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
    """Read the image and the labels of a case, the labels in the array layout of the image.

    Raises a `FlomoError` if a file is damaged or the two grids differ.
    """
    image, labels = read(case.image, fill=True), read(case.labels)
    try:
        return image, align_labels(labels, image)
    except FlomoError as error:
        raise FlomoError(f"The image and the labels of {case.name} differ: {error}") from error


def print_notes(notes: Mapping[str, str], total: int) -> None:
    """Print one line about cases whose headers needed a decision; ``notes`` are by case."""
    if notes:
        case, note = next(iter(notes.items()))
        print(f"Note on {len(notes)} of {total} cases, such as {case}: {note}", file=sys.stderr)
