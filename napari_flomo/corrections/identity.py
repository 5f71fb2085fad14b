"""What makes two images the same image."""

from __future__ import annotations

import hashlib

import numpy as np

from napari_flomo.volumes import Volume

DIGITS = 4
"""Decimals of a millimetre (and of a direction cosine) that count: headers store no more."""


def identity(volume: Volume) -> str:
    """Return the SHA-256 of an image's voxels and geometry.

    The name, the modality and the format of the file do not count, nor does the byte order; the
    element type does, since a reader that scales grey values changes the image.

    Parameters
    ----------
    volume
        Any image.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    geometry = volume.geometry
    numbers = (*geometry.spacing, *geometry.origin, *geometry.direction)
    # Adding zero makes one number of 0 and -0.
    rounded = [f"{round(number, DIGITS) + 0.0:.{DIGITS}f}" for number in numbers]
    little = volume.data.dtype.newbyteorder("<")
    head = [",".join(volume.axes), str(volume.data.shape), little.str, *rounded]
    head.append(str(geometry.spacing_known))
    digest = hashlib.sha256("\n".join(head).encode() + b"\n")
    for part in volume.data:  # by part: a cine that is mapped from disk is not copied whole
        digest.update(np.ascontiguousarray(part, dtype=little).data)
    return digest.hexdigest()
