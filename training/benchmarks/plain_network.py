"""A network as plain PyTorch computes it, for benchmarks to start from."""

from __future__ import annotations

from torch import nn

from napari_flomo.networks.convolutions import DepthwiseConv2d


def unpadded(network: nn.Module) -> nn.Module:
    """Let depthwise convolutions be PyTorch's own, in place; return the network."""
    for module in network.modules():
        if isinstance(module, DepthwiseConv2d):
            module.__class__ = nn.Conv2d  # type: ignore[assignment]
    return network
