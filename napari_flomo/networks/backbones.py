"""Encoders that may start from ImageNet weights; their tensors have timm's names.

A safetensors file that timm published for the same architecture is read by `load_encoder` as it
is. Nothing is fetched here: the tensors come from the caller.
"""

from __future__ import annotations

from collections.abc import Callable

from napari_flomo.networks.efficientnet import EfficientNetV2S
from napari_flomo.networks.encoder import Encoder, load_encoder
from napari_flomo.networks.resnet import ResNeSt50, ResNet50

ENCODERS: dict[str, Callable[[int, bool], Encoder]] = {
    "resnest50": ResNeSt50,
    "resnet50": ResNet50,
    "efficientnetv2-s": EfficientNetV2S,
}
"""Builders by name; each takes the channels of the images and whether to normalise them."""


def build_encoder(name: str, in_channels: int, *, normalise: bool = False) -> Encoder:
    """Make an encoder with new weights.

    Parameters
    ----------
    name
        One of `ENCODERS`.
    in_channels, normalise
        As `Encoder` takes them.

    Raises
    ------
    ValueError
        If no encoder has that name.
    """
    if name not in ENCODERS:
        raise ValueError(f"there is no encoder {name!r}; there are {', '.join(ENCODERS)}")
    return ENCODERS[name](in_channels, normalise)


__all__ = ["ENCODERS", "Encoder", "build_encoder", "load_encoder"]
