"""The reference set: labelled images of the base task on which a candidate must not get worse."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

from flomo_training.cases import CASES_FILE, Case, case_from_row, read_case, read_case_rows
from flomo_training.gate.cases import EvaluationImage
from flomo_training.gate.signatures import signatures
from flomo_training.label_mapping import codes_to_classes
from flomo_training.leaks import fingerprint
from napari_flomo.errors import Cancelled, FlomoError
from napari_flomo.models import ModelCard, info, load_card, parent_of
from napari_flomo.progress import Progress, ProgressCallback
from napari_flomo.volumes import Volume

REFERENCE_FOLDER = "reference"
"""Within a model folder."""


def find_reference(parent: Path) -> Path | None:
    """Return the reference set of a model folder, or of the model it descends from."""
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
) -> list[EvaluationImage]:
    """Return the images of a reference set; each is read once for its signatures.

    The folder has prepared data, see `flomo_training.cases.list_cases`; ``folds.json`` is not
    needed. Two optional columns of ``cases.csv`` restrict what is labelled (default: everything):
    ``structures`` (codes such as ``"2 3"``) and ``slices`` (counted from 0, such as ``"1 2 3"``).

    Raises a `FlomoError` if the folder or a file is invalid, and `Cancelled` if ``cancelled``,
    which is checked before each image, returned True.
    """
    rows = read_case_rows(folder)
    images = []
    for number, row in enumerate(rows, start=1):
        if cancelled is not None and cancelled():
            raise Cancelled
        # Case names may identify patients, so they are not used in reports.
        images.append(
            _evaluation_image(case_from_row(folder, row), row, card, f"reference image {number}")
        )
        if progress is not None:
            progress(Progress(number, len(rows)))
    return images


def reference_hash(folder: Path) -> str:
    """Return a SHA-256 of the content of a reference set: table, images and labels."""
    digest = hashlib.sha256()
    rows = read_case_rows(folder)
    for row in rows:
        case = case_from_row(folder, row)
        content = [case.name, case.patient, row.get("structures") or "", row.get("slices") or ""]
        content += [fingerprint(case.image), fingerprint(case.labels)]
        digest.update(("\n".join(content) + "\n\n").encode())
    return digest.hexdigest()


def _evaluation_image(
    case: Case, row: Mapping[str, str], card: ModelCard, name: str
) -> EvaluationImage:
    volume, _ = _load(case, card)
    return EvaluationImage(
        name=name,
        group=case.patient,
        load=lambda: _load(case, card),
        slices=_slices(row, volume.n_slices, case),
        codes=_codes(row, card, case),
        signatures=signatures(volume) | {fingerprint(case.image)},
    )


def _load(case: Case, card: ModelCard) -> tuple[Volume, Volume]:
    image, labels = read_case(case)
    codes_to_classes(labels.data, card, case.name)  # raises for codes that are not in the card
    return image, labels


def _slices(row: Mapping[str, str], count: int, case: Case) -> tuple[int, ...]:
    numbers = _numbers(row, "slices", case)
    if numbers is None:
        return tuple(range(count))
    if outside := [number for number in numbers if number >= count]:
        raise FlomoError(
            f"{CASES_FILE} lists slice {outside[0]} of {case.name}, which has {count} slices, "
            "counted from 0; fix it."
        )
    return numbers


def _codes(row: Mapping[str, str], card: ModelCard, case: Case) -> tuple[int, ...]:
    known = tuple(label.code for label in card.labels[1:])
    numbers = _numbers(row, "structures", case)
    if numbers is None:
        return known
    if unknown := [number for number in numbers if number not in known]:
        raise FlomoError(
            f"{CASES_FILE} lists the structure {unknown[0]} of {case.name}, which is not in the "
            f"card of {card.name}; it has {', '.join(map(str, known))}."
        )
    return numbers


def _numbers(row: Mapping[str, str], column: str, case: Case) -> tuple[int, ...] | None:
    """Return the numbers in a cell of the table, ascending; None if it is empty."""
    text = (row.get(column) or "").split()
    if not text:
        return None
    if not all(number.isdecimal() for number in text):
        raise FlomoError(
            f"{CASES_FILE} has {row[column]!r} as {column} of {case.name}; write numbers separated "
            "by spaces."
        )
    return tuple(sorted({int(number) for number in text}))
