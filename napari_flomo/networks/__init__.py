"""Networks in pure PyTorch; they know nothing of images in millimetres.

``build(name, in_channels=..., num_classes=...)`` creates any of them; calling one returns an
`Output`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import nn

from napari_flomo.networks.backbones import Encoder, load_encoder
from napari_flomo.networks.convolutions import DepthwiseConv2d, convolve_depthwise
from napari_flomo.networks.dynunet import DynUNet
from napari_flomo.networks.fast import fast
from napari_flomo.networks.fias import FIAS
from napari_flomo.networks.flomo import FlomoNet, count_parameters
from napari_flomo.networks.fmbff import FMBFFNet
from napari_flomo.networks.linear_correction import LinearCorrection, can_correct
from napari_flomo.networks.madgnet import MADGNet
from napari_flomo.networks.output import Auxiliary, Output
from napari_flomo.networks.reference import load_reference_weights
from napari_flomo.networks.stochastic import Draws, can_sample, stochastic_forward

NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "flomo-b0": partial(FlomoNet, 16),
    "flomo-b1": partial(FlomoNet, 32),
    "flomo-b2": partial(FlomoNet, 64),
    "madgnet": partial(MADGNet, "resnest50"),
    "madgnet-resnet50": partial(MADGNet, "resnet50"),
    "fm-bff-net": FMBFFNet,
    "fias": FIAS,
    "dynunet": DynUNet,
}
"""Builders by name; each takes ``in_channels``, ``num_classes`` and its own arguments."""


def build(name: str, *, in_channels: int, num_classes: int, **kwargs: Any) -> nn.Module:
    """Create a network with new weights.

    Parameters
    ----------
    name
        One of `NETWORKS`.
    in_channels
        Channels of the images.
    num_classes
        Channels of the logits: classes including background with softmax, structures with sigmoid.
    **kwargs
        Further arguments of the network, for example the options of `Form`.

    Raises
    ------
    ValueError
        If no network has that name.
    """
    if name not in NETWORKS:
        raise ValueError(f"there is no network {name!r}; there are {', '.join(NETWORKS)}")
    return NETWORKS[name](in_channels=in_channels, num_classes=num_classes, **kwargs)


__all__ = [
    "NETWORKS",
    "Auxiliary",
    "DepthwiseConv2d",
    "Draws",
    "Encoder",
    "LinearCorrection",
    "Output",
    "build",
    "can_correct",
    "can_sample",
    "convolve_depthwise",
    "count_parameters",
    "fast",
    "load_encoder",
    "load_reference_weights",
    "stochastic_forward",
]
