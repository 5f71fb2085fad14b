"""The identity of an image: a hash of its voxels and geometry."""

from __future__ import annotations

import hashlib

import numpy as np

from napari_flomo.volumes import Volume

DIGITS = 4
"""Compared decimals of a millimetre and of a direction cosine; headers store no more."""


def identity(volume: Volume) -> str:
    """Return the SHA-256 of an image's voxels and geometry.

    Name, modality, file format and byte order are ignored; the element type is included, since a
    reader that scales grey values changes the image.

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
    # Adding zero turns -0.0 into 0.0.
    rounded = [f"{round(number, DIGITS) + 0.0:.{DIGITS}f}" for number in numbers]
    little = volume.data.dtype.newbyteorder("<")
    head = [",".join(volume.axes), str(volume.data.shape), little.str, *rounded]
    head.append(str(geometry.spacing_known))
    digest = hashlib.sha256("\n".join(head).encode() + b"\n")
    for part in volume.data:  # a memory-mapped cine is not copied as a whole
        digest.update(np.ascontiguousarray(part, dtype=little).data)
    return digest.hexdigest()
