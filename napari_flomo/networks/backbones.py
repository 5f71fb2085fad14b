"""Encoders that can start from ImageNet weights; their tensors have timm's names.

Nothing is downloaded here: `load_encoder` takes the tensors of a file that timm published.
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
"""Builders by name; each takes ``in_channels`` and ``normalise``, see `Encoder`."""


def build_encoder(name: str, in_channels: int, *, normalise: bool = False) -> Encoder:
    """Create an encoder with new weights.

    Raises
    ------
    ValueError
        If no encoder has that name.
    """
    if name not in ENCODERS:
        raise ValueError(f"there is no encoder {name!r}; there are {', '.join(ENCODERS)}")
    return ENCODERS[name](in_channels, normalise)


__all__ = ["ENCODERS", "Encoder", "build_encoder", "load_encoder"]
