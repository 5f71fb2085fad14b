"""Verify the files of a store."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

from napari_flomo.corrections.store.correction import labels_on
from napari_flomo.corrections.store.history import History, HistoryEntry
from napari_flomo.corrections.store.layout import Layout
from napari_flomo.corrections.store.record import Record, StoredFile, read_record
from napari_flomo.corrections.stored_files import read_stored
from napari_flomo.errors import FlomoError, reason_of
from napari_flomo.volumes import Volume

Kind = Literal[
    "missing file",
    "changed file",
    "damaged record",
    "foreign labels",
    "damaged history",
    "stranger",
]
_TRIES = 3


@dataclass(frozen=True)
class Finding:
    """A problem in a store.

    Attributes
    ----------
    kind
        ``"missing file"``, ``"changed file"`` (another SHA-256), ``"damaged record"``, ``"foreign
        labels"`` (another grid, or codes without a name), ``"damaged history"``, or ``"stranger"``
        (a record that is not in the history).
    file
        Its path below the store's folder.
    sentence
        The problem, for the user.
    id
        Of the correction, if it concerns one.
    """

    kind: Kind
    file: str
    sentence: str
    id: str | None = None


def verify(layout: Layout) -> list[Finding]:
    """Compare all files with the records, and these with the history.

    No lock is needed, so this works on a read-only share. It is repeated if another program writes
    meanwhile.
    """
    history = History(layout.history)
    findings: list[Finding] = []
    for _ in range(_TRIES):
        before = history.last()
        findings = _check_store(layout, history)
        if not findings or history.last() == before:
            break
    return findings


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file; raise OSError if it cannot be read."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


class _Inventory:
    """The records according to the history."""

    def __init__(self, entries: list[HistoryEntry]) -> None:
        self.records: dict[tuple[str, int], str] = {}
        self.removed: set[str] = set()
        for entry in entries:
            about = entry.about
            if entry.event == "added":
                self.records[about["id"], about["revision"]] = about["record_sha256"]
            elif entry.event == "removed":
                self.removed.add(about["id"])
        # A change that is in progress, or was interrupted by a kill.
        last = entries[-1] if entries else None
        self._begun = last.about if last is not None and last.event == "begin" else {}

    def is_unsettled(self, id: str, revision: int) -> bool:
        """Return True if a record belongs to a change in progress."""
        if id != self._begun.get("id"):
            return False
        return self._begun["action"] == "remove" or self._begun["revision"] == revision


def _check_store(layout: Layout, history: History) -> list[Finding]:
    name = layout.name(layout.history)
    bad: list[int] = []
    entries = history.entries(bad.append)
    findings = [
        Finding("damaged history", name, f"Line {number} of {name} is damaged.") for number in bad
    ]
    numbers = [entry.sequence for entry in entries]
    if not entries:
        findings.append(Finding("damaged history", name, f"{name} is missing or empty."))
    elif any(second <= first for first, second in pairwise(numbers)):
        findings.append(Finding("damaged history", name, f"The order of {name} is broken."))
    inventory = _Inventory(entries)
    checked: dict[str, Finding | None] = {}
    there = {(id, revision) for id in layout.ids() for revision in layout.revisions(id)}
    for id, revision in sorted(there | set(inventory.records)):
        if id in inventory.removed and (id, revision) not in there:
            continue
        known = inventory.records.get((id, revision))
        if inventory.is_unsettled(id, revision) and (known is None or (id, revision) not in there):
            continue
        findings += _check_record(layout, id, revision, known, checked)
    return findings


def _check_record(
    layout: Layout,
    id: str,
    revision: int,
    known: str | None,
    checked: dict[str, Finding | None],
) -> Iterator[Finding]:
    path = layout.record(id, revision)
    name = layout.name(path)
    try:
        if known is not None and file_hash(path) != known:
            sentence = f"{name} was changed after it was written."
            yield Finding("damaged record", name, sentence, id)
            return
        record = read_record(path)
    except FileNotFoundError:
        yield Finding("missing file", name, f"{name} is missing.", id)
        return
    except OSError as error:
        sentence = f"{name} cannot be read: {reason_of(error)}."
        yield Finding("damaged record", name, sentence, id)
        return
    except FlomoError as error:
        yield Finding("damaged record", name, str(error), id)
        return
    if known is None:
        yield Finding("stranger", name, f"{name} is not in the history.", id)
    if (record.id, record.revision) != (id, revision):
        yield Finding("damaged record", name, f"{name} is the record of another revision.", id)
        return
    wrong = False
    for file in record.files:
        if file.file not in checked:
            checked[file.file] = _check_file(layout, file, id)
            if (finding := checked[file.file]) is not None:
                yield finding
        wrong = wrong or checked[file.file] is not None
    if not wrong:
        yield from _check_labels(layout, record)


def _check_file(layout: Layout, file: StoredFile, id: str) -> Finding | None:
    path = layout.path(file.file)
    try:
        right = file_hash(path) == file.sha256
    except FileNotFoundError:
        return Finding("missing file", file.file, f"{file.file} is missing.", id)
    except OSError as error:
        sentence = f"{file.file} cannot be read: {reason_of(error)}."
        return Finding("changed file", file.file, sentence, id)
    if right:
        return None
    sentence = f"{file.file} was changed after it was written: its SHA-256 differs."
    return Finding("changed file", file.file, sentence, id)


def _check_labels(layout: Layout, record: Record) -> Iterator[Finding]:
    """Check that labels are on the grid of the image and have only codes with a name."""
    grid: Volume | None = None
    try:
        if record.image.copy is not None:
            grid = read_stored(layout.path(record.image.copy.file))
        for file in (record.proposed, record.corrected):
            if file is None:
                continue
            labels = read_stored(layout.path(file.file))
            labels_on(labels, labels if grid is None else grid, record.codes)
            if (labels.n_frames, *labels.spatial_shape) != record.image.shape:
                raise FlomoError("Their shape differs from that of the image in the record.")
    except FlomoError as error:
        sentence = f"The labels of {layout.name(layout.record(record.id, record.revision))}: "
        file_name = record.corrected.file if file is None else file.file
        yield Finding("foreign labels", file_name, sentence + str(error), record.id)
