"""FLoMo-Net: a U-shaped network of local-global experts with corrective skip fusion.

Source: FLoMo-Net (WACV 2026). Base widths 16, 32 and 64 are its variants B0, B1 and B2.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from napari_flomo.networks.blocks import pad_to_multiple
from napari_flomo.networks.flomo_blocks import (
    DASA,
    FAMSR,
    FPFN,
    LoGoMoE,
    PlainBridge,
    PlainFusion,
)
from napari_flomo.networks.form import CHOICES, REFERENCE, Form
from napari_flomo.networks.initialisation import initialise
from napari_flomo.networks.output import Auxiliary, Output

STRIDE = 16
"""Input sizes are multiples of this; other sizes are padded inside."""


class Stage(nn.Module):
    """Experts, then attention and (in the decoder) skip fusion, if the stage has them."""

    def __init__(
        self,
        channels: int,
        features: int,
        form: Form,
        *,
        attention: bool,
        skip_channels: int | None = None,
    ) -> None:
        super().__init__()
        self.moe = LoGoMoE(channels, features, downsample=skip_channels is None, form=form)
        self.dasa = DASA(features, form) if attention and form.attention == "dasa" else None
        self.fpfn: FPFN | PlainFusion | None = None
        if skip_channels is not None:
            fusion = FPFN if form.fusion == "fpfn" else PlainFusion
            self.fpfn = fusion(skip_channels, features, form)

    def forward(
        self, maps: Tensor, skip: Tensor | None = None
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Return the features, the router's entropy and the maps of the fusion."""
        maps, entropy = self.moe(maps)
        if self.dasa is not None:
            maps = self.dasa(maps)
        seen: dict[str, Tensor] = {}
        if self.fpfn is not None:
            assert skip is not None
            maps, seen = self.fpfn(skip, maps)
        return maps, entropy, seen


