"""Convolution, norm and ReLU with PyTorch's conventions, as the companions of FLoMo-Net have them.

FLoMo-Net's own layers, which follow Keras, are in `napari_flomo.networks.blocks`.
"""

from __future__ import annotations

import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn


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
    """Resize ``(N, C, H, W)`` bilinearly to rows and columns; the same size comes back as it is."""
    if tuple(maps.shape[-2:]) == tuple(size):
        return maps
    return F.interpolate(maps, size=size, mode="bilinear", align_corners=align_corners)
