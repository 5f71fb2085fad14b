"""DASA rewritten for inference."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from napari_flomo.networks.blocks import global_max
from napari_flomo.networks.dct import dct_values
from napari_flomo.networks.fast_blockwise import BlockwiseConv2d
from napari_flomo.networks.flomo_blocks import DASA
from napari_flomo.networks.form import FREQUENCIES


def pooling_values(size: int) -> np.ndarray:
    """Return the matrix ``(ceil(size / 2), size)`` that pools one axis as `average_pool_same` does.

    Pooling a map is this along its rows and then along its columns.
    """
    pools = np.zeros((-(-size // 2), size))
    for number, row in enumerate(pools):
        row[max(0, 2 * number - 1) : 2 * number + 3] = 1
    return pools / pools.sum(1, keepdims=True)


@lru_cache(maxsize=64)
def probes(size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return the vectors that one axis of a map is multiplied by, for all linear statistics.

    Returns
    -------
    Tensor
        ``(min(size, 16) + 1, size)``: the lowest rows of the DCT matrix, and the weights with
        which pixels enter the mean of the map pooled twice. Shared between callers, so never
        change it in place.
    """
    once = pooling_values(int(size))
    weights = (pooling_values(len(once)) @ once).mean(0, keepdims=True)
    values = np.concatenate([dct_values(size, min(int(size), FREQUENCIES)), weights])
    with torch.inference_mode(False):
        return torch.from_numpy(values).to(device=device, dtype=dtype)


class FastDASA(nn.Module):
    """Dual attention: a gate per channel from pooled and DCT statistics, then a gate per pixel.

    All statistics but the maximum are linear in the map and separable, so one pair of matrix
    products yields them together.

    Parameters
    ----------
    plain
        The module to rewrite; its tensors are taken over, so hand in a copy.
    """

    def __init__(self, plain: DASA) -> None:
        super().__init__()
        self.channel_norm = plain.channel_norm
        self.channel_fc1, self.channel_fc2 = plain.channel_fc1, plain.channel_fc2
        weight = torch.tensor([0.5, 0.5]) if plain.pooling is None else plain.pooling.softmax(0)
        self.mean_share, self.peak_share = weight.tolist()
        # A 1x1 convolution from one channel to one scales the convolution before it.
        spatial = plain.spatial_depthwise
        gain = plain.spatial_pointwise.weight.detach()
        before, after = spatial.bias, plain.spatial_pointwise.bias
        assert before is not None
        assert after is not None
        bias = before.detach() * gain.flatten() + after.detach()
        spatial.weight = nn.Parameter(spatial.weight.detach() * gain, False)
        spatial.bias = nn.Parameter(bias, False)
        self.spatial = BlockwiseConv2d(spatial)

    def forward(self, maps: Tensor) -> Tensor:
        """Return ``maps`` ``(N, C, H, W)`` weighted by channel and by pixel."""
        hidden = F.relu(self.channel_fc1(self.channel_norm(self.describe(maps))))
        maps = maps * self.channel_fc2(hidden).sigmoid()[:, :, None, None]
        mean, peak = maps.mean(1, keepdim=True), maps.amax(1, keepdim=True)
        summary = self.mean_share * mean + self.peak_share * peak
        return maps * self.spatial(summary).sigmoid()

    def describe(self, maps: Tensor) -> Tensor:
        """Return the five statistics of each channel, ``(N, 5 C)``."""
        height, width = maps.shape[-2:]
        rows = probes(height, maps.dtype, maps.device)
        columns = probes(width, maps.dtype, maps.device)
        # Channels last in memory makes both products plain GEMMs without a copy.
        last = maps.permute(0, 2, 3, 1).flatten(2)  # (N, H, W C)
        by_row = (rows @ last).unflatten(2, (width, -1))  # (N, U, W, C)
        answers = columns @ by_row  # (N, U, V, C)
        spectrum = answers[:, :-1, :-1]
        return torch.cat(
            [
                answers[:, 0, 0] / math.sqrt(height * width),  # the first coefficient is the mean
                global_max(maps),
                spectrum.mean((1, 2)),
                spectrum.amax((1, 2)),
                answers[:, -1, -1],
            ],
            1,
        )
