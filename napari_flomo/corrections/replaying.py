"""What a journal says: the labels as they were after the last stroke."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_flomo.corrections.layout import (
    Content,
    image_file,
    labels_file,
    read_about,
    read_content,
)
from napari_flomo.corrections.stored_files import read_stored
from napari_flomo.corrections.strokes import Damaged, Stroke
from napari_flomo.volumes import Volume


@dataclass(frozen=True, eq=False)
class Replay:
    """A journal read back.

    Attributes
    ----------
    image
        The image that was corrected.
    proposed
        The labels of the network.
    labels
        The labels after the last good stroke.
    strokes
        How many changes of voxels the journal holds, undone ones included.
    accepted
        Slices that were accepted: ``(frame, slice)``.
    locked
        Codes of the labels that were finished.
    image_hash
        `identity` of the image.
    about
        What was noted at the start: model, card hash, names of the codes, versions.
    last_change
        Seconds since 1970 of the last stroke, or of the start.
    lost
        One sentence when a torn or damaged end was left out, else None.
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


@dataclass
class Tally:
    """What strokes add up to, the voxels aside.

    Attributes
    ----------
    strokes, accepted, locked, last_change
        As in `Replay`.
    """

    strokes: int = 0
    accepted: set[tuple[int, int]] = field(default_factory=set)
    locked: set[int] = field(default_factory=set)
    last_change: float = 0.0

    @classmethod
    def of(cls, strokes: Iterable[Stroke]) -> Tally:
        """Add up strokes."""
        tally = cls()
        for stroke in strokes:
            tally.add(stroke)
        return tally

    def add(self, stroke: Stroke) -> None:
        """Add one more. A clock that went backwards does not make the last change older."""
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
        else:
            self.strokes += int(note["strokes"])
            self.accepted |= {(int(frame), int(number)) for frame, number in note["accepted"]}
            self.locked |= {int(code) for code in note["locked"]}

    def __bool__(self) -> bool:
        return bool(self.strokes or self.accepted or self.locked)

    def to_stroke(self) -> Stroke:
        """Return a record from which a compacted journal goes on."""
        note = {
            "strokes": self.strokes,
            "accepted": sorted(self.accepted),
            "locked": sorted(self.locked),
        }
        return Stroke("state", time=self.last_change, note=note)


def replay(folder: Path) -> Replay:
    """Read a journal without changing it.

    Parameters
    ----------
    folder
        Of the journal.

    Raises
    ------
    FlomoError
        If the folder holds no journal, or its image or labels cannot be read.
    """
    about, content = read_about(folder), read_content(folder)
    proposed = _labels(folder, 0, about.shape)
    base = _labels(folder, content.generation, about.shape)
    flat, tally, fault = painted(base.data, content)
    return Replay(
        image=read_stored(image_file(folder)),
        proposed=proposed,
        labels=base.with_data(flat.reshape(base.data.shape), axes=base.axes),
        strokes=tally.strokes,
        accepted=frozenset(tally.accepted),
        locked=frozenset(tally.locked),
        image_hash=about.image_hash,
        about=about.note,
        last_change=max(tally.last_change, about.created),
        lost=lost_sentence(fault),
    )


def painted(base: NDArray[Any], content: Content) -> tuple[NDArray[np.integer], Tally, str | None]:
    """Return the flat labels after all good strokes, what they add up to, and what is wrong.

    A stroke that does not fit the image ends the replay like a damaged one.
    """
    flat = base.ravel().copy()
    tally = Tally()
    for stroke in content.strokes:
        try:
            flat = _paint(flat, stroke)
            tally.add(stroke)
        except (Damaged, LookupError, TypeError, ValueError):
            return flat, tally, "a stroke does not fit the image"
    return flat, tally, content.fault


def lost_sentence(fault: str | None) -> str | None:
    """Return what a user is told of a damaged end."""
    if fault is None:
        return None
    return f"The last stroke was cut off by the crash and is left out ({fault})."


def _paint(flat: NDArray[np.integer], stroke: Stroke) -> NDArray[np.integer]:
    if not stroke.indices.size:
        return flat
    if stroke.indices[-1] >= flat.size or stroke.indices[0] < 0:
        raise Damaged("it lies outside of the image")
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
