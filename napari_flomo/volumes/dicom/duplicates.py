"""Remove the duplicate images of an export."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np

from napari_flomo.errors import FlomoError
from napari_flomo.volumes.dicom.pixels import plane_pixels
from napari_flomo.volumes.dicom.planes import Plane

Image = list[Plane]
"""The planes of one file."""


def _by_file(planes: Sequence[Plane]) -> list[Image]:
    files: dict[Any, Image] = {}
    for plane in planes:
        files.setdefault(plane.file.path, []).append(plane)
    return list(files.values())


def remove_duplicates(planes: Sequence[Plane]) -> tuple[list[Plane], int]:
    """Return each image of a stack once, and the number of removed files.

    Two files are duplicates if they have equal pixels, and the same SOP Instance UID or the same
    position and time. Raise if they have the same UID and differ.
    """
    images = _by_file(planes)
    uids = {image[0].file.sop_uid for image in images}
    distinct = len({_header(image) for image in images}) == len(images)
    kept = images
    # Some anonymisers give every image the same UID.
    if len(uids) > 1 or not distinct:
        kept = _unique(images, lambda image: image[0].file.sop_uid or id(image), strict=True)
    kept = _unique(kept, _header, strict=False)
    return [plane for image in kept for plane in image], len(images) - len(kept)


def _unique(
    images: Sequence[Image], key: Callable[[Image], Hashable], *, strict: bool
) -> list[Image]:
    """Keep the first of images with equal key and content; ``strict`` raises on other content."""
    kept: list[Image] = []
    known: dict[Hashable, list[Image]] = {}
    for image in images:
        same = known.setdefault(key(image), [])
        if any(_equal(image, other) for other in same):
            continue
        if same and strict:
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
    file = image[0].file
    planes = tuple(
        (p.position, p.orientation, tuple(p.times.items()), tuple(p.kind.items())) for p in image
    )
    return file.series_uid, file.rows, file.columns, planes


def _equal(image: Image, other: Image) -> bool:
    return _header(image) == _header(other) and all(
        np.array_equal(one, two)
        for one, two in zip(plane_pixels(image), plane_pixels(other), strict=True)
    )
