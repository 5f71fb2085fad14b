"""Import corrections from another store, or images and labels as in nnU-Net."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_flomo.corrections.store import Correction, CorrectionStore
from napari_flomo.corrections.store.layout import is_store
from napari_flomo.errors import FlomoError
from napari_flomo.files import PathLike
from napari_flomo.schema import SchemaError, read_json
from napari_flomo.volumes import Volume, align_labels, read, stem_of, whole_labels

_CHANNEL = re.compile(r"_(\d{4})$")
_FOLDERS = (("imagesTr", "labelsTr"), ("images", "labels"))


@dataclass(frozen=True)
class Imported:
    """Result of an import.

    Attributes
    ----------
    added
        Number of new corrections or revisions.
    known
        Number of those that were in the store already, or had been deleted.
    skipped
        One sentence for each that was left out.
    """

    added: int
    known: int
    skipped: tuple[str, ...]


def import_folder(
    store: CorrectionStore, folder: PathLike, *, reader: str = "import", patient: str | None = None
) -> Imported:
    """Add the corrections of another folder to a store; repeating it changes nothing.

    Parameters
    ----------
    store
        The store to add to.
    folder
        Another store (with all revisions), or a folder with ``imagesTr`` and ``labelsTr`` (or
        ``images`` and ``labels``) whose files have the same names; an optional ``dataset.json``
        names the codes. These labels count as accepted, and their slices as seen, unless they have
        nnU-Net's "ignore" label.
    reader
        Alias of the reader of a data set; corrections of a store keep theirs.
    patient
        For data sets: a regular expression whose first group (or whole match) is the patient in a
        file's name. The name is hashed. By default every image is its own group.

    Raises
    ------
    FlomoError
        If the folder is neither, or the store cannot be written.
    """
    source = find_source(folder)
    if isinstance(source, DataSet):
        return _import_dataset(store, source, reader, patient)
    return _import_store(store, source)


def find_source(folder: PathLike) -> CorrectionStore | DataSet:
    """Return the store or data set in a folder.

    Raises
    ------
    FlomoError
        If it holds nothing that can be imported.
    """
    path = Path(folder)
    if is_store(path):
        return CorrectionStore.open(path)
    for images, labels in _FOLDERS:
        if (path / images).is_dir() and (path / labels).is_dir():
            return DataSet(path, path / images, path / labels)
    raise FlomoError(
        f"{path} holds nothing to import; give a store, or a folder with imagesTr and labelsTr."
    )


def _import_store(store: CorrectionStore, source: CorrectionStore) -> Imported:
    """Merge all revisions in their order."""
    skipped: list[str] = []
    if source.folder.resolve() == store.folder.resolve():
        raise FlomoError("A store cannot be imported into itself; give another one.")
    records = []
    for id in [record.id for record in source.records(skipped.append)]:
        for number in source.revisions(id):
            try:
                records.append(source.record(id, number))
            except FlomoError as error:
                skipped.append(f"{error} It was left out.")
    records.sort(key=lambda record: record.sequence)
    mine = {record.image.sha256: record.group for record in store.records(lambda _: None)}
    # Salts differ, so only an image in both stores shows which groups are the same patient.
    groups = {r.group: mine[r.image.sha256] for r in records if r.image.sha256 in mine}
    added = known = 0
    for record in records:
        own = record.group == source.group_id(record.image.sha256)
        group = groups.get(record.group, "" if own else record.group)
        try:
            correction = replace(source.read(record.id, record.revision), group=group)
        except FlomoError as error:
            skipped.append(f"{error} It was left out.")
            continue
        new = store.merge(correction)[1]
        added, known = added + new, known + (not new)
    return Imported(added, known, tuple(skipped))


def _import_dataset(
    store: CorrectionStore, dataset: DataSet, reader: str, patient: str | None
) -> Imported:
    try:
        pattern = None if patient is None else re.compile(patient)
    except re.error as error:
        raise FlomoError(f"{patient!r} is no regular expression: {error}.") from error
    skipped: list[str] = []
    added = known = 0
    table = dataset.table()
    for name, image_path, labels_path in dataset.pairs(skipped):
        try:
            group = "" if pattern is None else store.group_id(_patient(pattern, name))
            correction = replace(
                _correction(read(image_path, fill=True), read(labels_path), table),
                reader=reader,
                group=group,
            )
        except FlomoError as error:
            skipped.append(f"{name} was left out: {error}")
            continue
        new = store.merge(correction)[1]
        added, known = added + new, known + (not new)
    return Imported(added, known, tuple(skipped))


@dataclass(frozen=True)
class _Table:
    """Names by code, and the code of unlabelled voxels."""

    structures: dict[int, str]
    ignore: int | None = None


def _correction(image: Volume, labels: Volume, table: _Table) -> Correction:
    labels = align_labels(labels, image)
    data = labels.data
    left_out = np.zeros(data.shape, bool) if table.ignore is None else data == table.ignore
    unseen = left_out.any(axis=(-2, -1)).reshape(labels.n_frames, -1)
    return Correction(
        image=image,
        corrected=labels.with_data(np.where(left_out, 0, data)),
        structures=table.structures,
        seen=[(int(frame), int(index)) for frame, index in np.argwhere(~unseen)],
        state="accepted",
    )


@dataclass(frozen=True)
class DataSet:
    """Two folders with images and labels of the same names."""

    folder: Path  # with an optional dataset.json
    images: Path
    labels: Path

    def table(self) -> _Table:
        """Return the label table."""
        path = self.folder / "dataset.json"
        if not path.exists():
            return _Table(self._found_codes())
        try:
            content = read_json(path)
            return _named_codes(content["labels"])
        except (OSError, SchemaError, LookupError, TypeError, ValueError, AttributeError) as error:
            raise FlomoError(
                f'{path} has no valid label table: it needs "labels" as in nnU-Net, one whole '
                "number for each name."
            ) from error

    def pairs(self, skipped: list[str]) -> Iterator[tuple[str, Path, Path]]:
        """Yield the name, image and labels of each case."""
        images: dict[str, list[Path]] = {}
        for path in _files(self.images):
            images.setdefault(_CHANNEL.sub("", stem_of(path)), []).append(path)
        for labels in _files(self.labels):
            name = stem_of(labels)
            found = images.get(name, [])
            if len(found) == 1:
                yield name, found[0], labels
            else:
                what = "no image" if not found else f"{len(found)} images or channels"
                skipped.append(f"{name} was left out: it has {what} instead of one.")

    def _found_codes(self) -> dict[int, str]:
        codes: set[int] = set()
        for path in _files(self.labels):
            codes.update(int(code) for code in np.unique(whole_labels(read(path)).data))
        return {code: f"label {code}" for code in sorted(codes) if code}


def _named_codes(labels: Any) -> _Table:
    """Read the label table of nnU-Net (name to code), or that of the Decathlon (code to name)."""
    if all(isinstance(name, str) for name in labels.values()):
        labels = {name: int(code) for code, name in labels.items()}
    if not all(isinstance(code, int) for code in labels.values()):
        raise ValueError("regions are not supported")
    ignore = labels.get("ignore")
    structures = {code: name for name, code in labels.items() if code and code != ignore}
    return _Table(structures, ignore)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file() and path.name[0] != ".")


def _patient(pattern: re.Pattern[str], name: str) -> str:
    match = pattern.search(name)
    if match is None:
        raise FlomoError(f"the pattern {pattern.pattern!r} finds no patient in its name.")
    return match[1] if match.re.groups else match[0]
