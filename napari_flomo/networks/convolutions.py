"""Convolutions and resampling shared by all networks.

FLoMo-Net's own layers, which follow Keras, are in `napari_flomo.networks.blocks`.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import Tensor, nn

from napari_flomo.networks.operations import is_tracing


def convolve_depthwise(
    maps: Tensor, weight: Tensor, bias: Tensor | None, dilation: int = 1
) -> Tensor:
    """Convolve each channel of ``(N, C, H, W)`` with its own kernel, keeping the size.

    ``weight`` is ``(C, 1, k, k)`` with an odd ``k``. On the CPU, padding that is wider than the
    kernel takes a code path of PyTorch that is many times slower, so the maps are padded
    beforehand.
    """
    size = weight.shape[-1]
    padding = dilation * (size - 1) // 2
    if padding > size and maps.device.type == "cpu" and not is_tracing():
        maps, padding = F.pad(maps, (padding,) * 4), 0
    return F.conv2d(maps, weight, bias, 1, padding, dilation, groups=weight.shape[0])


class DepthwiseConv2d(nn.Conv2d):
    """A depthwise `nn.Conv2d` that keeps the size of its input."""

    def __init__(self, channels: int, kernel: int, dilation: int = 1, *, bias: bool = True) -> None:
        super().__init__(
            channels,
            channels,
            kernel,
            padding=dilation * (kernel - 1) // 2,
            dilation=dilation,
            groups=channels,
            bias=bias,
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Map ``(N, C, H, W)`` to the same shape."""
        return convolve_depthwise(maps, self.weight, self.bias, self.dilation[0])


def conv_norm_relu(
    channels: int,
    features: int,
    kernel: int = 3,
    stride: int = 1,
    *,
    dilation: int = 1,
    groups: int = 1,
    bias: bool = False,
) -> nn.Sequential:
    """Return a convolution (same size at stride 1), a batch norm with eps 1e-5 and a ReLU."""
    padding = dilation * (kernel - 1) // 2
    convolution = nn.Conv2d(
        channels, features, kernel, stride, padding, dilation=dilation, groups=groups, bias=bias
    )
    return nn.Sequential(convolution, nn.BatchNorm2d(features), nn.ReLU())


def resize(maps: Tensor, size: tuple[int, int], *, align_corners: bool = False) -> Tensor:
    """Resize ``(N, C, H, W)`` bilinearly; returns the maps themselves if the size is unchanged."""
    if tuple(maps.shape[-2:]) == tuple(size):
        return maps
    return F.interpolate(maps, size=size, mode="bilinear", align_corners=align_corners)


def adaptive_average_pool(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Average-pool ``(N, C, H, W)`` to a size, like `F.adaptive_avg_pool2d`.

    While tracing, two matrix products are used: ONNX supports nothing else for sizes that do not
    divide evenly.
    """
    if not is_tracing():
        return F.adaptive_avg_pool2d(maps, size)
    rows, columns = (
        torch.from_numpy(pooling_matrix(int(length), wanted)).to(maps)
        for length, wanted in zip(maps.shape[-2:], size, strict=True)
    )
    return rows @ maps @ columns.T


def pooling_matrix(length: int, wanted: int) -> NDArray[np.float32]:
    """Return the matrix ``(wanted, length)`` that average-pools one axis."""
    matrix = np.zeros((wanted, length), np.float32)
    for number, row in enumerate(matrix):
        first, end = number * length // wanted, -(-(number + 1) * length // wanted)
        row[first:end] = 1 / (end - first)
    return matrix
