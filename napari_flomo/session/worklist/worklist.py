"""The studies of a folder and their states."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from napari_flomo.corrections import CorrectionStore, default_store, unfinished
from napari_flomo.errors import FlomoError
from napari_flomo.session.worklist import label_files
from napari_flomo.session.worklist.records import StudyRecord, StudyRecords, StudyState
from napari_flomo.volumes import Study, find_studies, stamp_of


@dataclass(frozen=True)
class ListedStudy:
    """A study of a list, with its state.

    Attributes
    ----------
    study
        What and where it is; ``study.id`` is its path below the folder.
    state
        How far it is.
    accepted, slices
        Numbers of accepted and of segmented slices; 0 if unknown.
    changed
        Whether its files changed since it was opened last.
    missing
        Whether its files were removed since the list was read.
    unsaved
        Whether a crash left strokes that are not saved.
    labels
        A file with labels beside it, if any.
    """

    study: Study
    state: StudyState = StudyState.NEW
    accepted: int = 0
    slices: int = 0
    changed: bool = False
    missing: bool = False
    unsaved: bool = False
    labels: Path | None = None


class ListProgress(NamedTuple):
    """How many studies are accepted, of how many."""

    accepted: int
    total: int


class WorkList:
    """The studies below a folder; every call of `refresh` reads their states again.

    Parameters
    ----------
    folder
        Folder of the studies, see `napari_flomo.volumes.find_studies`.

    Attributes
    ----------
    records
        What is remembered of the studies.
    studies
        The studies at the last refresh, in the order of their paths; those that were removed since
        are still listed.
    gone
        How many studies that were worked on are no longer there, and not listed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.records = StudyRecords(folder)
        self.studies: tuple[ListedStudy, ...] = ()
        self.gone = 0

    def refresh(self) -> tuple[ListedStudy, ...]:
        """Find the studies and their states; takes a moment for a large folder.

        Raises
        ------
        FlomoError
            If the folder does not exist or cannot be read.
        """
        found = {study.id: study for study in find_studies(self.folder)}
        records = {id: self.records.read(id) for id in found}
        seen = _seen_in_store({record.image for record in records.values() if record})
        journals = {left.image_hash for left in unfinished()}
        listed = {
            id: self._listed(study, records[id], seen, journals) for id, study in found.items()
        }
        lost = {
            one.study.id: replace(one, missing=True)
            for one in self.studies
            if one.study.id not in found
        }
        self.gone = self.records.count_others([*listed, *lost])
        self.studies = tuple(one for _, one in sorted({**listed, **lost}.items()))
        return self.studies

    def get(self, id: str) -> ListedStudy | None:
        """Return a listed study by its id."""
        return next((one for one in self.studies if one.study.id == id), None)

    def remembered(self) -> str | None:
        """Return the study that the user opened last, else the first that is not accepted."""
        last = self.records.position.study
        for one in self.studies:
            if self.records.key(one.study.id) == last and not one.missing:
                return one.study.id
        return self.beside(None, 1, only_open=True)

    def beside(self, id: str | None, step: int, *, only_open: bool) -> str | None:
        """Return the next study (``step`` 1) or the one before (-1); None at the end.

        ``only_open`` skips accepted studies; missing ones are always skipped.
        """
        ids = [one.study.id for one in self.studies]
        at = ids.index(id) if id in ids else (-1 if step > 0 else len(ids))
        rest = self.studies[at + 1 :] if step > 0 else self.studies[:at][::-1]
        for one in rest:
            if not one.missing and not (only_open and one.state is StudyState.ACCEPTED):
                return one.study.id
        return None

    @property
    def progress(self) -> ListProgress:
        """How many studies are accepted, of how many."""
        accepted = sum(one.state is StudyState.ACCEPTED for one in self.studies)
        return ListProgress(accepted, len(self.studies))

    def put(self, id: str, record: StudyRecord) -> None:
        """Show what is known of a study now, without reading anything."""
        self.studies = tuple(
            replace(
                one,
                state=StudyState(record.state),
                accepted=record.accepted,
                slices=record.slices,
                changed=False,
            )
            if one.study.id == id
            else one
            for one in self.studies
        )

    def _listed(
        self,
        study: Study,
        record: StudyRecord | None,
        seen: dict[str, int],
        journals: set[str],
    ) -> ListedStudy:
        labels = next(iter(label_files.beside(self.folder, study)), None)
        if record is None:
            state = StudyState.NEW if labels is None else StudyState.SEGMENTED
            return ListedStudy(study, state, labels=labels)
        state, accepted = StudyState(record.state), record.accepted
        if state is StudyState.NEW and labels is not None:
            state = StudyState.SEGMENTED
        if seen.get(record.image, 0) > accepted:  # accepted outside of the list
            accepted = min(seen[record.image], record.slices or seen[record.image])
            done = bool(record.slices) and accepted == record.slices
            state = StudyState.ACCEPTED if done else StudyState.IN_REVIEW
        unsaved = record.image in journals
        if unsaved and state.rank < StudyState.IN_REVIEW.rank:
            state = StudyState.IN_REVIEW
        changed = bool(record.stamp) and stamp_of(study, self.folder) != record.stamp
        return ListedStudy(study, state, accepted, record.slices, changed, False, unsaved, labels)


def _seen_in_store(images: set[str]) -> dict[str, int]:
    """Return how many slices of each image the store of corrections has as accepted."""
    seen: dict[str, int] = {}
    with suppress(FlomoError):
        folder = default_store()
        if images - {""} and folder.is_dir():
            for record in CorrectionStore.open(folder).records():
                if record.image.sha256 in images and record.state == "accepted":
                    count = len(record.places_seen)
                    seen[record.image.sha256] = max(count, seen.get(record.image.sha256, 0))
    return seen