class FlomoNet(nn.Module):
    """FLoMo-Net for any number of input channels and classes.

    Parameters
    ----------
    width
        Base width: 16, 32 or 64 for B0, B1 and B2; a multiple of 4.
    in_channels, num_classes
        Channels of the images and of the logits.
    reference
        Build the reference form, which takes the official weights: all corrections off, Keras'
        initialisation, three channels of intensities 0 to 255, square inputs of at most 256 pixels.
        With ``unit_input=True`` it takes intensities 0 to 1, as all other networks do.
    deep_supervision
        Add a 1x1 head to the decoder stages 1 to 3, for training.
    initialisation
        ``"variance"`` or ``"keras"``; by default the first, in reference form the second.
    **form
        Options of `Form`, for ablations.

    Attributes
    ----------
    feature_layers
        Modules whose outputs are features of an image, see `LinearCorrection`.
    sensitive
        Parts that stay in float32 in lower precision, named as in the rewritten network: the
        encoder, where rounding changes the most labels (grey values alone need more than the 8 bits
        of a bfloat16), the bridge, the decoder stages at half and full size, which draw contours,
        and the head, whose logits are compared with each other.
    """

    feature_layers: ClassVar[tuple[str, ...]] = (
        *(f"encoder.stage{number}" for number in (1, 2)),
        *(f"decoder.stage{number}" for number in (1, 2, 3, 4)),
    )
    sensitive: ClassVar[tuple[str, ...]] = ("encoder", "bridge", "decoder.2", "decoder.3", "head")

    def __init__(
        self,
        width: int,
        in_channels: int = 3,
        num_classes: int = 1,
        *,
        reference: bool = False,
        deep_supervision: bool = False,
        initialisation: str | None = None,
        **form: Any,
    ) -> None:
        super().__init__()
        if reference and form.keys() - {*CHOICES, "top_k", "router_entropy", "unit_input"}:
            raise ValueError(f"the reference form has no switches, but got {sorted(form)}")
        if reference and deep_supervision:
            raise ValueError("the reference form has no deep supervision")
        base = vars(REFERENCE) if reference else {}
        self.form = Form(**{**base, **form})
        self.in_channels = in_channels
        self.num_classes = num_classes

        features = [width * 2**i for i in range(4)]
        inputs = [in_channels, *features[:-1]]
        self.encoder = nn.ModuleDict(
            {
                f"stage{i + 1}": Stage(inputs[i], features[i], self.form, attention=i >= 2)
                for i in range(4)
            }
        )
        bridge = FAMSR if self.form.bridge == "famsr" else PlainBridge
        self.bridge = bridge(features[3], 2 * features[3], self.form)
        self.decoder = nn.ModuleDict(
            {
                f"stage{i + 1}": Stage(2 * f, f, self.form, attention=True, skip_channels=f)
                for i, f in enumerate(reversed(features))
            }
        )
        self.head = nn.Conv2d(width, num_classes, 1)
        self.aux_heads = nn.ModuleDict(
            {
                f"stage{i + 1}": nn.Conv2d(f, num_classes, 1)
                for i, f in enumerate(reversed(features[1:]))
            }
            if deep_supervision
            else {}
        )
        initialise(self, initialisation or ("keras" if reference else "variance"))

    def forward(self, image: Tensor) -> Output:
        """Segment a batch of slices ``(N, in_channels, H, W)``.

        Intensities lie between 0 and 1 (in reference form 0 and 255).

        Returns ``logits`` ``(N, num_classes, H, W)``; ``maps`` such as ``stage1.entropy`` (decoder
        stages, 1 at H/8 to 4 at full size); in training ``aux`` with the deep-supervision logits
        and the weighted router entropy. Raises `ValueError` if the number of channels is wrong, or
        the size does not suit the reference form.
        """
        check_image(image, self.in_channels, self.form)
        height, width = image.shape[-2:]
        maps = image if self.form.unit_input else image / 255
        if self.form.any_size:
            maps = pad_to_multiple(maps, STRIDE)

        aux: list[Auxiliary] = []
        seen: dict[str, Tensor] = {}
        router_entropy = maps.new_zeros(())
        skips = []
        for stage in self.encoder.values():
            maps, entropy, _ = stage(maps)
            skips.append(maps)
            router_entropy = router_entropy + entropy
        maps = self.bridge(maps)
        for number, (name, stage) in enumerate(self.decoder.items(), start=1):
            maps = F.interpolate(maps, scale_factor=2, mode="nearest")
            maps, entropy, fusion = stage(maps, skips.pop())
            router_entropy = router_entropy + entropy
            seen |= {f"{name}.{key}": value for key, value in fusion.items()}
            if self.training and name in self.aux_heads:
                aux.append(Auxiliary(self.aux_heads[name](maps), "logits", number))
        if self.training and self.form.router_entropy:
            penalty = self.form.router_entropy * router_entropy
            aux.append(Auxiliary(penalty, "router_entropy", 0))
        logits = self.head(maps)[..., :height, :width]
        return Output(logits, aux, seen)


def check_image(image: Tensor, in_channels: int, form: Form) -> None:
    """Raise ValueError if a network of this form cannot take this image."""
    if image.ndim != 4 or image.shape[1] != in_channels:
        raise ValueError(f"expected (N, {in_channels}, H, W), got {tuple(image.shape)}")
    height, width = image.shape[-2:]
    if not form.any_size and (height % STRIDE or width % STRIDE):
        raise ValueError(f"rows and columns must be multiples of {STRIDE}")
    if not form.inverse_dct and (height != width or height > 16 * STRIDE):
        raise ValueError("without inverse_dct the input must be square, at most 256 pixels")


def count_parameters(network: nn.Module) -> int:
    """Count parameters as Keras does: learned values and batch norms' moving statistics."""
    statistics = sum(
        buffer.numel() for name, buffer in network.named_buffers() if "running_" in name
    )
    return statistics + sum(parameter.numel() for parameter in network.parameters())
