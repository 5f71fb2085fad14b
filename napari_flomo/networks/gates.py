"""Gates: multiply channels or pixels of a feature map by weights between 0 and 1."""

from __future__ import annotations

from torch import Tensor, nn


def apply_gate(maps: Tensor, logits: Tensor) -> Tensor:
    """Multiply maps ``(N, C, H, W)`` by the sigmoid of the logits of a gate.

    ``(N, C)`` or ``(N, C, 1, 1)`` for a channel gate, ``(N, 1, H, W)`` for a pixel gate.
    """
    if logits.ndim == 2:
        logits = logits[:, :, None, None]
    return maps * logits.sigmoid()


class ChannelMLP(nn.Sequential):
    """Logits of a channel gate: two 1x1 convolutions with a ReLU between."""

    def __init__(self, channels: int, hidden: int, *, bias: bool) -> None:
        super().__init__(
            nn.Conv2d(channels, hidden, 1, bias=bias),
            nn.ReLU(),
            nn.Conv2d(hidden, channels, 1, bias=bias),
        )
