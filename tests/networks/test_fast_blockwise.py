"""Convolutions of one channel by blocks of pixels: the same values."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from napari_flomo.networks.fast_blockwise import SIDES, BlockwiseConv2d, block_kernel


@pytest.mark.parametrize("size", [(16, 24), (6, 10), (7, 8), (4, 4)])
@pytest.mark.parametrize("kernel", [3, 7, 11])
def test_same_values(size, kernel):
    torch.manual_seed(0)
    plain = nn.Conv2d(1, 1, kernel, padding=kernel // 2).requires_grad_(False)
    maps = torch.randn(3, 1, *size)
    torch.testing.assert_close(BlockwiseConv2d(plain)(maps), plain(maps), rtol=0, atol=1e-5)


@pytest.mark.parametrize("side", SIDES)
def test_a_kernel_between_blocks_holds_every_weight_once_for_each_pixel(side):
    kernel = torch.arange(1.0, 50).reshape(7, 7)
    blocks = block_kernel(kernel, side)
    for pixel in blocks.flatten(1):
        assert sorted(pixel[pixel != 0].tolist()) == kernel.flatten().tolist()
