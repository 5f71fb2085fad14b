"""The reference set: labelled images of the base task on which no candidate may get worse."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

from flomo_training.cases import CASES_FILE, Case, case_of, code_to_class, read_case, read_rows
from flomo_training.gate.cases import JudgedImage
from flomo_training.gate.traces import traces
from flomo_training.leaks import fingerprint
from napari_flomo.errors import Cancelled, FlomoError
from napari_flomo.models import ModelCard, info, load_card
from napari_flomo.models.promotion import parent_of
from napari_flomo.progress import Progress, ProgressCallback
from napari_flomo.volumes import Volume

REFERENCE_FOLDER = "reference"
"""Within a model folder."""


def find_reference(parent: Path) -> Path | None:
    """Return the reference set that is packed with a model, or with the one it descends from.

    Parameters
    ----------
    parent
        Model folder.
    """
    seen: set[str] = set()
    folder: Path | None = parent
    while folder is not None:
        if (folder / REFERENCE_FOLDER / CASES_FILE).is_file():
            return folder / REFERENCE_FOLDER
        name, _ = parent_of(load_card(folder))
        if not name or name in seen:
            return None
        seen.add(name)
        try:
            folder = info(name)[0].folder
        except FlomoError:
            return None
    return None


def read_reference(
    folder: Path,
    card: ModelCard,
    progress: ProgressCallback | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> list[JudgedImage]:
    """List the images of a reference set; each is read once, for its traces.

    Parameters
    ----------
    folder
        Prepared data, see `flomo_training.cases.list_cases`; ``folds.json`` is not needed. Two more
        columns of ``cases.csv`` may be there: ``structures`` (codes that are labelled in this
        image, such as ``"2 3"``) and ``slices`` (those that are labelled, counted from 0, such as
        ``"1 2 3"``). By default everything is.
    card
        Of the models that are judged; it names the codes.
    progress
        Called with the images done and in total.
    cancelled
        Asked before each image.

    Raises
    ------
    FlomoError
        If the folder or a file is not as it should be.
    Cancelled
        If ``cancelled`` said so.
    """
    rows = read_rows(folder)
    images = []
    for number, row in enumerate(rows, start=1):
        if cancelled is not None and cancelled():
            raise Cancelled
        # Names of somebody's own data may tell who it is, so that they stay out of reports.
        images.append(_judged(case_of(folder, row), row, card, f"reference image {number}"))
        if progress is not None:
            progress(Progress(number, len(rows)))
    return images


def reference_hash(folder: Path) -> str:
    """Return a SHA-256 of all that a reference set says: its table, images and labels."""
    digest = hashlib.sha256()
    rows = read_rows(folder)
    for row in rows:
        case = case_of(folder, row)
        said = [case.name, case.patient, row.get("structures") or "", row.get("slices") or ""]
        said += [fingerprint(case.image), fingerprint(case.labels)]
        digest.update(("\n".join(said) + "\n\n").encode())
    return digest.hexdigest()


def _judged(case: Case, row: Mapping[str, str], card: ModelCard, name: str) -> JudgedImage:
    volume, _ = _load(case, card)
    return JudgedImage(
        name=name,
        group=case.patient,
        load=lambda: _load(case, card),
        slices=_slices(row, volume.n_slices, case),
        codes=_codes(row, card, case),
        traces=traces(volume) | {fingerprint(case.image)},
    )


def _load(case: Case, card: ModelCard) -> tuple[Volume, Volume]:
    image, labels = read_case(case)
    code_to_class(labels.data, card, case.name)  # refuses codes that the card does not name
    return image, labels


def _slices(row: Mapping[str, str], count: int, case: Case) -> tuple[int, ...]:
    numbers = _numbers(row, "slices", case)
    if numbers is None:
        return tuple(range(count))
    if outside := [number for number in numbers if number >= count]:
        raise FlomoError(
            f"{CASES_FILE} lists slice {outside[0]} of {case.name}, which has {count} slices, "
            "counted from 0; mend it."
        )
    return numbers


def _codes(row: Mapping[str, str], card: ModelCard, case: Case) -> tuple[int, ...]:
    known = tuple(label.code for label in card.labels[1:])
    numbers = _numbers(row, "structures", case)
    if numbers is None:
        return known
    if unknown := [number for number in numbers if number not in known]:
        raise FlomoError(
            f"{CASES_FILE} lists the structure {unknown[0]} of {case.name}, which the card of "
            f"{card.name} does not name; it names {', '.join(map(str, known))}."
        )
    return numbers


def _numbers(row: Mapping[str, str], column: str, case: Case) -> tuple[int, ...] | None:
    """Return a list of numbers from a table, ascending; None where there is none."""
    text = (row.get(column) or "").split()
    if not text:
        return None
    if not all(number.isdecimal() for number in text):
        raise FlomoError(
            f"{CASES_FILE} gives {row[column]!r} as {column} of {case.name}; write numbers with "
            "spaces between them."
        )
    return tuple(sorted({int(number) for number in text}))
