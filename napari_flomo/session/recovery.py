"""From an open image to the note in its journal, and back after a crash."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_flomo.corrections import Replay, identity
from napari_flomo.errors import FlomoError
from napari_flomo.measures import VoxelCounts
from napari_flomo.models import ModelCard, info
from napari_flomo.segmentation import Segmentation
from napari_flomo.session.image_state import OpenImage
from napari_flomo.session.review import Place, Review


def provenance_of(image: OpenImage) -> dict[str, Any]:
    """Return what a journal should note of an image, for `Journal.create` (``about``).

    The whole card is noted, so that corrections can be restored where the model is gone.

    Raises
    ------
    FlomoError
        If the image was not segmented.
    """
    if image.segmentation is None:
        raise FlomoError("This image has no labels yet; segment it first.")
    card, scores = image.segmentation.card, image.segmentation.slice_scores
    return {
        "model": card.name,
        "card_sha256": card.card_hash,
        "card": card.to_dict(),
        "structures": {str(label.code): label.name for label in card.labels[1:]},
        "slice_scores": [
            [round(float(score), 4) if np.isfinite(score) else None for score in row]
            for row in scores
        ],
    }


def restore(image: OpenImage, found: Replay) -> None:
    """Put the labels of a journal into an image, with locks and review as they were.

    Uncertainty maps are not part of a journal; the next run brings them. Nothing of the image
    changes before everything is read.

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
    for place in review.order:
        at = tuple(place) if "frames" in found.labels.axes else (place.slice,)
        if not np.array_equal(found.proposed.data[at], found.labels.data[at]):
            review.count_edit(place)
    for accepted in found.accepted & set(map(tuple, review.order)):
        review.set_state(Place(*accepted), accepted=True)
    counts = VoxelCounts.of(found.labels, [label.code for label in card.labels[1:]])
    grid, axes = image.volume, found.labels.axes
    image.segmentation = Segmentation(
        labels=grid.with_data(found.proposed.data, axes=axes),
        probabilities=None,
        uncertainty={},
        slice_scores=scores,
        manifest={"model": {"name": card.name, "card_sha256": card.card_hash}},
        card=card,
    )
    image.labels = grid.with_data(found.labels.data.copy(), axes=axes)
    image.locked, image.review, image.counts = found.locked, review, counts
    image.vouched = {Place(*place) for place in found.accepted & set(map(tuple, review.order))}
    image.withdrawn = set()


def _card(found: Replay) -> ModelCard:
    noted = found.about.get("card")
    return (
        info(str(found.about.get("model", "")))[1] if noted is None else ModelCard.from_dict(noted)
    )


def _scores(found: Replay) -> NDArray[np.float32]:
    """Return the noted slice scores; without any, every slice is to be reviewed."""
    shape = (found.labels.n_frames, found.labels.n_slices)
    try:
        scores = np.array(found.about["slice_scores"], dtype=np.float32)
    except (LookupError, ValueError, TypeError):
        return np.zeros(shape, np.float32)
    return scores if scores.shape == shape else np.zeros(shape, np.float32)
