"""Read a study with everything that is known of it; called in a thread."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from napari_flomo.corrections import identity, replay, unfinished
from napari_flomo.errors import FlomoError
from napari_flomo.models import ModelCard
from napari_flomo.session.continuing import SavedLabels
from napari_flomo.session.recovery import Restored, prepare
from napari_flomo.session.worklist import label_files
from napari_flomo.session.worklist.records import StudyRecord
from napari_flomo.session.worklist.worklist import ListedStudy, WorkList
from napari_flomo.volumes import Volume, align_labels, read, read_series, stamp_of


@dataclass(frozen=True, eq=False)
class StudyData:
    """An image, and what is known of it.

    Labels that were ``saved`` from the list are left out if a crash left ``unsaved`` strokes, which
    are in the folder ``journal``.
    """

    volume: Volume
    image_hash: str
    stamp: str
    series: str
    record: StudyRecord
    saved: SavedLabels | None = None
    unsaved: Restored | None = None
    journal: Path | None = None


def read_study(worklist: WorkList, one: ListedStudy, series: str = "") -> StudyData:
    """Read image, record, saved labels and unsaved strokes of a study.

    Raises
    ------
    FlomoError
        If the image cannot be read; `SeveralSeries` if one must be chosen first.
    """
    study, root = one.study, worklist.folder
    record = worklist.records.read(study.id) or StudyRecord()
    series = series or record.series
    paths = study.paths(root)
    stamp = stamp_of(study, root) or ""
    if len(paths) > 1:
        volume = read_series(paths, fill=True)
    else:
        volume = read(paths[0], series=series or None, fill=True)
    image_hash = identity(volume)
    for left in unfinished():
        if left.image_hash == image_hash:
            unsaved = prepare(replay(left.folder))
            return StudyData(
                volume, image_hash, stamp, series, record, unsaved=unsaved, journal=left.folder
            )
    data = StudyData(volume, image_hash, stamp, series, record)
    path = label_files.saved(root, study, worklist.records, record.labels)
    if path is None or not record.note or record.image != image_hash:
        return data
    labels = align_labels(read(path), volume)
    card = ModelCard.from_dict(record.note["card"])
    proposed = None
    try:
        kept = label_files.proposed_file(study, worklist.records)
        proposed = align_labels(read(kept), volume) if kept.is_file() else None
    except FlomoError:  # edits are counted against the labels then
        proposed = None
    return replace(data, saved=SavedLabels(labels, card, proposed))
