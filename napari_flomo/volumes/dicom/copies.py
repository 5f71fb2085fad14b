"""Find duplicate images in exports."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np

from napari_flomo.errors import FlomoError
from napari_flomo.volumes.dicom.header import Plane
from napari_flomo.volumes.dicom.pixels import plane_pixels

Image = list[Plane]
"""The planes of one file."""


def by_file(planes: Sequence[Plane]) -> list[Image]:
    """Return planes grouped by file."""
    files: dict[Any, Image] = {}
    for plane in planes:
        files.setdefault(plane.file.path, []).append(plane)
    return list(files.values())


def without_copies(planes: Sequence[Plane]) -> tuple[list[Plane], int]:
    """Remove duplicate images.

    Two files are duplicates if they have equal pixels, and the same SOP Instance UID or the same
    position and time.

    Parameters
    ----------
    planes
        Images of one stack.

    Returns
    -------
    planes, left_out
        Each image once, in the given order, and the number of removed files.
    """
    images = by_file(planes)
    uids = {image[0].file.sop_uid for image in images}
    told_apart = len({_header(image) for image in images}) == len(images)
    # Some anonymisers give every image the same UID.
    if len(uids) > 1 or not told_apart:
        kept = _once(images, lambda image: image[0].file.sop_uid or id(image), refuse=True)
    else:
        kept = images
    kept = _once(kept, _header, refuse=False)
    return [plane for image in kept for plane in image], len(images) - len(kept)


def _once(
    images: Sequence[Image], key: Callable[[Image], Hashable], *, refuse: bool
) -> list[Image]:
    """Keep the first of all images with equal key and content."""
    kept: list[Image] = []
    known: dict[Hashable, list[Image]] = {}
    for image in images:
        same = known.setdefault(key(image), [])
        if any(_equal(image, other) for other in same):
            continue
        if same and refuse:
            raise FlomoError(
                f"{same[0][0].file.path.name} and {image[0].file.path.name} have the same SOP "
                "Instance UID but differ in their pixels or position; remove the one that does not "
                "belong to the series."
            )
        same.append(image)
        kept.append(image)
    return kept


def _header(image: Image) -> Hashable:
    """Return position, time and other header values that identify an image in its series."""
    return (
        image[0].file.series_uid,
        image[0].file.rows,
        image[0].file.columns,
        tuple(
            (
                plane.position,
                plane.orientation,
                tuple(plane.times.items()),
                tuple(plane.kind.items()),
            )
            for plane in image
        ),
    )


def _equal(image: Image, other: Image) -> bool:
    return _header(image) == _header(other) and all(
        np.array_equal(one, two)
        for one, two in zip(plane_pixels(image), plane_pixels(other), strict=True)
    )
