"""Insertion points of the right ventricle that a person moved, of an open image."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from napari_flomo.measures import Insertions
from napari_flomo.session.image_state import OpenImage
from napari_flomo.session.review import SliceIndex
from napari_flomo.volumes import Volume


def phases_note(image: OpenImage) -> dict[str, Any]:
    """Return the phases of an image and the insertion points moved in them, in plain JSON types."""
    return {
        **image.phases.to_dict(),
        "insertions": [
            [*index, *pair.anterior, *pair.inferior]
            for index, pair in sorted(image.insertions.items())
        ],
    }


def noted_insertions(note: object, volume: Volume) -> dict[SliceIndex, Insertions]:
    """Return the insertion points of a `phases_note`; empty if there are none, or they do not fit.

    ``volume`` is the image or its labels.
    """
    rows = note.get("insertions") if isinstance(note, Mapping) else None
    found = {}
    try:
        for frame, number, *ends in rows or ():
            index, points = SliceIndex(int(frame), int(number)), tuple(map(float, ends))
            fits = 0 <= index.frame < volume.n_frames and 0 <= index.slice < volume.n_slices
            if not fits or len(points) != 4 or not all(map(math.isfinite, points)):
                return {}
            found[index] = Insertions((points[0], points[1]), (points[2], points[3]))
    except (TypeError, ValueError):
        return {}
    return found


def insertions_by_frame(image: OpenImage) -> dict[int, dict[int, Insertions]]:
    """Return the insertion points that were moved, by frame and slice."""
    frames: dict[int, dict[int, Insertions]] = {}
    for index, pair in image.insertions.items():
        frames.setdefault(index.frame, {})[index.slice] = pair
    return frames
