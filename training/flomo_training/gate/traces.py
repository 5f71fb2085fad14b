"""By what an image is recognised again: as a copy, in a cut-out, or as the same examination.

A model must not be judged on a patient that it was taught. The bytes of a file do not tell: the
same image may be cropped, be one frame of a cine, or lie in another format. So its slices are
looked at:

- their pixels: two slices that show the same in the middle are the same;
- their place in the scanner: two slices that lie in exactly the same plane, turned in three
  directions as planes of the heart are, come from one examination, also where frames differ.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np

from flomo_training.leaks import FINGERPRINT
from napari_flomo.corrections import identity
from napari_flomo.volumes import Volume

MIDDLE = 64
"""Side in pixels of the middle that is compared; what is cut around it changes nothing."""

PLANE_DIGITS = (3, 1)
"""Decimals of the directions and of the distance from the scanner's centre in mm: all formats keep
more, and two examinations that agree in all of them by chance are not to be expected."""

SMALLEST_TURN = 1e-3
"""A grid that is turned less lies along the scanner's axes, as many do: it tells nothing."""


def traces(volume: Volume) -> frozenset[str]:
    """Return by what an image can be recognised; images that share one belong to one patient.

    Parameters
    ----------
    volume
        With frames or without.
    """
    return frozenset({identity_trace(volume), *_pixels(volume), *_planes(volume)})


def identity_trace(volume: Volume) -> str:
    """Return the trace of this very image: what cards note of corrected images."""
    return identity(volume)[:FINGERPRINT]


def _pixels(volume: Volume) -> Iterable[str]:
    for frame in range(volume.n_frames):
        for pixels in volume.frame(frame).data:
            rows, columns = pixels.shape[:2]
            top, left = max(0, (rows - MIDDLE) // 2), max(0, (columns - MIDDLE) // 2)
            middle = np.ascontiguousarray(pixels[top : top + MIDDLE, left : left + MIDDLE], "<f8")
            if middle.min() < middle.max():  # many slices are nothing but background
                yield "pixels " + hashlib.sha256(middle.data).hexdigest()


def _planes(volume: Volume) -> Iterable[str]:
    geometry = volume.geometry
    matrix = geometry.direction_matrix
    off_axis = np.abs(matrix[np.abs(matrix) < 1 - SMALLEST_TURN])
    turned = (off_axis > SMALLEST_TURN).sum() >= 6  # about two axes at least
    if not (geometry.spacing_known and turned):
        return
    normal = matrix[:, 2]
    directions = " ".join(f"{value + 0.0:.{PLANE_DIGITS[0]}f}" for value in matrix.ravel())
    for index in range(volume.n_slices):
        distance = float(geometry.positions((0, 0, index)) @ normal)
        yield f"plane {directions} {distance:.{PLANE_DIGITS[1]}f}"
