"""Which model the labels of an image came from."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from napari_flomo.session.image_state import OpenImage
from napari_flomo.session.insertions import phases_note


def provenance_of(image: OpenImage) -> dict[str, Any]:
    """Return model, structures, slice scores and phases of the labels, in plain JSON types.

    The whole card is included, so that labels can be restored without the model.

    Raises
    ------
    FlomoError
        If the image was not segmented.
    """
    segmentation = image.require_segmentation()
    card, scores = segmentation.card, segmentation.slice_scores
    return {
        "model": card.name,
        "card_sha256": card.card_hash,
        "card": replace(card, signature=None).to_dict(),  # long, and for new images only
        "structures": {str(label.code): label.name for label in card.labels[1:]},
        "slice_scores": [
            [round(float(score), 4) if np.isfinite(score) else None for score in row]
            for row in scores
        ],
        "phases": phases_note(image),
    }
