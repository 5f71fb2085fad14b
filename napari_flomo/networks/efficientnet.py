"""EfficientNetV2-S down to stride 16, as an encoder.

Source: Tan and Le, "EfficientNetV2: Smaller Models and Faster Training", ICML 2021. Names of the
tensors, padding and norms are those of timm's ``tf_efficientnetv2_s``.
"""

from __future__ import annotations

import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from napari_flomo.networks.blocks import KERAS_EPS, SameDownsample
from napari_flomo.networks.encoder import Encoder
from napari_flomo.networks.gates import apply_gate


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=KERAS_EPS)


def _conv3x3(channels: int, features: int, stride: int, groups: int = 1) -> nn.Conv2d:
    if stride == 2:
        return SameDownsample(channels, features, groups, bias=False)
    return nn.Conv2d(channels, features, 3, padding=1, groups=groups, bias=False)


class PlainBlock(nn.Module):
    """A 3x3 convolution with a shortcut."""

    def __init__(self, channels: int, features: int, stride: int, _expand: int) -> None:
        super().__init__()
        self.residual = stride == 1 and channels == features
        self.conv = _conv3x3(channels, features, stride)
        self.bn1 = _norm(features)

    def forward(self, maps: Tensor) -> Tensor:
        """Map ``(N, channels, H, W)`` to ``(N, features, H / stride, W / stride)``."""
        result = F.silu(self.bn1(self.conv(maps)))
        return maps + result if self.residual else result


class FusedBlock(nn.Module):
    """An expanding 3x3 convolution, then a projecting 1x1 (Fused-MBConv)."""

    def __init__(self, channels: int, features: int, stride: int, expand: int) -> None:
        super().__init__()
        self.residual = stride == 1 and channels == features
        self.conv_exp = _conv3x3(channels, expand * channels, stride)
        self.bn1 = _norm(expand * channels)
        self.conv_pwl = nn.Conv2d(expand * channels, features, 1, bias=False)
        self.bn2 = _norm(features)

    def forward(self, maps: Tensor) -> Tensor:
        """Map ``(N, channels, H, W)`` to ``(N, features, H / stride, W / stride)``."""
        result = self.bn2(self.conv_pwl(F.silu(self.bn1(self.conv_exp(maps)))))
        return maps + result if self.residual else result


class SqueezeExcite(nn.Module):
    """A channel gate computed from the channel means."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.conv_reduce = nn.Conv2d(channels, hidden, 1)
        self.conv_expand = nn.Conv2d(hidden, channels, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """Gate the channels of ``(N, channels, H, W)``."""
        hidden = F.silu(self.conv_reduce(maps.mean((-2, -1), keepdim=True)))
        return apply_gate(maps, self.conv_expand(hidden))


class InvertedBlock(nn.Module):
    """Expanding 1x1, depthwise 3x3, channel gate, projecting 1x1 (MBConv)."""

    def __init__(self, channels: int, features: int, stride: int, expand: int) -> None:
        super().__init__()
        wide = expand * channels
        self.residual = stride == 1 and channels == features
        self.conv_pw = nn.Conv2d(channels, wide, 1, bias=False)
        self.bn1 = _norm(wide)
        self.conv_dw = _conv3x3(wide, wide, stride, groups=wide)
        self.bn2 = _norm(wide)
        self.se = SqueezeExcite(wide, channels // 4)
        self.conv_pwl = nn.Conv2d(wide, features, 1, bias=False)
        self.bn3 = _norm(features)

    def forward(self, maps: Tensor) -> Tensor:
        """Map ``(N, channels, H, W)`` to ``(N, features, H / stride, W / stride)``."""
        result = F.silu(self.bn1(self.conv_pw(maps)))
        result = self.se(F.silu(self.bn2(self.conv_dw(result))))
        result = self.bn3(self.conv_pwl(result))
        return maps + result if self.residual else result


STAGES: tuple[tuple[type[nn.Module], int, int, int, int], ...] = (
    (PlainBlock, 24, 2, 1, 1),
    (FusedBlock, 48, 4, 2, 4),
    (FusedBlock, 64, 4, 2, 4),
    (InvertedBlock, 128, 6, 2, 4),
    (InvertedBlock, 160, 9, 1, 6),
)
"""Block, features, number of blocks, stride of the first, expansion factor."""

TAPS = (0, 1, 2, 4)
"""Stages whose maps are returned: the last of each resolution."""


class EfficientNetV2S(Encoder):
    """EfficientNetV2-S without its last stage; four maps at strides 2, 4, 8 and 16."""

    channels = (24, 48, 64, 160)
    stem = "conv_stem.weight"
    unused = ("blocks.5.", "conv_head.", "bn2.", "classifier.")
    mean = std = (0.5, 0.5, 0.5)

    def __init__(self, in_channels: int = 3, normalise: bool = False) -> None:
        super().__init__(in_channels, normalise)
        channels = 24
        self.conv_stem = SameDownsample(self.stem_channels, channels, bias=False)
        self.bn1 = _norm(channels)
        stages = []
        for block, features, depth, stride, expand in STAGES:
            blocks = []
            for number in range(depth):
                blocks.append(block(channels, features, 1 if number else stride, expand))
                channels = features
            stages.append(nn.Sequential(*blocks))
        self.blocks = nn.ModuleList(stages)
        self.initialise()

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return four maps of ``(N, in_channels, H, W)`` images, finest first."""
        maps = F.silu(self.bn1(self.conv_stem(self.prepare(images))))
        result = []
        for number, stage in enumerate(self.blocks):
            maps = stage(maps)
            if number in TAPS:
                result.append(maps)
        return result
