"""A convolution of one channel, blocks of pixels at a time.

Libraries are made for many channels: with one, most of what they load and multiply is empty, and
DASA's 7x7 convolution takes longer than a 3x3 one between sixteen channels. With the pixels of a
block as channels it becomes such a convolution, of the same values.
"""

from __future__ import annotations

from torch import Tensor, nn

from napari_flomo.networks.fast_arithmetic import depth_to_space, space_to_depth

SIDES = (4, 2)
"""Sides of a block, the best first; one that does not divide the map is not taken."""


def block_kernel(kernel: Tensor, side: int) -> Tensor:
    """Return the kernel between blocks of pixels that says the same as one between pixels.

    Parameters
    ----------
    kernel
        ``(k, k)``, ``k`` odd.
    side
        Of a block, in pixels.

    Returns
    -------
    Tensor
        ``(side ** 2, side ** 2, b, b)``, ``b`` odd; pixels of a block are counted along rows,
        as `space_to_depth` does.
    """
    reach = len(kernel) // 2
    blocks = -(-reach // side)
    across = 2 * blocks + 1
    # For each pixel of the block in the middle, the kernel on all pixels around it.
    around = kernel.new_zeros(side, side, across * side, across * side)
    for row in range(side):
        for column in range(side):
            top, left = (place + blocks * side - reach for place in (row, column))
            around[row, column, top : top + len(kernel), left : left + len(kernel)] = kernel
    split = around.reshape(side, side, across, side, across, side).permute(0, 1, 3, 5, 2, 4)
    return split.reshape(side**2, side**2, across, across)


class BlockwiseConv2d(nn.Module):
    """A convolution from one channel to one, at the same size.

    Parameters
    ----------
    plain
        Stride and dilation 1, an odd square kernel, zeros outside; frozen.
    """

    def __init__(self, plain: nn.Conv2d) -> None:
        super().__init__()
        assert plain.bias is not None
        self.plain = plain
        self.blocks = nn.ModuleList()
        for side in SIDES:
            kernel = block_kernel(plain.weight.detach()[0, 0], side)
            blocks = nn.Conv2d(side**2, side**2, kernel.shape[-1], padding="same")
            blocks.weight = nn.Parameter(kernel, requires_grad=False)
            bias = plain.bias.detach().repeat(side**2)
            blocks.bias = nn.Parameter(bias, requires_grad=False)
            self.blocks.append(blocks)

    def forward(self, maps: Tensor) -> Tensor:
        """Map ``(N, 1, H, W)`` to the same shape."""
        height, width = maps.shape[-2:]
        for side, blocks in zip(SIDES, self.blocks, strict=True):
            if height % side == width % side == 0:
                return depth_to_space(blocks(space_to_depth(maps, side)), side)
        result: Tensor = self.plain(maps)
        return result
