"""ResNet-50 and ResNeSt-50 as encoders.

Sources: He et al., CVPR 2016; Zhang et al., "ResNeSt: Split-Attention Networks", CVPR workshops
2022. Names of the tensors are those of timm's ``resnet50`` and ``resnest50d``.
"""

from __future__ import annotations

import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from napari_flomo.networks.encoder import Encoder

DEPTHS = (3, 4, 6, 3)
EXPANSION = 4
"""Ratio of the output channels of a bottleneck to its inner channels."""


class SplitAttention(nn.Module):
    """Two 3x3 convolutions of the same map, mixed channel by channel (ResNeSt, radix 2)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(channels // 2, 32)
        self.conv = nn.Conv2d(channels, 2 * channels, 3, padding=1, groups=2, bias=False)
        self.bn0 = nn.BatchNorm2d(2 * channels)
        self.fc1 = nn.Conv2d(channels, hidden, 1)
        self.bn1 = _OneValueNorm(hidden)
        self.fc2 = nn.Conv2d(hidden, 2 * channels, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """Map ``(N, channels, H, W)`` to the same shape."""
        first, second = F.relu(self.bn0(self.conv(maps))).chunk(2, 1)
        descriptor = (first + second).mean((-2, -1), keepdim=True)
        logits = self.fc2(F.relu(self.bn1(self.fc1(descriptor))))
        # The softmax of two logits is the sigmoid of their difference.
        share = (logits[:, : first.shape[1]] - logits[:, first.shape[1] :]).sigmoid()
        return share * first + (1 - share) * second


class _OneValueNorm(nn.BatchNorm2d):
    """A batch norm that accepts a single value per channel in training."""

    def forward(self, maps: Tensor) -> Tensor:
        if self.training and maps.numel() == maps.shape[1]:
            return F.batch_norm(
                maps, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        return super().forward(maps)


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions with a shortcut; the output has four times ``middle`` channels.

    With ``split`` the 3x3 convolution is a `SplitAttention`, and strides are average pools, in the
    block and in its shortcut.
    """

    def __init__(self, channels: int, middle: int, stride: int, split: bool) -> None:
        super().__init__()
        features = EXPANSION * middle
        self.conv1 = nn.Conv2d(channels, middle, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(middle)
        # Split attention normalises by itself, and strides are pools.
        self.bn2: nn.Module = nn.Identity()
        self.act2: nn.Module = nn.Identity()
        self.pool: nn.Module = nn.Identity()
        if split:
            self.conv2: nn.Module = SplitAttention(middle)
            if stride == 2:
                self.pool = nn.AvgPool2d(3, 2, padding=1)
        else:
            self.conv2 = nn.Conv2d(middle, middle, 3, stride, padding=1, bias=False)
            self.bn2 = nn.BatchNorm2d(middle)
            self.act2 = nn.ReLU()
        self.conv3 = nn.Conv2d(middle, features, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(features)
        self.downsample: nn.Module = nn.Identity()
        if stride == 2 or channels != features:
            self.downsample = _shortcut(channels, features, stride, split)

    def forward(self, maps: Tensor) -> Tensor:
        """Map ``(N, channels, H, W)`` to ``(N, 4 middle, H / stride, W / stride)``."""
        result = F.relu(self.bn1(self.conv1(maps)))
        result = self.bn3(self.conv3(self.pool(self.act2(self.bn2(self.conv2(result))))))
        return F.relu(result + self.downsample(maps))


def _shortcut(channels: int, features: int, stride: int, pooled: bool) -> nn.Sequential:
    norm = nn.BatchNorm2d(features)
    if not pooled:
        return nn.Sequential(nn.Conv2d(channels, features, 1, stride, bias=False), norm)
    pool = (
        nn.AvgPool2d(2, 2, ceil_mode=True, count_include_pad=False)
        if stride == 2
        else nn.Identity()
    )
    return nn.Sequential(pool, nn.Conv2d(channels, features, 1, bias=False), norm)


class ResNet50(Encoder):
    """ResNet-50; five maps at strides 2 to 32, the first before the max pool."""

    channels = (64, 256, 512, 1024, 2048)
    stem = "conv1.weight"
    unused = ("fc.",)
    split = False

    def __init__(self, in_channels: int = 3, normalise: bool = False) -> None:
        super().__init__(in_channels, normalise)
        self.conv1 = self._first(self.stem_channels)
        self.bn1 = nn.BatchNorm2d(64)
        channels = 64
        for number, depth in enumerate(DEPTHS):
            middle = 64 * 2**number
            blocks = []
            for block in range(depth):
                stride = 2 if number and not block else 1
                blocks.append(Bottleneck(channels, middle, stride, self.split))
                channels = EXPANSION * middle
            setattr(self, f"layer{number + 1}", nn.Sequential(*blocks))
        self.initialise()

    def _first(self, channels: int) -> nn.Module:
        return nn.Conv2d(channels, 64, 7, 2, padding=3, bias=False)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return five maps of ``(N, in_channels, H, W)`` images, finest first."""
        maps = F.relu(self.bn1(self.conv1(self.prepare(images))))
        result = [maps]
        maps = F.max_pool2d(maps, 3, 2, padding=1)
        for number in range(len(DEPTHS)):
            maps = getattr(self, f"layer{number + 1}")(maps)
            result.append(maps)
        return result


class ResNeSt50(ResNet50):
    """ResNeSt-50 with split attention; maps as in `ResNet50`."""

    stem = "conv1.0.weight"
    split = True

    def _first(self, channels: int) -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(channels, 32, 3, 2, padding=1, bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.Conv2d(32, 32, 3, padding=1, bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, padding=1, bias=False),
        )
