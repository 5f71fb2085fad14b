"""FM-BFF-Net: EfficientNetV2-S encoder, focal modulation on the skips, bidirectional fusion.

After arXiv 2510.20933; not a reproduction, because neither code nor all widths are public. Public
texts state: the encoder and its four blocks, focal modulation on skips that are aggregated from
fine to coarse, a bridge of token and position attention, and decoder stages of refinement, fusion
and refinement. *Inferred*: strides 2 to 16 of the blocks, widths 128, 96, 64 and 32 of the decoder,
max pools between the skips, and what the docstrings of `napari_flomo.networks.fmbff_blocks` name.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from napari_flomo.networks.backbones import build_encoder
from napari_flomo.networks.blocks import pad_to_multiple
from napari_flomo.networks.convolutions import resize
from napari_flomo.networks.fmbff_blocks import (
    BidirectionalFusion,
    FocalBlock,
    Pool,
    Refine,
    TransformerBridge,
)
from napari_flomo.networks.output import Auxiliary, Output

STRIDE = 16
"""Input sizes are multiples of this; other sizes are padded inside."""

WIDTHS = (128, 96, 64, 32)
"""Channels of the decoder's stages, coarse to fine."""


class FusionStage(nn.Module):
    """Refine, fuse with a skip of the same size, refine and double the resolution."""

    def __init__(self, channels: int, skip_channels: int, features: int) -> None:
        super().__init__()
        self.enter = Refine(channels, features, double=False)
        self.fusion = BidirectionalFusion(skip_channels, features)
        self.leave = Refine(2 * features, features, double=True)

    def forward(self, maps: Tensor, skip: Tensor) -> Tensor:
        """Return ``(N, features, 2 H, 2 W)`` of two maps of ``H x W``."""
        return self.leave(self.fusion(skip, self.enter(maps)))


class FMBFFNet(nn.Module):
    """FM-BFF-Net for any number of input channels and classes.

    Parameters
    ----------
    in_channels, num_classes
        Channels of the images, whose values lie in 0..1, and of the logits.
    pool
        See `FocalModulation`.
    widths
        Channels of the decoder's stages, coarse to fine.
    deep_supervision
        Add a 1x1 head to the decoder's stages 1 to 3, for training.
    normalise
        Whether the encoder gets images of mean 0.5 and deviation 0.5, as its published weights
        expect.
    """

    def __init__(
        self,
        *,
        in_channels: int = 3,
        num_classes: int = 1,
        pool: Pool = "global",
        widths: Sequence[int] = WIDTHS,
        deep_supervision: bool = False,
        normalise: bool = False,
    ) -> None:
        super().__init__()
        self.encoder = build_encoder("efficientnetv2-s", in_channels, normalise=normalise)
        channels = self.encoder.channels
        self.skips = nn.ModuleList(
            FocalBlock(c + (channels[n - 1] if n else 0), c, pool) for n, c in enumerate(channels)
        )
        self.bridge = TransformerBridge(channels[-1])
        inputs = (channels[-1], *widths[:-1])
        self.stages = nn.ModuleList(
            FusionStage(c, s, f) for c, s, f in zip(inputs, reversed(channels), widths, strict=True)
        )
        self.head = nn.Conv2d(widths[-1], num_classes, 1)
        self.aux_heads = nn.ModuleList(
            nn.Conv2d(width, num_classes, 1) for width in widths[:-1] if deep_supervision
        )

    def forward(self, images: Tensor) -> Output:
        """Segment a batch of slices ``(N, in_channels, H, W)``.

        Returns ``logits``, and in training with deep supervision ``aux`` logits of the stages 1 to
        3, all at the size of the images.
        """
        height, width = images.shape[-2:]
        padded = pad_to_multiple(images, STRIDE)
        size = (padded.shape[-2], padded.shape[-1])
        blocks = self.encoder(padded)
        skips: list[Tensor] = []
        for block, layer in zip(blocks, self.skips, strict=True):
            finer = [F.max_pool2d(skips[-1], 2)] if skips else []
            skips.append(layer(torch.cat([*finer, block], 1)))
        maps = self.bridge(blocks[-1])
        aux: list[Auxiliary] = []
        for number, stage in enumerate(self.stages):
            maps = stage(maps, skips.pop())
            if self.training and number < len(self.aux_heads):
                logits = resize(self.aux_heads[number](maps), size)[..., :height, :width]
                aux.append(Auxiliary(logits, "logits", number + 1))
        return Output(self.head(maps)[..., :height, :width], aux)
