"""Building blocks of the networks: convolutions, experts, pooling, uncertainty maps.

Layers follow the conventions of the official FLoMo-Net code (Keras): every convolution has a bias,
batch norms use eps 1e-3, stride-2 convolutions and pools use 'same' padding.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from napari_flomo.networks.convolutions import DepthwiseConv2d

KERAS_EPS = 1e-3


def pointwise(channels: int, features: int) -> nn.Conv2d:
    """Return a 1x1 convolution."""
    return nn.Conv2d(channels, features, 1)


def batch_norm(channels: int, momentum: float) -> nn.BatchNorm2d:
    """Return a batch norm with Keras' eps; ``momentum`` is PyTorch's, so 1 - Keras'."""
    return nn.BatchNorm2d(channels, eps=KERAS_EPS, momentum=momentum)


def global_average(maps: Tensor) -> Tensor:
    """Return the mean over rows and columns, ``(N, C)``."""
    return maps.mean((-2, -1))


def global_max(maps: Tensor) -> Tensor:
    """Return the maximum over rows and columns, ``(N, C)``."""
    return maps.amax((-2, -1))


def average_pool_same(maps: Tensor) -> Tensor:
    """Average pool 4x4 with stride 2 and 'same' padding, not counting padded pixels.

    Equals Keras' ``AveragePooling2D(4, 2, "same")`` for even and odd sizes.
    """
    # An axis of one pixel is not pooled: OpenVINO does not accept kernels larger than the map.
    kernel, stride, padding = zip(
        *((4, 2, 1) if length > 1 else (1, 1, 0) for length in maps.shape[-2:]), strict=True
    )
    return F.avg_pool2d(maps, kernel, stride, padding, ceil_mode=True, count_include_pad=False)


def upsample_bilinear(maps: Tensor) -> Tensor:
    """Double rows and columns by bilinear interpolation with half-pixel centres."""
    return F.interpolate(maps, scale_factor=2, mode="bilinear", align_corners=False)


def pad_to_multiple(maps: Tensor, multiple: int) -> Tensor:
    """Pad rows and columns with zeros at the end, to the next multiple."""
    height, width = maps.shape[-2:]
    below, right = -height % multiple, -width % multiple
    return F.pad(maps, (0, right, 0, below)) if below or right else maps


def at_least_float32(maps: Tensor) -> torch.dtype:
    """Return float32, or the type of the maps if that is wider."""
    return torch.promote_types(maps.dtype, torch.float32)


def entropy_map(logits: Tensor) -> Tensor:
    """Return the entropy of the softmax over channels, divided by its maximum.

    ``(N, C, H, W)`` logits with ``C >= 2`` give ``(N, 1, H, W)``, 0 (certain) to 1 (uniform).
    """
    # At least float32, also under mixed precision: the maps vary little.
    log_p = F.log_softmax(logits, dim=1, dtype=at_least_float32(logits))
    return -(log_p.exp() * log_p).sum(1, keepdim=True) / math.log(logits.shape[1])


def cosine_disagreement(first: Tensor, second: Tensor) -> Tensor:
    """Return one minus the cosine between two feature maps in each pixel, ``(N, 1, H, W)``.

    0 to 1 if both maps are non-negative; 1 where either is zero in all channels.
    """

    def total(maps: Tensor) -> Tensor:
        return maps.sum(1, keepdim=True, dtype=at_least_float32(maps))

    # The squares are clamped before the root, as the reference does: the gradient stays finite.
    squares = total(first.square()).clamp_min(1e-12) * total(second.square()).clamp_min(1e-12)
    return 1 - total(first * second) * squares.rsqrt()


class SameDownsample(nn.Conv2d):
    """A 3x3 convolution with stride 2 and TensorFlow's 'same' padding.

    Returns ``ceil(n / 2)`` rows for ``n``. Even ``n`` are padded at the end only, odd ``n`` at both
    ends.
    """

    def __init__(self, channels: int, features: int, groups: int = 1, bias: bool = True) -> None:
        super().__init__(channels, features, 3, stride=2, groups=groups, bias=bias)

    def forward(self, maps: Tensor) -> Tensor:
        """Halve rows and columns."""
        odd_rows, odd_columns = maps.shape[-2] % 2, maps.shape[-1] % 2
        return super().forward(F.pad(maps, (odd_columns, 1, odd_rows, 1)))


class SpatialNorm(nn.Module):
    """Normalise a one-channel map over the pixels of each image.

    The reference normalises over the single channel instead, which returns the bias whatever the
    map contains; ``over_space=False`` does the same, and freezes the unused gain. ``eps`` is small,
    because the maps vary little (standard deviation about 0.01).
    """

    def __init__(self, over_space: bool, eps: float = 1e-5) -> None:
        super().__init__()
        self.over_space = over_space
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(1), requires_grad=over_space)
        self.bias = nn.Parameter(torch.zeros(1))

    def forward(self, maps: Tensor) -> Tensor:
        """Return a map of the same shape ``(N, 1, H, W)``."""
        if not self.over_space:
            return self.bias.view(1, 1, 1, 1).expand_as(maps)
        variance, mean = torch.var_mean(maps, (-2, -1), correction=0, keepdim=True)
        return self.weight * (maps - mean) * torch.rsqrt(variance + self.eps) + self.bias


class Expert(nn.Module):
    """A depthwise convolution with its own receptive field, then a 1x1 convolution and ReLU."""

    def __init__(self, channels: int, features: int, kernel: int, dilation: int) -> None:
        super().__init__()
        self.depthwise = DepthwiseConv2d(channels, kernel, dilation)
        self.pointwise = pointwise(channels, features)

    def forward(self, maps: Tensor) -> Tensor:
        """Map ``(N, channels, H, W)`` to ``(N, features, H, W)``."""
        return F.relu(self.pointwise(self.depthwise(maps)))
