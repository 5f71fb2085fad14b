"""Restore an image with labels, locks and review: after a crash, or from a saved scene."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_flomo.corrections import Replay, identity
from napari_flomo.errors import FlomoError
from napari_flomo.measures import HeartPhases, VoxelCounts
from napari_flomo.models import ModelCard, info
from napari_flomo.segmentation import Segmentation
from napari_flomo.session.changes import count_changes
from napari_flomo.session.image_state import OpenImage
from napari_flomo.session.insertions import noted_insertions
from napari_flomo.session.phases import automatic_phases
from napari_flomo.session.provenance import provenance_of
from napari_flomo.session.review import Review, SliceIndex
from napari_flomo.session.undoing import begin_step
from napari_flomo.volumes import Volume


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
        labels=labels.with_data(labels.data.copy(), axes=labels.axes),
        strokes=0,
        accepted=frozenset((int(frame), int(index)) for frame, index in accepted),
        locked=frozenset(note.get("locked", ())),
        image_hash=image.hash,
        about=dict(note),
        last_change=0.0,
        lost=None,
    )
    put_restored(image, prepare(found, image))
    assert image.review is not None
    assert image.segmentation is not None
    image.review.restore(review)
    image.segmentation = replace(image.segmentation, uncertainty=dict(uncertainty))


@dataclass(frozen=True, eq=False)
class Restored:
    """The content of a journal with all that is computed from it; see `prepare`."""

    found: Replay
    proposed: Segmentation
    review: Review
    counts: VoxelCounts
    phases: HeartPhases
    spare: NDArray[np.integer]


def prepare(found: Replay, image: OpenImage | None = None) -> Restored:
    """Compute what `put_restored` needs; takes a moment for a cine and changes nothing.

    Raises
    ------
    FlomoError
        If the journal is not of ``image``, or its model is neither noted nor on this computer.
    """
    if image is not None and not belongs(found, image):
        raise FlomoError(
            f"These corrections belong to another image than {image.name}; open that one."
        )
    card = _card(found)
    scores = _scores(found)
    review = Review(scores)
    edits = count_changes(found.labels.data, found.proposed.data)
    review.set_edits(edits.reshape(scores.shape))
    for index in _accepted(found, review):
        review.set_state(index, accepted=True)
    manifest = {"model": {"name": card.name, "card_sha256": card.card_hash}}
    proposed = Segmentation(found.proposed, None, {}, scores, manifest, card)
    return Restored(
        found,
        proposed,
        review,
        VoxelCounts.of(found.labels, [label.code for label in card.labels[1:]]),
        _phases(found, proposed),
        found.labels.data.copy(),
    )


def belongs(found: Replay, image: OpenImage) -> bool:
    """Return True if a journal is that of an image; hashes the image at the first call."""
    return found.image_hash == image.hash or identity(found.image) == image.hash


def put_restored(image: OpenImage, restored: Restored) -> None:
    """Restore labels, locks and review of an image; the labels are not copied.

    Uncertainty maps are not part of a journal: maps of the same model are kept, others are dropped.
    """
    found, proposed, review = restored.found, restored.proposed, restored.review
    begin_step(image)
    grid, axes, before = image.volume, found.labels.axes, image.segmentation
    same_model = before is not None and before.card.card_hash == proposed.card.card_hash
    image.segmentation = replace(
        proposed,
        labels=grid.with_data(found.proposed.data, axes=axes),
        uncertainty=dict(before.uncertainty) if before is not None and same_model else {},
    )
    image.labels = grid.with_data(found.labels.data, axes=axes)
    image.spare = restored.spare
    image.locked, image.review, image.counts = found.locked, review, restored.counts
    image.phases = restored.phases
    image.insertions = noted_insertions(_noted_phases(found), image.volume)
    image.confirmed, image.reopened = _accepted(found, review), set()
    image.recalled, image.model = frozenset(review.order), ""


def _accepted(found: Replay, review: Review) -> set[SliceIndex]:
    return {SliceIndex(*index) for index in found.accepted} & set(review.order)


def _card(found: Replay) -> ModelCard:
    noted = found.about.get("card")
    return (
        info(str(found.about.get("model", "")))[1] if noted is None else ModelCard.from_dict(noted)
    )


def _phases(found: Replay, proposed: Segmentation) -> HeartPhases:
    """Return the phases that were set last or noted; without any, those of the proposed labels."""
    noted = HeartPhases.from_dict(_noted_phases(found), found.labels.n_frames)
    return noted or automatic_phases(proposed)


def _noted_phases(found: Replay) -> object:
    """Return the last `phases_note` of a journal."""
    return found.about.get("phases") if found.phases is None else found.phases


def _scores(found: Replay) -> NDArray[np.float32]:
    """Return the noted slice scores; without any, every slice is to be reviewed."""
    shape = (found.labels.n_frames, found.labels.n_slices)
    try:
        scores = np.array(found.about["slice_scores"], dtype=np.float32)
    except (LookupError, ValueError, TypeError):
        return np.zeros(shape, np.float32)
    return scores if scores.shape == shape else np.zeros(shape, np.float32)
