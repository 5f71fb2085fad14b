"""Networks with PyTorch's own convolutions, as a baseline for benchmarks."""

from __future__ import annotations

from torch import nn

from napari_flomo.networks.convolutions import DepthwiseConv2d


def use_plain_convolutions(network: nn.Module) -> nn.Module:
    """Replace depthwise convolutions by PyTorch's own in place, and return the network."""
    for module in network.modules():
        if isinstance(module, DepthwiseConv2d):
            module.__class__ = nn.Conv2d  # type: ignore[assignment]
    return network
