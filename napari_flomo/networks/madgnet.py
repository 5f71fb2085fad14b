"""MADGNet: an ImageNet encoder and a decoder of multi-frequency, multi-scale attention.

Source: Nam et al., CVPR 2024 (arXiv 2405.06284), and its official code, which gives the same
values. Unlike there, images may have any size.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from napari_flomo.networks.backbones import build_encoder
from napari_flomo.networks.blocks import pad_to_multiple, upsample_bilinear
from napari_flomo.networks.convolutions import conv_norm_relu
from napari_flomo.networks.madgnet_blocks import CascadedHeads, MultiScaleAttention, Views
from napari_flomo.networks.output import Auxiliary, Output

STRIDE = 32
"""Input sizes are multiples of this; other sizes are padded inside."""

WIDTHS = (256, 128, 64, 32)
"""Channels of the decoder's stages, coarse to fine."""

SKIP = 64
"""Channels of every skip."""


class DecoderStage(nn.Module):
    """Upsampling, a skip, and attention between two convolutions."""

    def __init__(self, channels: int, skip: int, features: int) -> None:
        super().__init__()
        self.enter = conv_norm_relu(channels + skip, features, bias=True)
        self.attention = MultiScaleAttention(features)
        self.leave = conv_norm_relu(features, features, bias=True)

    def forward(self, maps: Tensor, skip: Tensor) -> Tensor:
        """Return ``(N, features, 2 h, 2 w)`` from maps at ``h x w`` and a skip at twice that."""
        maps = self.enter(torch.cat([upsample_bilinear(maps), skip], 1))
        return self.leave(self.attention(maps))


class MADGNetDecoder(nn.Module):
    """From the maps of an encoder to region, distance and boundary, stage by stage.

    ``channels`` are those of the encoder's five maps, finest first; ``skip`` and ``widths`` those
    of the skips and of the stages, coarse to fine, multiples of 32. With ``deep_supervision`` all
    stages have heads, otherwise the last.
    """

    def __init__(
        self,
        channels: Sequence[int],
        num_classes: int,
        *,
        skip: int = SKIP,
        widths: Sequence[int] = WIDTHS,
        deep_supervision: bool = False,
    ) -> None:
        super().__init__()
        *skips, deepest = channels
        self.skips = nn.ModuleList(conv_norm_relu(c, skip, 1, bias=True) for c in reversed(skips))
        inputs = (deepest, *widths[:-1])
        self.stages = nn.ModuleList(
            DecoderStage(c, skip, f) for c, f in zip(inputs, widths, strict=True)
        )
        first = 0 if deep_supervision else len(widths) - 1
        self.heads = nn.ModuleDict(
            {
                f"stage{number + 1}": CascadedHeads(width, num_classes)
                for number, width in enumerate(widths)
                if number >= first
            }
        )

    def forward(self, features: Sequence[Tensor], size: tuple[int, int]) -> dict[int, Views]:
        """Return the `Views` of each stage with heads, by its number; in evaluation of the last.

        ``features`` are five maps, finest first; ``size`` the rows and columns of the result.
        """
        *skips, maps = features
        views = {}
        for number, stage in enumerate(self.stages, start=1):
            maps = stage(maps, self.skips[number - 1](skips[-number]))
            name = f"stage{number}"
            if name in self.heads and (self.training or number == len(self.stages)):
                views[number] = self.heads[name](maps, size)
        return views


class MADGNet(nn.Module):
    """MADGNet for any number of input channels and classes.

    Parameters
    ----------
    backbone
        ``"resnest50"`` (the official code's default) or ``"resnet50"``.
    in_channels, num_classes
        Channels of the images, whose values lie in 0..1, and of the logits.
    deep_supervision
        Add heads to the decoder's stages 1 to 3, for training.
    normalise
        Whether to normalise images by ImageNet's mean and deviation; the official code does not.
    """

    def __init__(
        self,
        backbone: str,
        in_channels: int = 3,
        num_classes: int = 1,
        *,
        deep_supervision: bool = False,
        normalise: bool = False,
    ) -> None:
        super().__init__()
        self.encoder = build_encoder(backbone, in_channels, normalise=normalise)
        self.decoder = MADGNetDecoder(
            self.encoder.channels, num_classes, deep_supervision=deep_supervision
        )

    def forward(self, images: Tensor) -> Output:
        """Segment a batch of slices ``(N, in_channels, H, W)``.

        Returns ``logits`` of the last stage, and its ``distance`` and ``boundary`` as ``maps``
        (maximum over the structures, 0 to 1); in training ``aux`` of the kinds ``"logits"``,
        ``"distance"`` and ``"boundary"`` of each stage with heads, all at full size, except for the
        last stage's logits.
        """
        height, width = images.shape[-2:]
        padded = pad_to_multiple(images, STRIDE)
        size = (padded.shape[-2], padded.shape[-1])
        stages = {
            number: Views(*(view[..., :height, :width] for view in views))
            for number, views in self.decoder(self.encoder(padded), size).items()
        }
        last = max(stages)
        aux: list[Auxiliary] = []
        if self.training:
            for number, views in stages.items():
                if number != last:
                    aux.append(Auxiliary(views.region, "logits", number))
                aux.append(Auxiliary(views.distance, "distance", number))
                aux.append(Auxiliary(views.boundary, "boundary", number))
        seen = {
            name: getattr(stages[last], name).detach().sigmoid().amax(1, keepdim=True)
            for name in ("distance", "boundary")
        }
        return Output(stages[last].region, aux, seen)
