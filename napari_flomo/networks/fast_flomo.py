"""FLoMo-Net rewritten for inference. See `napari_flomo.networks.fast`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn

from napari_flomo.networks.blocks import pad_to_multiple
from napari_flomo.networks.fast_arithmetic import in_float32, per_pixel
from napari_flomo.networks.fast_attention import FastDASA
from napari_flomo.networks.fast_experts import FastMoE
from napari_flomo.networks.fast_fusion import FastFPFN
from napari_flomo.networks.flomo import STRIDE, FlomoNet, Stage, check_image
from napari_flomo.networks.flomo_blocks import FPFN
from napari_flomo.networks.output import Output


class FastStage(nn.Module):
    """A stage of FLoMo-Net; in the decoder it takes the map before it is doubled."""

    def __init__(self, plain: Stage, *, maps: bool, kept: Sequence[int] | None = None) -> None:
        super().__init__()
        self.moe = FastMoE(plain.moe, doubled=plain.fpfn is not None, kept=kept)
        self.dasa = None if plain.dasa is None else FastDASA(plain.dasa)
        self.fpfn = FastFPFN(plain.fpfn, maps=maps) if isinstance(plain.fpfn, FPFN) else plain.fpfn

    def forward(self, maps: Tensor, skip: Tensor | None = None) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the features and the fusion's maps."""
        maps = self.moe(maps)
        if self.dasa is not None:
            maps = self.dasa(maps)
        return (maps, {}) if self.fpfn is None else self.fpfn(skip, maps)


class FastFlomo(nn.Module):
    """FLoMo-Net for inference: the same logits (and maps) with less work.

    Parameters
    ----------
    plain
        In evaluation mode, frozen; its tensors are taken over, so hand in a copy.
    maps
        Whether to return the network's own maps.
    kept
        Numbers of the experts that are computed, for each stage along the encoder and then the
        decoder; all by default.

    What `FlomoNet.sensitive` names stays in float32 under mixed precision.
    """

    def __init__(
        self, plain: FlomoNet, *, maps: bool, kept: Sequence[Sequence[int]] | None = None
    ) -> None:
        super().__init__()
        self.form = plain.form
        self.in_channels = plain.in_channels
        stages = [
            FastStage(cast(Stage, stage), maps=maps, kept=None if kept is None else kept[number])
            for number, stage in enumerate([*plain.encoder.values(), *plain.decoder.values()])
        ]
        self.encoder = nn.ModuleList(stages[: len(plain.encoder)])
        self.bridge = plain.bridge
        self.decoder = nn.ModuleList(stages[len(plain.encoder) :])
        self.head = plain.head
        names = [f"decoder.{number}" for number in range(len(self.decoder))]
        self.coarse = sum(name not in plain.sensitive for name in names)

    def forward(self, image: Tensor) -> Output:
        """Segment a batch of slices; the contract is that of `FlomoNet.forward`."""
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
        """Return what the decoder starts with, and the skips from the largest to the smallest."""
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
        """Return the network in parts, for libraries that compute a whole graph in few bits or not.

        Parameters
        ----------
        size
            Rows and columns of the image.

        Returns
        -------
        list of (torch.nn.Module, bool)
            In their order, and whether each stays in float32. The first takes the image; each of
            the others what the one before it returned; the last one returns the logits.
        """
        coarse, fine = self.decoder[: self.coarse], self.decoder[self.coarse :]
        return [
            (_Encoding(self), True),
            (_Decoding(coarse), False),
            (_Decoding(fine, self.head, size), True),
        ]


class _Encoding(nn.Module):
    """From the image to all that the decoder takes, in the order in which it takes it."""

    def __init__(self, whole: FastFlomo) -> None:
        super().__init__()
        self.whole = whole

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        maps, skips = self.whole.encode(image)
        return maps, *reversed(skips)


class _Decoding(nn.Module):
    """Some stages of the decoder; the skips that they do not take are handed on."""

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
