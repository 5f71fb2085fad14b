"""FIAS: a local and a global encoder, fused at each stage, and a decoder with mixed attention.

Source: Liu, Xu, Ho, ISBI 2025 (arXiv 2411.10881), and the first author's public re-creation. That
code does not run as published, because its two branches return maps of different sizes. Changing
one stride fixes it, in one of two ways (``ladder``); then every module equals the public one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from napari_flomo.networks.blocks import pad_to_multiple
from napari_flomo.networks.convolutions import conv_norm_relu, resize
from napari_flomo.networks.dilateformer import DilateFormer
from napari_flomo.networks.fias_blocks import ContextFusion, GlobalBranch, LocalBranch, MixingBlock
from napari_flomo.networks.output import Auxiliary, Output

CHANNELS = {"plain": (32, 64, 128, 256), "dilateformer": (24, 48, 96, 192)}
"""Channels of the stages, fine to coarse, by kind of global branch."""

HEADS = (4, 4, 2)
"""Attention heads of the decoder's stages, coarse to fine."""


class FIAS(nn.Module):
    """FIAS for any number of input channels and classes.

    Parameters
    ----------
    in_channels, num_classes
        Channels of the images and of the logits.
    channels
        Of the four stages, fine to coarse; by default `CHANNELS`. With DilateFormer multiples of 24
        that double from stage to stage.
    ladder
        2: maps at strides 2 to 16. 1: at strides 1 to 8, as in the author's tests of the parts;
        self-attention at full resolution then costs many times the rest.
    kv_tokens
        See `SelfAttention`. 1024 changes nothing up to maps of 32x32; None is the published form,
        whose cost grows with the fourth power of the image's side.
    global_branch
        ``"plain"``: dilated convolutions and attention as in the public code. ``"dilateformer"``:
        the network that the paper names; maps are then at strides 4 to 32 and ``ladder`` is
        ignored.
    deep_supervision
        Add 1x1 heads to the three coarsest maps of the decoder, for training.
    """

    def __init__(
        self,
        *,
        in_channels: int = 1,
        num_classes: int = 4,
        channels: Sequence[int] | None = None,
        ladder: int = 2,
        kv_tokens: int | None = 1024,
        global_branch: Literal["plain", "dilateformer"] = "plain",
        deep_supervision: bool = False,
    ) -> None:
        super().__init__()
        if ladder not in (1, 2):
            raise ValueError(f"ladder must be 1 or 2, not {ladder!r}")
        if global_branch not in CHANNELS:
            raise ValueError(f"global_branch must be one of {', '.join(CHANNELS)}")
        channels = tuple(channels or CHANNELS[global_branch])
        self.global_encoder: nn.Module
        if global_branch == "dilateformer":
            self.stride = 32
            strides = (2, 2, 2, 2, 2)
            self.global_encoder = DilateFormer(in_channels, channels, kv_tokens=kv_tokens)
        else:
            self.stride = 8 * ladder
            strides = (1, ladder, 2, 2, 2)
            self.global_encoder = GlobalBranch(in_channels, channels, ladder, kv_tokens)
        self.local_encoder = LocalBranch(in_channels, channels, strides)
        self.fusions = nn.ModuleList(ContextFusion(c) for c in channels)
        deepest = channels[-1]
        self.bridge = conv_norm_relu(deepest, deepest)
        coarse = tuple(reversed(channels))
        self.stages = nn.ModuleList(
            MixingBlock(c, f, f, heads, kv_tokens)
            for c, f, heads in zip(coarse[:-1], coarse[1:], HEADS, strict=True)
        )
        self.head = nn.Conv2d(channels[0], num_classes, 1)
        self.aux_heads = nn.ModuleList(
            nn.Conv2d(c, num_classes, 1) for c in coarse[:-1] if deep_supervision
        )

    def forward(self, images: Tensor) -> Output:
        """Segment a batch of slices ``(N, in_channels, H, W)``.

        Returns ``logits``; the Monte Carlo gates as ``maps`` ``stage1.attention`` to
        ``stage3.attention``; in training with deep supervision ``aux`` logits of stages 1 (the
        bridge) to 3. All logits have the size of the images.
        """
        height, width = images.shape[-2:]
        padded = pad_to_multiple(images, self.stride)
        size = (padded.shape[-2], padded.shape[-1])
        fused = [
            fusion(local, whole)
            for fusion, local, whole in zip(
                self.fusions, self.local_encoder(padded), self.global_encoder(padded), strict=True
            )
        ]
        maps = self.bridge(fused.pop())
        decoded, seen = [maps], {}
        for number, stage in enumerate(self.stages, start=1):
            maps, gate = stage(maps, fused.pop())
            decoded.append(maps)
            seen[f"stage{number}.attention"] = gate.detach().sigmoid()
        aux = []
        if self.training:
            for number, (head, features) in enumerate(
                zip(self.aux_heads, decoded, strict=False), start=1
            ):
                logits = resize(head(features), size)[..., :height, :width]
                aux.append(Auxiliary(logits, "logits", number))
        return Output(resize(self.head(maps), size)[..., :height, :width], aux, seen)
