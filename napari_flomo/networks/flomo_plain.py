"""Plain convolutions that replace FLoMo-Net's modules in an ablation."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from napari_flomo.networks.blocks import batch_norm
from napari_flomo.networks.convolutions import resize
from napari_flomo.networks.form import Form


class PlainBridge(nn.Module):
    """A 3x3 convolution, norm and GELU in place of FAMSR."""

    def __init__(self, channels: int, features: int, form: Form) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, features, 3, padding=1)
        self.norm = batch_norm(features, form.norm_momentum)

    def forward(self, maps: Tensor) -> Tensor:
        """Map ``(N, channels, H, W)`` to ``(N, features, H, W)``."""
        return F.gelu(self.norm(self.conv(maps)))


class PlainFusion(nn.Module):
    """A 3x3 convolution of skip and decoder, concatenated, in place of FPFN-CAM."""

    def __init__(self, skip_channels: int, features: int, form: Form) -> None:
        super().__init__()
        self.conv = nn.Conv2d(skip_channels + features, features, 3, padding=1)
        self.norm = batch_norm(features, form.norm_momentum)

    def forward(self, skip: Tensor, maps: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the fused features ``(N, features, H, W)`` and no maps."""
        skip = resize(skip, (maps.shape[-2], maps.shape[-1]))
        return F.gelu(self.norm(self.conv(torch.cat([skip, maps], 1)))), {}
