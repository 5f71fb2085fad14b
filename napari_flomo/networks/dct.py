"""The orthonormal two-dimensional discrete cosine transform (type II), as matrix products."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor


@lru_cache(maxsize=64)
def dct_matrix(size: int, frequencies: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return the first rows of the DCT-II matrix of a given size.

    ``D[k, i] = s_k cos(pi (2 i + 1) k / (2 n))`` with ``s_0 = sqrt(1/n)`` and
    ``s_k = sqrt(2/n)``, so that the full matrix is orthonormal and its transpose is its inverse.

    Parameters
    ----------
    size
        Length ``n`` of the signal.
    frequencies
        Number of rows (lowest frequencies first), at most ``size``.
    dtype, device
        Of the result. The values are computed in float64.

    Returns
    -------
    Tensor
        ``(frequencies, size)``; shared between callers, so never change it in place.
    """
    # A tensor born in inference mode could not be used for training later. NumPy computes the
    # values, so that nothing of this enters a traced graph but the finished matrix.
    with torch.inference_mode(False):
        matrix = torch.from_numpy(dct_values(size, frequencies))
        return matrix.to(device=device, dtype=dtype)


def dct_values(size: int, frequencies: int) -> np.ndarray:
    """Return what `dct_matrix` returns, as float64 in NumPy."""
    position = np.arange(int(size), dtype=np.float64)
    frequency = np.arange(int(frequencies), dtype=np.float64)[:, None]
    matrix = np.cos(math.pi * (2 * position + 1) * frequency / (2 * int(size)))
    matrix *= math.sqrt(2 / int(size))
    matrix[0] /= math.sqrt(2)
    return matrix


def dct2(maps: Tensor, frequencies: int) -> Tensor:
    """Transform each channel and keep the lowest frequencies.

    Parameters
    ----------
    maps
        ``(N, C, H, W)``.
    frequencies
        Coefficients kept along each axis, fewer when the map is smaller.

    Returns
    -------
    Tensor
        ``(N, C, min(H, frequencies), min(W, frequencies))``; entry ``[u, v]`` belongs to row
        frequency ``u`` and column frequency ``v``.
    """
    height, width = maps.shape[-2:]
    rows = dct_matrix(height, min(height, frequencies), maps.dtype, maps.device)
    columns = dct_matrix(width, min(width, frequencies), maps.dtype, maps.device)
    # Channels last in memory makes both products plain GEMMs without a copy.
    last = maps.permute(0, 2, 3, 1).flatten(2)  # (N, H, W C)
    by_row = (rows @ last).unflatten(2, (width, -1))  # (N, U, W, C)
    return (columns @ by_row).permute(0, 3, 1, 2)


def idct2(coefficients: Tensor, height: int, width: int) -> Tensor:
    """Return the maps whose lowest frequencies are given and whose other frequencies are zero.

    Parameters
    ----------
    coefficients
        ``(N, C, U, V)`` as `dct2` returns them.
    height, width
        Size of the result.

    Returns
    -------
    Tensor
        ``(N, C, height, width)``.
    """
    kind = coefficients.dtype, coefficients.device
    rows = dct_matrix(height, coefficients.shape[-2], *kind)
    columns = dct_matrix(width, coefficients.shape[-1], *kind)
    return rows.T @ coefficients @ columns


def dct_bank(
    size: int, frequencies: Sequence[tuple[int, int]], dtype: torch.dtype, device: torch.device
) -> Tensor:
    """Return basis images of the two-dimensional DCT.

    The inner product of an image with basis ``(u, v)`` is the coefficient ``dct2(image)[u, v]``.

    Parameters
    ----------
    size
        Rows and columns of a basis image.
    frequencies
        Pairs of row frequency and column frequency, each below ``size``.
    dtype, device
        Of the result.

    Returns
    -------
    Tensor
        ``(len(frequencies), size, size)``.
    """
    matrix = dct_matrix(size, size, dtype, device)
    rows, columns = zip(*frequencies, strict=True)
    return matrix[list(rows), :, None] * matrix[list(columns), None, :]
