"""FLoMo-Net rewritten for inference: the same values from fewer operations."""

from __future__ import annotations

import copy
from typing import cast

import torch
from torch import Tensor, nn

from napari_flomo.networks.blocks import pad_to_multiple
from napari_flomo.networks.fast_experts import FastMoE
from napari_flomo.networks.flomo import STRIDE, FlomoNet, Stage, check_image
from napari_flomo.networks.folding import fold_norms
from napari_flomo.networks.operations import in_float32, per_pixel
from napari_flomo.networks.output import Output


def fast(network: nn.Module) -> nn.Module:
    """Return a faster copy of a network for inference.

    In FLoMo-Net, the experts of the decoder run before their input is upsampled and batch norms are
    folded; probabilities differ from the plain network's only by rounding. In other networks, each
    batch norm that directly follows a convolution in an `nn.Sequential` is folded.

    Parameters
    ----------
    network
        Of `napari_flomo.networks`; unchanged, and shares no tensor with the result.

    Returns
    -------
    nn.Module
        In evaluation mode, frozen, with weights in channels-last memory. Takes what ``network``
        takes and returns an `Output` without ``aux``.
    """
    frozen = copy.deepcopy(network).eval().requires_grad_(False)
    if isinstance(frozen, FlomoNet):
        quick: nn.Module = FastFlomo(frozen).eval().requires_grad_(False)
    else:
        fold_norms(frozen)
        quick = frozen
    return quick.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


class FastStage(nn.Module):
    """A stage of FLoMo-Net; a decoder stage takes the map before it is upsampled."""

    def __init__(self, plain: Stage) -> None:
        super().__init__()
        self.moe = FastMoE(plain.moe, upsampled=plain.fpfn is not None)
        self.dasa, self.fpfn = plain.dasa, plain.fpfn

    def forward(self, maps: Tensor, skip: Tensor | None = None) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the features and the fusion's maps."""
        maps = self.moe(maps)
        if self.dasa is not None:
            maps = self.dasa(maps)
        return (maps, {}) if self.fpfn is None else self.fpfn(skip, maps)


class FastFlomo(nn.Module):
    """FLoMo-Net for inference.

    The parts named in `FlomoNet.sensitive` stay in float32 under mixed precision. The tensors of
    ``plain``, which must be frozen and in evaluation mode, are reused: pass a copy.
    """

    def __init__(self, plain: FlomoNet) -> None:
        super().__init__()
        self.form = plain.form
        self.in_channels = plain.in_channels
        self.encoder = nn.ModuleList(FastStage(cast(Stage, one)) for one in plain.encoder.values())
        self.bridge = plain.bridge
        self.decoder = nn.ModuleList(FastStage(cast(Stage, one)) for one in plain.decoder.values())
        self.head = plain.head
        names = [f"decoder.{number}" for number in range(len(self.decoder))]
        self.coarse = sum(name not in plain.sensitive for name in names)

    def forward(self, image: Tensor) -> Output:
        """Segment a batch of slices, see `FlomoNet.forward`."""
        height, width = image.shape[-2:]
        with in_float32(image.device):
            maps, skips = self.encode(image)
        seen: dict[str, Tensor] = {}
        for number, stage in enumerate(self.decoder, start=1):
            if number > self.coarse:
                with in_float32(image.device):
                    maps, own = stage(maps.to(self.head.weight.dtype), skips.pop())
            else:
                maps, own = stage(maps, skips.pop())
            seen |= {f"stage{number}.{name}": value for name, value in own.items()}
        with in_float32(image.device):
            logits = per_pixel(self.head, maps.to(self.head.weight.dtype))
        return Output(logits[..., :height, :width], [], seen)

    def encode(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the bridge's output, and the skips from the largest to the smallest."""
        check_image(image, self.in_channels, self.form)
        maps = image if self.form.unit_input else image / 255
        if self.form.any_size:
            maps = pad_to_multiple(maps, STRIDE)
        skips = []
        for stage in self.encoder:
            maps, _ = stage(maps)
            skips.append(maps)
        return self.bridge(maps), skips

    def parts(self, size: tuple[int, int]) -> list[tuple[nn.Module, bool]]:
        """Return the network in parts, for runtimes that set the precision of a whole graph.

        Each part comes with whether it must stay in float32. The first takes the image of ``size``
        (rows, columns), each other one the result of the previous part; the last returns the
        logits.
        """
        coarse, fine = self.decoder[: self.coarse], self.decoder[self.coarse :]
        return [
            (_Encoding(self), True),
            (_Decoding(coarse), False),
            (_Decoding(fine, self.head, size), True),
        ]


class _Encoding(nn.Module):
    """From the image to the inputs of the decoder, in the order of use."""

    def __init__(self, whole: FastFlomo) -> None:
        super().__init__()
        self.whole = whole

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        maps, skips = self.whole.encode(image)
        return maps, *reversed(skips)


class _Decoding(nn.Module):
    """Some stages of the decoder; passes on the skips that it does not use."""

    def __init__(
        self,
        stages: nn.ModuleList,
        head: nn.Conv2d | None = None,
        size: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        self.stages, self.head, self.size = stages, head, size

    def forward(self, maps: Tensor, *skips: Tensor) -> Tensor | tuple[Tensor, ...]:
        for stage, skip in zip(self.stages, skips, strict=False):
            maps, _ = stage(maps, skip)
        if self.head is None or self.size is None:
            return maps, *skips[len(self.stages) :]
        return per_pixel(self.head, maps)[..., : self.size[0], : self.size[1]]
