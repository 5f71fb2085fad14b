"""Restore an image with labels, locks and review: after a crash, or from a saved scene."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_flomo.corrections import Replay, discard, identity, replay, unfinished
from napari_flomo.errors import FlomoError
from napari_flomo.measures import HeartPhases, VoxelCounts
from napari_flomo.models import ModelCard, info
from napari_flomo.segmentation import Segmentation
from napari_flomo.session import messages
from napari_flomo.session.image_state import OpenImage
from napari_flomo.session.phases import automatic_phases
from napari_flomo.session.provenance import provenance_of
from napari_flomo.session.review import Review, SliceIndex
from napari_flomo.session.undoing import begin_step
from napari_flomo.volumes import Volume


@dataclass(frozen=True)
class UnsavedWork:
    """Edits that were not saved when a program ended: their journal, and a sentence about them."""

    folder: Path
    text: str

    def read(self) -> Replay:
        """Return image and labels; raises `FlomoError` if they cannot be read."""
        return replay(self.folder)

    def discard(self) -> None:
        """Remove them for good; raises `FlomoError` if they cannot be removed."""
        discard(self.folder)


def unsaved_work() -> UnsavedWork | None:
    """Return the latest edits that a crash of any viewer left unsaved; None without any.

    Raises `FlomoError` if the journals cannot be listed.
    """
    left = unfinished()
    if not left:
        return None
    return UnsavedWork(left[0].folder, messages.leftover_text(left[0], len(left) - 1))


def note_of(image: OpenImage) -> dict[str, Any]:
    """Return what `restore_saved` needs of an image besides its labels, in plain JSON types.

    Raises `FlomoError` if the image was not segmented.
    """
    provenance = provenance_of(image)
    assert image.review is not None
    return {**provenance, "review": image.review.to_dict(), "locked": sorted(image.locked)}


def restore_saved(
    image: OpenImage,
    note: Mapping[str, Any],
    proposed: Volume,
    labels: Volume,
    uncertainty: Mapping[str, Volume],
) -> None:
    """Restore an image from a scene; ``note`` is that of `note_of`.

    Raises `FlomoError` if something does not fit the image.
    """
    review = note.get("review", {})
    accepted = [row[:2] for row in review.get("states", ()) if row[2] == "accepted"]
    found = Replay(
        image=image.volume,
        proposed=proposed,
        labels=labels,
        strokes=0,
        accepted=frozenset((int(frame), int(index)) for frame, index in accepted),
        locked=frozenset(note.get("locked", ())),
        image_hash=image.hash,
        about=dict(note),
        last_change=0.0,
        lost=None,
    )
    restore(image, found)
    assert image.review is not None
    assert image.segmentation is not None
    image.review.restore(review)
    image.segmentation = replace(image.segmentation, uncertainty=dict(uncertainty))


def restore(image: OpenImage, found: Replay) -> None:
    """Restore labels, locks and review of an image from a journal.

    Uncertainty maps are not part of a journal: maps of the same model are kept, others are dropped.
    Nothing of the image changes before everything is read.

    Raises
    ------
    FlomoError
        If the journal is another image's, or its model is neither noted nor on this computer.
    """
    if found.image_hash != image.hash and identity(found.image) != image.hash:
        raise FlomoError(
            f"These corrections belong to another image than {image.name}; open that one."
        )
    card = _card(found)
    scores = _scores(found)
    review = Review(scores)
    for index in review.order:
        at = tuple(index) if "frames" in found.labels.axes else (index.slice,)
        if not np.array_equal(found.proposed.data[at], found.labels.data[at]):
            review.count_edit(index)
    accepted = {SliceIndex(*index) for index in found.accepted} & set(review.order)
    for index in accepted:
        review.set_state(index, accepted=True)
    counts = VoxelCounts.of(found.labels, [label.code for label in card.labels[1:]])
    begin_step(image)
    grid, axes, before = image.volume, found.labels.axes, image.segmentation
    same_model = before is not None and before.card.card_hash == card.card_hash
    image.segmentation = Segmentation(
        labels=grid.with_data(found.proposed.data, axes=axes),
        probabilities=None,
        uncertainty=dict(before.uncertainty) if before is not None and same_model else {},
        slice_scores=scores,
        manifest={"model": {"name": card.name, "card_sha256": card.card_hash}},
        card=card,
    )
    image.labels = grid.with_data(found.labels.data.copy(), axes=axes)
    image.locked, image.review, image.counts = found.locked, review, counts
    image.phases = _phases(found, image.segmentation)
    image.confirmed, image.reopened = accepted, set()
    image.recalled, image.model = frozenset(review.order), ""


def _card(found: Replay) -> ModelCard:
    noted = found.about.get("card")
    return (
        info(str(found.about.get("model", "")))[1] if noted is None else ModelCard.from_dict(noted)
    )


def _phases(found: Replay, proposed: Segmentation) -> HeartPhases:
    """Return the phases that were set last or noted; without any, those of the proposed labels."""
    noted = found.about.get("phases") if found.phases is None else found.phases
    return HeartPhases.from_dict(noted, found.labels.n_frames) or automatic_phases(proposed)


def _scores(found: Replay) -> NDArray[np.float32]:
    """Return the noted slice scores; without any, every slice is to be reviewed."""
    shape = (found.labels.n_frames, found.labels.n_slices)
    try:
        scores = np.array(found.about["slice_scores"], dtype=np.float32)
    except (LookupError, ValueError, TypeError):
        return np.zeros(shape, np.float32)
    return scores if scores.shape == shape else np.zeros(shape, np.float32)
