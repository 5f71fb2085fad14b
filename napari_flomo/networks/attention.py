"""Self-attention between the pixels of a feature map."""

from __future__ import annotations

import math

import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from napari_flomo.networks.convolutions import adaptive_average_pool


def to_tokens(maps: Tensor) -> Tensor:
    """Return ``(N, H W, C)`` of ``(N, C, H, W)``."""
    return maps.flatten(2).transpose(1, 2)


def to_maps(tokens: Tensor, size: tuple[int, int]) -> Tensor:
    """Return ``(N, C, H, W)`` of ``(N, H W, C)``."""
    maps = tokens.transpose(1, 2)
    return maps.reshape(*maps.shape[:2], *size)


def pool_to_tokens(maps: Tensor, tokens: int) -> Tensor:
    """Average-pool feature maps to at most ``tokens`` pixels, keeping their aspect ratio."""
    height, width = maps.shape[-2:]
    if height * width <= tokens:
        return maps
    scale = math.sqrt(tokens / (height * width))
    rows = min(height, tokens, max(1, int(height * scale)))
    columns = min(width, max(1, tokens // rows))
    return adaptive_average_pool(maps, (rows, min(columns, max(1, int(width * scale)))))


class SelfAttention(nn.Module):
    """Multi-head attention between all pixels.

    Keys and values come from maps that are pooled to at most ``kv_tokens`` pixels (None: no
    pooling), queries from all pixels. ``channels`` must be a multiple of ``heads``.
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
        seen = maps if self.kv_tokens is None else pool_to_tokens(maps, self.kv_tokens)
        key, value = self.key_value(to_tokens(seen)).chunk(2, -1)
        query, key, value = (
            tokens.reshape(*tokens.shape[:2], self.heads, -1).transpose(1, 2)
            for tokens in (self.query(to_tokens(maps)), key, value)
        )
        mixed = F.scaled_dot_product_attention(query, key, value)
        return to_maps(self.out(mixed.transpose(1, 2).flatten(2)), size)


class TokenNorm(nn.LayerNorm):
    """Layer norm over the channels of each pixel."""

    def forward(self, maps: Tensor) -> Tensor:
        """Map ``(N, C, H, W)`` to the same shape."""
        return super().forward(maps.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
