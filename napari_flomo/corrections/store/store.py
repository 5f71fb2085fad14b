"""The store of corrections: a folder that survives crashes and concurrent programs."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Self

from napari_flomo.corrections.identity import identity
from napari_flomo.corrections.store.addition import Addition
from napari_flomo.corrections.store.correction import Correction
from napari_flomo.corrections.store.history import History, HistoryEntry
from napari_flomo.corrections.store.layout import (
    Layout,
    Settings,
    is_store,
    new_settings,
    read_settings,
    write_settings,
)
from napari_flomo.corrections.store.migration import SCHEMA
from napari_flomo.corrections.store.record import ID, Record, StoredFile, read_record
from napari_flomo.corrections.store.transactions import store_lock, writing
from napari_flomo.corrections.store.verification import Finding, file_hash, verify
from napari_flomo.corrections.stored_files import read_stored
from napari_flomo.errors import FlomoError, reason_of
from napari_flomo.files import PathLike, make_folder
from napari_flomo.paths import data_folder
from napari_flomo.volumes import Volume

Report = Callable[[str], None]
"""Called with one sentence for each damaged record that is skipped."""


def default_store() -> Path:
    """Return the default folder, in the user's data folder."""
    return data_folder() / "corrections"


class CorrectionStore:
    """All corrections of a person, a team or a study; opened by `CorrectionStore.open`.

    Reading needs no lock and works on a read-only share. Changes are on the disk when a method
    returns. An instance holds no open file and may be used by several threads.

    Attributes
    ----------
    folder
        Its folder, in which ``README.txt`` explains the layout.
    copies_images
        Whether images are copied into the store, or only their hashes.
    """

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.folder = folder
        self.copies_images = settings.copy_images
        self._layout = Layout(folder)
        self._settings = settings

    @classmethod
    def open(cls, folder: PathLike, *, create: bool = False, copy_images: bool = True) -> Self:
        """Open a store, or create one.

        Parameters
        ----------
        folder
            Of the store.
        create
            Create it if there is none; the folder must then be new or empty.
        copy_images
            For a new store: whether to copy images into it.

        Raises
        ------
        FlomoError
            If the folder is not a store, was written by a newer program, or cannot be read or
            created.
        """
        layout = Layout(Path(folder).absolute())
        if create and not is_store(layout.folder):
            _create(layout, copy_images)
        return cls(layout.folder, read_settings(layout)[0])

    def group_id(self, patient: str) -> str:
        """Return the salted hash that stands for a patient (or any group) in this store."""
        return self._settings.token("group", patient)

    def add(self, correction: Correction) -> str:
        """Add a correction.

        There is one for each image, reader and set of structures; a later correction becomes its
        next revision. Adding the same correction again changes nothing.

        Parameters
        ----------
        correction
            The correction. With an empty ``group`` it keeps its group, by default one for its
            image.

        Returns
        -------
        str
            Its id, 16 hexadecimal digits.

        Raises
        ------
        FlomoError
            If ``image_hash`` belongs to another image, the group is not a `group_id`, or it cannot
            be written; the store is unchanged.
        """
        return self._add(correction)[0]

    def merge(self, correction: Correction) -> tuple[str, bool]:
        """Add a correction from another store, unless it is known.

        Like `add`, but a correction that equals any older revision, or that was deleted here, is
        skipped, so that an import can be repeated.

        Returns
        -------
        tuple
            Its id, and whether anything was written.
        """
        return self._add(correction, imported=True)

    def _add(self, correction: Correction, imported: bool = False) -> tuple[str, bool]:
        if correction.group and not ID.fullmatch(correction.group):
            raise FlomoError(
                "The group of a correction must come from CorrectionStore.group_id, so that the "
                "store contains no patient names."
            )
        addition = Addition.of(correction, self._layout, self._settings)
        with writing(self._layout) as transaction:
            return transaction.add(addition, imported=imported)

    def remove(self, id: str) -> None:
        """Delete a correction: its labels, and its image unless another correction uses it.

        A tombstone remains, so that an import does not restore it.

        Raises
        ------
        FlomoError
            If there is no such correction, or it cannot be deleted.
        """
        self._check_id(id)
        with writing(self._layout) as transaction:
            transaction.remove(id)

    def records(self, report: Report | None = None) -> list[Record]:
        """Return the latest revision of every correction, in the order of creation.

        Parameters
        ----------
        report
            Called for each correction that is skipped because its record is damaged; by default it
            is a warning.
        """
        found = []
        for id in self._layout.ids():
            try:
                numbers = self._layout.revisions(id)
                if numbers:
                    found.append(read_record(self._layout.record(id, numbers[-1])))
            except FileNotFoundError:
                continue  # deleted by another program meanwhile
            except FlomoError as error:
                (report or _warn)(f"{error} It was skipped; run: flomo corrections verify.")
        return sorted(found, key=lambda record: record.sequence)

    def of_image(self, image_hash: str) -> list[Record]:
        """Return the latest revisions of the corrections of one image, in the order of creation.

        Parameters
        ----------
        image_hash
            `napari_flomo.corrections.identity` of the image.
        """
        records = self.records(report=lambda _: None)
        return [record for record in records if record.image.sha256 == image_hash]

    def written(self, record: Record) -> datetime:
        """Return when the files of a revision were written here; no record contains a date.

        Raises
        ------
        FlomoError
            If it was deleted meanwhile.
        """
        path = self._layout.record(record.id, record.revision)
        try:
            return datetime.fromtimestamp(path.stat().st_mtime)
        except OSError as error:
            raise FlomoError(f"The correction {record.id} was deleted meanwhile.") from error

    def revisions(self, id: str) -> list[int]:
        """Return the numbers of the revisions of a correction, ascending."""
        self._check_id(id)
        return self._layout.revisions(id)

    def record(self, id: str, revision: int | None = None) -> Record:
        """Return the record of a revision; the latest by default.

        Raises
        ------
        FlomoError
            If there is no such correction, or its record is damaged.
        """
        numbers = self.revisions(id)
        if not numbers or (revision is not None and revision not in numbers):
            what = f"correction {id}" if not numbers else f"revision {revision} of {id}"
            raise FlomoError(f"There is no {what} in {self.folder}.")
        try:
            return read_record(self._layout.record(id, revision or numbers[-1]))
        except FileNotFoundError as error:
            raise FlomoError(f"The correction {id} was deleted meanwhile.") from error

    def read(
        self, id: str, revision: int | None = None, *, image: Volume | None = None
    ) -> Correction:
        """Read a correction with its voxels; all files are checked against their hashes.

        Parameters
        ----------
        id, revision
            Id and revision; by default the latest.
        image
            The image, if the store has only its hash.

        Returns
        -------
        Correction
            Its ``image`` is None if the store has no copy and none was given.

        Raises
        ------
        FlomoError
            If it does not exist, a file is missing or changed, or ``image`` is another image.
        """
        record = self.record(id, revision)
        copy = record.image.copy
        if image is not None:
            if identity(image) != record.image.sha256:
                raise FlomoError(f"That is not the image of correction {id}; give the right one.")
        elif copy is not None:
            image = replace(self._volume(copy, id), modality=record.image.modality, source="")
        proposed = None if record.proposed is None else self._volume(record.proposed, id)
        return Correction(
            image=image,
            corrected=self._volume(record.corrected, id),
            proposed=proposed,
            structures=record.codes,
            seen=record.places_seen,
            state=record.state,
            seconds=record.seconds,
            reader=record.reader,
            model=record.model,
            group=record.group,
            image_hash=record.image.sha256,
            software=record.software,
        )

    def verify(self) -> list[Finding]:
        """Read everything and compare it with its hashes, grids, codes and the history.

        Returns
        -------
        list of Finding
            Problems; empty if there are none. An interrupted change is not a problem: the next
            change of the store completes it or rolls it back.
        """
        return verify(self._layout)

    def history(self) -> list[HistoryEntry]:
        """Return the history of this store without damaged lines."""
        return History(self._layout.history).entries()

    def _volume(self, file: StoredFile, id: str) -> Volume:
        path = self._layout.path(file.file)
        try:
            if file_hash(path) == file.sha256:
                return read_stored(path)
            what = "was changed after it was written"
        except OSError as error:
            what = f"cannot be read ({reason_of(error)})"
        raise FlomoError(
            f"{file.file} of correction {id} {what}; restore it from a backup or delete the "
            "correction."
        )

    def _check_id(self, id: str) -> None:
        if not ID.fullmatch(id):
            raise FlomoError(
                f"{id!r} is not the id of a correction; list them with: flomo corrections list."
            )


def _create(layout: Layout, copy_images: bool) -> None:
    """Create a store in a new or empty folder; safe against concurrent calls."""
    folder = layout.folder
    ours = {layout.lock, layout.readme, layout.history}
    try:
        if not folder.exists():
            folder.parent.mkdir(parents=True, exist_ok=True)
            make_folder(folder, mode=0o700)  # images of patients
        strangers = [path for path in folder.iterdir() if path not in ours and path.name[0] != "."]
        if strangers and not is_store(folder):
            advice = (
                "restore its store.json" if layout.corrections in strangers else "choose another"
            )
            raise FlomoError(f"{folder} is neither empty nor a store of corrections; {advice}.")
    except OSError as error:
        raise FlomoError(
            f"No store can be created in {folder}: {reason_of(error)}; choose another folder."
        ) from error
    with store_lock(layout):
        if is_store(folder):
            return
        history = History(layout.history)
        history.truncate_incomplete()
        if history.last() is None:
            history.append("created", schema=SCHEMA)
        write_settings(layout, new_settings(copy_images))


def _warn(sentence: str) -> None:
    warnings.warn(sentence, stacklevel=3)
