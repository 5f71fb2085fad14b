"""A linear correction of the logits of a network, computed from its own features."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from napari_flomo.networks.output import Output

SMOOTHED = (5, 11)
"""Sides of the mean filters, in pixels, of the image that is among the features."""


class LinearCorrection(nn.Module):
    """A network whose logits get a linear function of its features added; 0 at first.

    Features are the outputs of the layers in ``network.feature_layers``, and the image itself with
    mean filters of several sizes. The network is not changed.

    Parameters
    ----------
    network
        In evaluation mode.

    Raises
    ------
    ValueError
        If the network does not name its ``feature_layers``; see `can_correct`.
    """

    weights: Tensor
    bias: Tensor

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        if not can_correct(network):
            raise ValueError(f"{type(network).__name__} does not name its feature layers")
        self.network = network
        self.register_buffer("weights", torch.zeros(0))
        self.register_buffer("bias", torch.zeros(0))

    def set_correction(self, weights: Tensor, bias: Tensor) -> None:
        """Set the weights ``(features, K)`` and the bias ``(K,)``."""
        self.weights, self.bias = weights, bias

    def forward(self, images: Tensor) -> Output:
        """Return the output of the network with corrected logits."""
        output, features = self.features(images)
        if not self.weights.numel():
            return output
        logits, begin = output.logits + self.bias[:, None, None], 0
        for maps in features:
            part = self.weights[begin : begin + maps.shape[1]]
            # A 1x1 convolution commutes with the interpolation, and is quicker before it.
            logits = logits + _resized(F.conv2d(maps, part.T[:, :, None, None]), output.logits)
            begin += maps.shape[1]
        return replace(output, logits=logits)

    def features(self, images: Tensor) -> tuple[Output, list[Tensor]]:
        """Return the output of the network, and its features at their own resolutions."""
        with _outputs_of(self.network) as seen:
            output: Output = self.network(images)
        smooth = [F.avg_pool2d(images, side, 1, side // 2) for side in SMOOTHED]
        return output, [*seen, images, *smooth]

    def feature_maps(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits ``(N, K, H, W)`` and features ``(N, features, H, W)`` at full size."""
        output, features = self.features(images)
        return output.logits, torch.cat([_resized(one, output.logits) for one in features], 1)


def can_correct(network: nn.Module) -> bool:
    """Return True if a network names the layers whose outputs are its features."""
    return bool(getattr(network, "feature_layers", ()))


@contextmanager
def _outputs_of(network: nn.Module) -> Iterator[list[Tensor]]:
    """Collect the outputs of the feature layers in a list, in the order of the layers."""
    seen: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: object, output: Tensor | tuple[Tensor, ...]) -> None:
        seen.append(output if isinstance(output, Tensor) else output[0])

    names = network.feature_layers
    assert isinstance(names, tuple)
    hooks = [network.get_submodule(name).register_forward_hook(keep) for name in names]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def _resized(maps: Tensor, target: Tensor) -> Tensor:
    size = tuple(target.shape[-2:])
    if tuple(maps.shape[-2:]) == size:
        return maps
    return F.interpolate(maps, size=size, mode="bilinear", align_corners=False)
