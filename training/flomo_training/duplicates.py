"""Near duplicates of pictures: a perceptual hash, Hamming distances, and clusters.

Each bit of the hash tells whether one of the 255 lowest spatial frequencies of a small grey picture
is stronger than their median (DCT hash; Zauner, "Implementation and benchmarking of perceptual
image hash functions", 2010). Saving a picture as a small JPEG changes a few bits; different
pictures differ in about a hundred.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.fft import dctn
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

THUMBNAIL = 64
FREQUENCIES = 16
"""Pixels of the thumbnail and frequencies kept, for each axis."""


def perceptual_hash(picture: NDArray[np.uint8]) -> str:
    """Return the hash of a picture, grey or RGB with the channels last, as 64 hex digits."""
    grey = Image.fromarray(picture).convert("L").resize((THUMBNAIL, THUMBNAIL), Image.BILINEAR)  # type: ignore[attr-defined]
    waves = dctn(np.asarray(grey, np.float64), norm="ortho")[:FREQUENCIES, :FREQUENCIES].ravel()
    bits = waves > np.median(waves[1:])
    bits[0] = False  # the mean brightness is not distinctive
    return np.packbits(bits).tobytes().hex()


def hamming_distances(hashes: Sequence[str], others: Sequence[str]) -> NDArray[np.int64]:
    """Return the number of different bits, ``(len(hashes), len(others))``."""
    a, b = _bits(hashes), _bits(others)
    both = a @ b.T  # exact: sums of at most 255 ones
    unlike = a.sum(1)[:, None] + b.sum(1)[None] - 2 * both
    result: NDArray[np.int64] = np.rint(unlike).astype(np.int64)
    return result


def cluster_near_duplicates(hashes: Sequence[str], bits: int) -> list[int]:
    """Group pictures that are connected by chains of near duplicates.

    Returns for each hash the index of the first hash in its cluster; ``bits`` is the largest
    distance of near duplicates.
    """
    if not hashes:
        return []
    alike = csr_array(hamming_distances(hashes, hashes) <= bits)
    _, number = connected_components(alike, directed=False)
    _, first, inverse = np.unique(number, return_index=True, return_inverse=True)
    return [int(first[cluster]) for cluster in inverse]


def _bits(hashes: Sequence[str]) -> NDArray[np.float32]:
    packed = np.frombuffer(bytes.fromhex("".join(hashes)), np.uint8)
    return np.unpackbits(packed.reshape(len(hashes), -1), axis=1).astype(np.float32)
