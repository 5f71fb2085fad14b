"""A compact file with the preprocessed training data of a data set.

A compressed ``.npz`` file without pickled objects: the slices and classes of each case at the pixel
size of a recipe, and a JSON index with cases, folds and a SHA-256 of every array. It also serves as
an explicit cache, which is rejected if it does not fit the recipe. Training from it is bit for bit
the same as training from the folder.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import sys
import zipfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from flomo_training.cases import Case, PreparedVolume, list_cases, prepare_case
from flomo_training.folds import Folds, read_folds
from flomo_training.leaks import check_leaks, fingerprint
from napari_flomo.errors import FlomoError
from napari_flomo.files import atomic_write
from napari_flomo.models import ModelCard
from napari_flomo.schema import SchemaError, decode, encode

FORMAT = 1
INDEX = "index"
BROKEN = (OSError, KeyError, ValueError, EOFError, lzma.LZMAError, zlib.error, zipfile.BadZipFile)
"""Exceptions from reading a damaged file."""


@dataclass(frozen=True)
class PackedCase:
    """A case in the index; see `Case` and `PreparedVolume`.

    ``fingerprint`` is that of the image file; ``images`` and ``classes`` are hashes of the arrays.
    """

    case: str
    patient: str
    phase: str
    group: str
    centre: tuple[float, ...]
    fingerprint: str
    images: str
    classes: str


@dataclass(frozen=True)
class PackIndex:
    """The index of a packed file, with the cases in the order of their arrays.

    ``preparation`` is a hash of the preprocessing; a file with another one is rejected.
    """

    format: int
    preparation: str
    folds: Folds
    entries: tuple[PackedCase, ...]


def preprocessing_hash(card: ModelCard) -> str:
    """Return a hash of everything in a card that influences slices and classes."""
    rules = card.preprocessing.to_rules()
    rules.pop("crop")  # crops are random and follow later
    content = [rules, card.in_channels, card.input_kind, [label.code for label in card.labels]]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def write_pack(source: Path, card: ModelCard, out: Path) -> int:
    """Preprocess all cases of a folder, write them to one file, and return the number of slices.

    Raises a `FlomoError` if the data is incomplete or has leaks, or the file cannot be written.
    """
    folds = read_folds(source)
    for fold in range(len(folds.folds)):
        list_cases(source, fold, "validation")  # detect leaks before the long part
    entries: list[PackedCase] = []
    slices = 0
    with atomic_write(out) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        cases = list_cases(source, 0, "all")
        for number, case in enumerate(tqdm(cases, unit="case", disable=not sys.stderr.isatty())):
            volume = prepare_case(case, card)
            slices += len(volume.images)
            _write_array(archive, f"images_{number:05d}", volume.images)
            _write_array(archive, f"classes_{number:05d}", volume.classes)
            entries.append(_packed_case(volume))
        index = PackIndex(FORMAT, preprocessing_hash(card), folds, tuple(entries))
        text = json.dumps(encode(index), separators=(",", ":")).encode()
        _write_array(archive, INDEX, np.frombuffer(text, np.uint8))
    return slices


def read_pack(path: Path, card: ModelCard, fold: int | None) -> list[PreparedVolume]:
    """Read the training cases of a fold from a packed file.

    Raises a `FlomoError` if the file is missing, damaged or made for another recipe, or its folds
    have leaks.
    """
    with _opened(path) as (archive, index):
        _check(index, path, card, fold)
        fold_of = index.folds.fold_of()
        return [
            _read_volume(archive, number, entry, path)
            for number, entry in enumerate(index.entries)
            if fold_of[entry.patient] != fold
        ]


def read_by_fingerprint(
    path: Path, card: ModelCard, fingerprints: Collection[str]
) -> list[PreparedVolume]:
    """Read the cases of a packed file whose images have one of the given fingerprints.

    Raises a `FlomoError` if the file is missing, damaged, or made for another recipe.
    """
    with _opened(path) as (archive, index):
        _check_layout(index, path, card)
        return [
            _read_volume(archive, number, entry, path)
            for number, entry in enumerate(index.entries)
            if entry.fingerprint in fingerprints
        ]


def held_out_fingerprints(source: Path, fold: int) -> dict[str, str]:
    """Return the fingerprints of the held-out images of a data folder or packed file, by case."""
    if source.is_dir():
        return {c.name: fingerprint(c.image) for c in list_cases(source, fold, "validation")}
    with _opened(source) as (_, index):
        fold_of = index.folds.fold_of()
        return {e.case: e.fingerprint for e in index.entries if fold_of[e.patient] == fold}


def load_training_volumes(source: Path, card: ModelCard, fold: int | None) -> list[PreparedVolume]:
    """Return the preprocessed training cases of a fold from a data folder or a packed file.

    Raises a `FlomoError` if the data is incomplete, does not fit the card, or has leaks.
    """
    if source.is_file():
        return read_pack(source, card, fold)
    return [prepare_case(case, card) for case in list_cases(source, fold, "training")]


def _packed_case(volume: PreparedVolume) -> PackedCase:
    case = volume.case
    return PackedCase(
        case.name,
        case.patient,
        case.phase,
        case.group,
        volume.centre,
        volume.fingerprint,
        _sha256(volume.images),
        _sha256(volume.classes),
    )


def _check_layout(index: PackIndex, path: Path, card: ModelCard) -> None:
    """Raise if the file does not fit the preprocessing of a card."""
    if index.format != FORMAT:
        raise FlomoError(f"{path} has the unknown format {index.format}; pack the data again.")
    if index.preparation != preprocessing_hash(card):
        raise FlomoError(
            f"{path} was packed with other preprocessing or labels than those of {card.name}; pack "
            "the data again with this recipe."
        )


def _check(index: PackIndex, path: Path, card: ModelCard, fold: int | None) -> None:
    """Raise if the file does not fit the recipe and fold, or its folds have leaks."""
    _check_layout(index, path, card)
    if fold is not None and not 0 <= fold < len(index.folds.folds):
        raise FlomoError(f"There is no fold {fold}; choose 0 to {len(index.folds.folds) - 1}.")
    fold_of = index.folds.fold_of()
    training: list[Case] = []
    validation: list[Case] = []
    for entry in index.entries:
        (validation if fold_of[entry.patient] == fold else training).append(_case(entry, path))
    known = {entry.case: entry.fingerprint for entry in index.entries}
    check_leaks(training, validation, index.folds, known)
    if not training:
        raise FlomoError(f"{path} has no training cases in fold {fold}.")


def _case(entry: PackedCase, path: Path) -> Case:
    return Case(entry.case, entry.patient, entry.phase, path, path, entry.group)


def _read_volume(
    archive: zipfile.ZipFile, number: int, entry: PackedCase, path: Path
) -> PreparedVolume:
    images = _read_array(archive, f"images_{number:05d}")
    classes = _read_array(archive, f"classes_{number:05d}")
    if _sha256(images) != entry.images or _sha256(classes) != entry.classes:
        raise _damaged(path)
    row, column = entry.centre
    return PreparedVolume(_case(entry, path), images, classes, (row, column), entry.fingerprint)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[zipfile.ZipFile, PackIndex]]:
    """Open a file, read its index, and explain damage that is found while it is open."""
    try:
        with zipfile.ZipFile(path) as archive:
            index = decode(PackIndex, json.loads(_read_array(archive, INDEX).tobytes()))
            yield archive, index
    except (*BROKEN, SchemaError) as error:
        raise _damaged(path) from error


def _write_array(archive: zipfile.ZipFile, name: str, array: NDArray[Any]) -> None:
    # Without a date, so that the same data gives the same file.
    member = zipfile.ZipInfo(f"{name}.npy")
    # 20 % smaller than with deflate; the file is read only once per training.
    member.compress_type = zipfile.ZIP_LZMA
    with archive.open(member, "w", force_zip64=True) as file:
        np.lib.format.write_array(file, np.ascontiguousarray(array), allow_pickle=False)


def _read_array(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    with archive.open(f"{name}.npy") as file:
        array: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    return array


def _sha256(array: NDArray[Any]) -> str:
    header = f"{array.dtype.str}{array.shape}".encode()
    return hashlib.sha256(header + np.ascontiguousarray(array).tobytes()).hexdigest()


def _damaged(path: Path) -> FlomoError:
    return FlomoError(
        f"{path} is damaged or not a packed file; write it again with 'flomo data pack'."
    )
