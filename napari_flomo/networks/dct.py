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
    """Return the first rows of the orthonormal DCT-II matrix, ``(frequencies, size)``.

    ``D[k, i] = s_k cos(pi (2 i + 1) k / (2 n))`` with ``s_0 = sqrt(1/n)`` and
    ``s_k = sqrt(2/n)``, computed in float64. Callers share the result: do not modify it.
    """
    # NumPy computes the values, so that only the finished matrix enters a traced graph.
    position = np.arange(int(size), dtype=np.float64)
    frequency = np.arange(int(frequencies), dtype=np.float64)[:, None]
    matrix = np.cos(math.pi * (2 * position + 1) * frequency / (2 * int(size)))
    matrix *= math.sqrt(2 / int(size))
    matrix[0] /= math.sqrt(2)
    with torch.inference_mode(False):  # training cannot use inference tensors
        return torch.from_numpy(matrix).to(device=device, dtype=dtype)


def dct2(maps: Tensor, frequencies: int) -> Tensor:
    """Return the lowest DCT frequencies of each channel of ``(N, C, H, W)``.

    The result is ``(N, C, min(H, frequencies), min(W, frequencies))``; rows are row frequencies.
    """
    height, width = maps.shape[-2:]
    rows = dct_matrix(height, min(height, frequencies), maps.dtype, maps.device)
    columns = dct_matrix(width, min(width, frequencies), maps.dtype, maps.device)
    # Channels last in memory makes both products plain GEMMs without a copy.
    last = maps.permute(0, 2, 3, 1).flatten(2)  # (N, H, W C)
    by_row = (rows @ last).unflatten(2, (width, -1))  # (N, U, W, C)
    return (columns @ by_row).permute(0, 3, 1, 2)


def idct2(coefficients: Tensor, height: int, width: int) -> Tensor:
    """Return maps ``(N, C, height, width)`` from the coefficients that `dct2` returns."""
    kind = coefficients.dtype, coefficients.device
    rows = dct_matrix(height, coefficients.shape[-2], *kind)
    columns = dct_matrix(width, coefficients.shape[-1], *kind)
    return rows.T @ coefficients @ columns


def dct_bank(
    size: int, frequencies: Sequence[tuple[int, int]], dtype: torch.dtype, device: torch.device
) -> Tensor:
    """Return basis images of the two-dimensional DCT, ``(len(frequencies), size, size)``.

    The inner product of an image with basis ``(u, v)`` is the coefficient ``dct2(image)[u, v]``.
    """
    matrix = dct_matrix(size, size, dtype, device)
    rows, columns = zip(*frequencies, strict=True)
    return matrix[list(rows), :, None] * matrix[list(columns), None, :]
