"""Save the labels of a study, and what must be known to continue with them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_flomo.session.image_state import OpenImage
from napari_flomo.session.recovery import note_of
from napari_flomo.session.worklist import label_files
from napari_flomo.session.worklist.records import StudyRecord, StudyRecords, StudyState
from napari_flomo.volumes import Volume, write


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Labels as they are to be saved, what the network proposed, and the file."""

    labels: Volume
    proposed: Volume
    path: Path
    fingerprint: str

    @classmethod
    def of(cls, image: OpenImage, path: Path) -> Snapshot:
        """Copy the labels of an image, which takes a few milliseconds."""
        assert image.labels is not None
        proposed = image.require_segmentation().labels
        labels = image.labels.with_data(image.labels.data.copy(), axes=image.labels.axes)
        return cls(labels, proposed, path, fingerprint(image))

    def write(self, records: StudyRecords, study: str) -> str:
        """Write the file and return its SHA-256; called in a thread.

        What the network proposed is kept in the user's data folder. Raises `FlomoError` if a file
        cannot be written.
        """
        write(self.labels, self.path)
        records.position = replace(records.position, save=True)
        kept = label_files.proposed_file(study, records)
        if np.array_equal(self.labels.data, self.proposed.data):
            kept.unlink(missing_ok=True)
        else:
            write(self.proposed, kept)
        return label_files.file_sha256(self.path)


def fingerprint(image: OpenImage | None) -> str:
    """Return a value that changes with the labels of an image; empty without any."""
    if image is None or image.labels is None:
        return ""
    return hashlib.sha256(np.ascontiguousarray(image.labels.data).data).hexdigest()


def is_saved(image: OpenImage, saved: str) -> bool:
    """Return True if nothing would be lost; ``saved`` is the fingerprint of the saved labels."""
    return image.labels is None or (image.autosave is None and fingerprint(image) == saved)


def with_state(record: StudyRecord, image: OpenImage, *, note: bool = False) -> StudyRecord:
    """Return the record with the state of an image now, and what is needed to continue if asked."""
    review = image.review
    if review is None or image.segmentation is None:
        return record
    total = len(review.order)
    if review.finished and total:
        state = StudyState.ACCEPTED
    elif review.accepted or any(review.edits(index) for index in review.order):
        state = StudyState.IN_REVIEW
    else:
        state = StudyState.SEGMENTED
    noted: Mapping[str, Any] = note_of(image) if note else record.note
    return replace(record, state=state.value, accepted=review.accepted, slices=total, note=noted)
