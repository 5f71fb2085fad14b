"""Gates: weights between 0 and 1 that let channels or pixels of a feature map pass."""

from __future__ import annotations

from torch import Tensor, nn


def weigh_channels(maps: Tensor, logits: Tensor) -> Tensor:
    """Multiply each channel by the sigmoid of its logit.

    Parameters
    ----------
    maps
        ``(N, C, H, W)``.
    logits
        ``(N, C)``, or ``(N, C, 1, 1)`` as a 1x1 convolution returns them.
    """
    if logits.ndim == 2:
        logits = logits[:, :, None, None]
    return maps * logits.sigmoid()


def weigh_pixels(maps: Tensor, logits: Tensor) -> Tensor:
    """Multiply each pixel by the sigmoid of its logit ``(N, 1, H, W)``."""
    return maps * logits.sigmoid()


class ChannelMLP(nn.Sequential):
    """Two 1x1 convolutions with a ReLU between: the logits of a channel gate.

    Parameters
    ----------
    channels, hidden
        Channels in and out, and between.
    bias
        Whether the convolutions have one.
    """

    def __init__(self, channels: int, hidden: int, *, bias: bool) -> None:
        super().__init__(
            nn.Conv2d(channels, hidden, 1, bias=bias),
            nn.ReLU(),
            nn.Conv2d(hidden, channels, 1, bias=bias),
        )
