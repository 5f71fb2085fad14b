"""Self-attention between the pixels of a feature map."""

from __future__ import annotations

import math

import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from napari_flomo.networks.convolutions import average_down


def to_tokens(maps: Tensor) -> Tensor:
    """Return ``(N, H W, C)`` of ``(N, C, H, W)``."""
    return maps.flatten(2).transpose(1, 2)


def to_maps(tokens: Tensor, size: tuple[int, int]) -> Tensor:
    """Return ``(N, C, H, W)`` of ``(N, H W, C)``."""
    maps = tokens.transpose(1, 2)
    return maps.reshape(*maps.shape[:2], *size)


def thin(maps: Tensor, tokens: int) -> Tensor:
    """Average a map down, in its proportions, to at most so many pixels."""
    height, width = maps.shape[-2:]
    if height * width <= tokens:
        return maps
    scale = math.sqrt(tokens / (height * width))
    rows = min(height, tokens, max(1, int(height * scale)))
    columns = min(width, max(1, tokens // rows))
    return average_down(maps, (rows, min(columns, max(1, int(width * scale)))))


class SelfAttention(nn.Module):
    """Multi-head attention of every pixel to every pixel.

    Parameters
    ----------
    channels, heads
        Of the maps; ``channels`` is a multiple of ``heads``.
    kv_tokens
        Larger maps are averaged down to so many pixels before they are attended to; every pixel
        still asks. None never does.
    """

    def __init__(self, channels: int, heads: int, kv_tokens: int | None = None) -> None:
        super().__init__()
        self.heads = heads
        self.kv_tokens = kv_tokens
        self.query = nn.Linear(channels, channels)
        self.key_value = nn.Linear(channels, 2 * channels)
        self.out = nn.Linear(channels, channels)

    def forward(self, maps: Tensor) -> Tensor:
        """Map ``(N, channels, H, W)`` to the same shape."""
        size = (maps.shape[-2], maps.shape[-1])
        seen = maps if self.kv_tokens is None else thin(maps, self.kv_tokens)
        key, value = self.key_value(to_tokens(seen)).chunk(2, -1)
        query, key, value = (
            tokens.reshape(*tokens.shape[:2], self.heads, -1).transpose(1, 2)
            for tokens in (self.query(to_tokens(maps)), key, value)
        )
        mixed = F.scaled_dot_product_attention(query, key, value)
        return to_maps(self.out(mixed.transpose(1, 2).flatten(2)), size)


class TokenNorm(nn.LayerNorm):
    """A layer norm over the channels of each pixel."""

    def forward(self, maps: Tensor) -> Tensor:
        """Map ``(N, C, H, W)`` to the same shape."""
        return super().forward(maps.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
