"""Signatures that identify an image as a copy, a crop, or part of the same examination.

A model must not be evaluated on a patient of its training data. File hashes are not enough: the
same image may be cropped, be one frame of a cine, or have another format. Therefore the slices are
compared:

- by their pixels: two slices with the same central pixels are the same;
- by their position in the scanner: two slices in exactly the same oblique plane, as planes of the
  heart are, come from one examination, even if their frames differ.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np

from flomo_training.leaks import FINGERPRINT
from napari_flomo.corrections import identity
from napari_flomo.volumes import Volume

MIDDLE = 64
"""Side in pixels of the central square that is compared, so that cropping has no effect."""

PLANE_DIGITS = (3, 1)
"""Decimals of the directions and of the distance from the isocentre in mm. All formats store more,
and two examinations are very unlikely to agree in all of them by chance."""

SMALLEST_TURN = 1e-3
"""A grid that is rotated less is aligned with the scanner's axes, which is not distinctive."""


def signatures(volume: Volume) -> frozenset[str]:
    """Return the signatures of an image; images that share one belong to one patient."""
    return frozenset({identity_signature(volume), *_pixels(volume), *_planes(volume)})


def identity_signature(volume: Volume) -> str:
    """Return the signature of exactly this image, as in ``trained_on`` of model cards."""
    return identity(volume)[:FINGERPRINT]


def _pixels(volume: Volume) -> Iterable[str]:
    for frame in range(volume.n_frames):
        for pixels in volume.frame(frame).data:
            rows, columns = pixels.shape[:2]
            top, left = max(0, (rows - MIDDLE) // 2), max(0, (columns - MIDDLE) // 2)
            middle = np.ascontiguousarray(pixels[top : top + MIDDLE, left : left + MIDDLE], "<f8")
            if middle.min() < middle.max():  # skip constant background
                yield "pixels " + hashlib.sha256(middle.data).hexdigest()


def _planes(volume: Volume) -> Iterable[str]:
    geometry = volume.geometry
    matrix = geometry.direction_matrix
    off_axis = np.abs(matrix[np.abs(matrix) < 1 - SMALLEST_TURN])
    turned = (off_axis > SMALLEST_TURN).sum() >= 6  # about at least two axes
    if not (geometry.spacing_known and turned):
        return
    normal = matrix[:, 2]
    directions = " ".join(f"{value + 0.0:.{PLANE_DIGITS[0]}f}" for value in matrix.ravel())
    for index in range(volume.n_slices):
        distance = float(geometry.positions((0, 0, index)) @ normal)
        yield f"plane {directions} {distance:.{PLANE_DIGITS[1]}f}"
