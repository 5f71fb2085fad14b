"""Restore the labels of a journal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_flomo.corrections.journal_files import (
    Content,
    image_file,
    labels_file,
    read_about,
    read_content,
)
from napari_flomo.corrections.stored_files import read_stored
from napari_flomo.corrections.strokes import DamagedRecord, Stroke
from napari_flomo.progress import Progress, ProgressCallback, no_progress
from napari_flomo.volumes import Volume

REPLAY_STEPS = 3
"""How often `replay` reports progress."""


@dataclass(frozen=True, eq=False)
class Replay:
    """The content of a journal.

    Attributes
    ----------
    image
        The image that was corrected.
    proposed
        The labels of the network.
    labels
        The labels after the last valid stroke.
    strokes
        Number of changes of voxels, including undone ones.
    accepted
        Accepted slices: ``(frame, slice)``.
    locked
        Codes of locked labels.
    phases
        Frames of end diastole and end systole that were set last; None if none were.
    image_hash
        `identity` of the image.
    about
        Model, card hash, names of the codes, versions.
    last_change
        Seconds since 1970 of the last stroke, or of the creation.
    lost
        One sentence if a damaged end was ignored, else None.
    """

    image: Volume
    proposed: Volume
    labels: Volume
    strokes: int
    accepted: frozenset[tuple[int, int]]
    locked: frozenset[int]
    image_hash: str
    about: Mapping[str, Any]
    last_change: float
    lost: str | None
    phases: Mapping[str, Any] | None = None


@dataclass
class StrokeSummary:
    """Summary of strokes, without their voxels; see `Replay`."""

    strokes: int = 0
    accepted: set[tuple[int, int]] = field(default_factory=set)
    locked: set[int] = field(default_factory=set)
    last_change: float = 0.0
    phases: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, strokes: Iterable[Stroke]) -> StrokeSummary:
        """Summarise strokes."""
        summary = cls()
        for stroke in strokes:
            summary.add(stroke)
        return summary

    def add(self, stroke: Stroke) -> None:
        """Add a stroke. A clock that is set back does not make the last change older."""
        self.last_change = max(self.last_change, stroke.time)
        note = stroke.note
        if stroke.kind in ("stroke", "undo"):
            self.strokes += 1
        elif stroke.kind == "accept":
            _put(
                self.accepted, (int(note["frame"]), int(note["slice"])), note.get("accepted", True)
            )
        elif stroke.kind == "lock":
            _put(self.locked, int(note["code"]), note.get("locked", True))
        elif stroke.kind == "phases":
            self.phases = dict(note["phases"])
        else:
            self.strokes += int(note["strokes"])
            self.accepted |= {(int(frame), int(number)) for frame, number in note["accepted"]}
            self.locked |= {int(code) for code in note["locked"]}
            self.phases = note.get("phases", self.phases)

    def __bool__(self) -> bool:
        return bool(self.strokes or self.accepted or self.locked)

    def to_stroke(self) -> Stroke:
        """Return the first record of a compacted journal."""
        note = {
            "strokes": self.strokes,
            "accepted": sorted(self.accepted),
            "locked": sorted(self.locked),
            "phases": self.phases,
        }
        return Stroke("state", time=self.last_change, note=note)


def replay(folder: Path, progress: ProgressCallback = no_progress) -> Replay:
    """Read a journal without changing it.

    Parameters
    ----------
    folder
        Folder of the journal.
    progress
        Called after each of its files; may raise `Cancelled`.

    Raises
    ------
    FlomoError
        If the folder holds no journal, or its image or labels cannot be read.
    """
    about, content = read_about(folder), read_content(folder)
    proposed = _labels(folder, 0, about.shape)
    progress(Progress(1, REPLAY_STEPS))
    base = _labels(folder, content.generation, about.shape) if content.generation else proposed
    flat, summary, fault = apply_strokes(base.data, content)
    progress(Progress(2, REPLAY_STEPS))
    image = read_stored(image_file(folder))
    progress(Progress(3, REPLAY_STEPS))
    return Replay(
        image=image,
        proposed=proposed,
        labels=base.with_data(flat.reshape(base.data.shape), axes=base.axes),
        strokes=summary.strokes,
        accepted=frozenset(summary.accepted),
        locked=frozenset(summary.locked),
        image_hash=about.image_hash,
        about=about.note,
        last_change=max(summary.last_change, about.created),
        lost=lost_sentence(fault),
        phases=summary.phases,
    )


def apply_strokes(
    base: NDArray[Any], content: Content
) -> tuple[NDArray[np.integer], StrokeSummary, str | None]:
    """Return the flat labels after all valid strokes, their summary, and what is damaged.

    A stroke that does not fit the image ends the replay like a damaged one.
    """
    flat = base.ravel().copy()
    summary = StrokeSummary()
    for stroke in content.strokes:
        try:
            flat = _paint(flat, stroke)
            summary.add(stroke)
        except (DamagedRecord, LookupError, TypeError, ValueError):
            return flat, summary, "a stroke does not fit the image"
    return flat, summary, content.fault


def lost_sentence(fault: str | None) -> str | None:
    """Return a sentence for the user about a damaged end."""
    if fault is None:
        return None
    return f"The last stroke was damaged by the crash and is lost ({fault})."


def _paint(flat: NDArray[np.integer], stroke: Stroke) -> NDArray[np.integer]:
    if not stroke.indices.size:
        return flat
    if stroke.indices[-1] >= flat.size or stroke.indices[0] < 0:
        raise DamagedRecord("it lies outside the image")
    limits = np.iinfo(flat.dtype)
    if stroke.new.max() > limits.max or stroke.new.min() < limits.min:
        flat = flat.astype(np.promote_types(flat.dtype, stroke.new.dtype))
    flat[stroke.indices] = stroke.new
    return flat


def _labels(folder: Path, generation: int, shape: tuple[int, ...]) -> Volume:
    labels = read_stored(labels_file(folder, generation))
    if labels.data.shape != shape:  # a reader may drop a frames axis of length 1
        axes = ("frames", "slices", "rows", "columns")[-len(shape) :]
        return Volume(labels.data.reshape(shape), labels.geometry, axes)
    return labels


def _put(members: set[Any], member: Any, there: bool) -> None:
    (members.add if there else members.discard)(member)
