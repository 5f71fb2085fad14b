"""Fast gradients of depthwise convolutions on the CPU.

FLoMo-Net's experts are depthwise convolutions with kernels up to 7x7 and dilations up to 3.
PyTorch's CPU library has a fast forward pass, but a slow generic gradient of the kernel (and, with
dilation, of the input). The gradient of the input is a depthwise convolution with the kernel
rotated by 180 degrees; that of the kernel is a sum of shifted products, which numba compiles to
vector code. The values are equal up to rounding.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import njit, prange
from torch import Tensor, nn

from napari_flomo.networks import DepthwiseConv2d, convolve_depthwise

BAND = 16
"""Number of rows processed at a time, so that they fit into the processor's cache."""


@njit(fastmath=True, inline="always")
def _add_product(total: np.ndarray, a: np.ndarray, b: np.ndarray) -> None:
    # All indices start at 0: numba would check a sum of indices for negative values, which prevents
    # vectorisation.
    for i in range(total.size):
        total[i] += a[i] * b[i]


@njit(fastmath=True, inline="always")
def _add_columns(sums: np.ndarray, row: np.ndarray) -> None:
    for i in range(0, row.size, sums.size):
        for c in range(sums.size):
            sums[c] += row[i + c]


@njit(inline="always")
def _widen(numbers: np.ndarray, rows: np.ndarray, shift: int) -> None:
    for row in range(rows.shape[0]):
        for i in range(rows.shape[1]):
            numbers[row, i] = np.uint32(rows[row, i]) << shift


@njit(parallel=True, fastmath=True, cache=True)
def kernel_gradient(
    x: np.ndarray, g: np.ndarray, size: int, dilation: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the gradients of a depthwise kernel and of its bias, for each image.

    Parameters
    ----------
    x, g
        Input and gradient of the output, ``(N, H, W, C)``, C-contiguous, as returned by `bits`:
        float32 as 32 bits or bfloat16 as 16 bits. Sums are computed in float32.
    size, dilation
        Of the kernel; stride 1, 'same' zero padding.

    Returns
    -------
    kernel : ndarray
        ``(N, size * size, C)``.
    bias : ndarray
        ``(N, C)``.
    """
    images, height, width, channels = x.shape
    reach = dilation * (size - 1) // 2
    across = width * channels
    shift = 32 - 8 * x.itemsize  # a bfloat16 is the upper half of a float32
    x_rows = x.reshape(images, height, across)
    g_rows = g.reshape(images, height, across)
    kernel = np.zeros((images, size * size, channels), np.float32)
    bias = np.zeros((images, channels), np.float32)
    for n in prange(images):
        total = np.zeros(across, np.float32)
        x_bits = np.empty((BAND + 2 * reach, across), np.uint32)
        g_bits = np.empty((BAND, across), np.uint32)
        x_band, g_band = x_bits.view(np.float32), g_bits.view(np.float32)
        for first in range(0, height, BAND):
            last = min(height, first + BAND)
            top, bottom = max(0, first - reach), min(height, last + reach)
            _widen(x_bits, x_rows[n, top:bottom], shift)
            _widen(g_bits, g_rows[n, first:last], shift)
            total[:] = 0
            for row in range(last - first):
                for i in range(across):
                    total[i] += g_band[row, i]
            _add_columns(bias[n], total)
            for tap in range(size * size):
                down = tap // size * dilation - reach
                right = tap % size * dilation - reach
                begin, end = max(0, -right) * channels, min(width, width - right) * channels
                if begin >= end:
                    continue  # the tap is outside the image everywhere
                total[:] = 0
                along = right * channels
                for row in range(max(first, -down), min(last, height - down)):
                    _add_product(
                        total[begin:end],
                        g_band[row - first, begin:end],
                        x_band[row + down - top, begin + along : end + along],
                    )
                _add_columns(kernel[n, tap], total)
    return kernel, bias


class _Depthwise(torch.autograd.Function):
    """Depthwise convolution with stride 1 and 'same' padding."""

    @staticmethod
    def forward(
        ctx: Any, maps: Tensor, weight: Tensor, bias: Tensor | None, dilation: int
    ) -> Tensor:
        ctx.save_for_backward(maps, weight)
        ctx.dilation = dilation
        offset = None if bias is None else bias.to(maps.dtype)
        return convolve_depthwise(maps, weight.to(maps.dtype), offset, dilation)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        maps, weight = ctx.saved_tensors
        gradient = gradient.to(maps.dtype).contiguous(memory_format=torch.channels_last)
        to_maps = None
        if ctx.needs_input_grad[0]:
            turned = weight.to(maps.dtype).flip(-1, -2)
            to_maps = convolve_depthwise(gradient, turned, None, ctx.dilation)
        size = weight.shape[-1]
        if size == 3 and ctx.dilation == 1:
            # The only case for which the library has fast code.
            to_weight = torch.ops.aten.convolution_backward(
                gradient, maps, weight.to(maps.dtype), None, [1, 1], [1, 1], [1, 1], False, [0, 0],
                weight.shape[0], [False, True, False],
            )[1]  # fmt: skip
            summed = gradient.sum((0, 2, 3)) if ctx.needs_input_grad[2] else None
        else:
            sums, offsets = kernel_gradient(bits(maps), bits(gradient), size, ctx.dilation)
            to_weight = torch.from_numpy(sums.sum(0)).T.reshape(weight.shape)
            summed = torch.from_numpy(offsets.sum(0)) if ctx.needs_input_grad[2] else None
        to_bias = None if summed is None else summed.to(weight.dtype)
        return to_maps, to_weight.to(weight.dtype), to_bias, None


def bits(maps: Tensor) -> np.ndarray:
    """Return ``(N, H, W, C)``: the bits of each number, 32 for float32 or 16 for bfloat16.

    numba does not support bfloat16.
    """
    last = maps.detach().permute(0, 2, 3, 1).contiguous()
    if maps.dtype == torch.bfloat16:
        return last.view(torch.int16).numpy().view(np.uint16)
    return last.float().numpy().view(np.uint32)


class FastDepthwiseConv2d(DepthwiseConv2d):
    """Depthwise convolution with the same weights and values, but a faster gradient."""

    def forward(self, maps: Tensor) -> Tensor:
        """Map ``(N, C, H, W)`` to the same shape."""
        if torch.is_autocast_enabled("cpu"):
            maps = maps.to(torch.get_autocast_dtype("cpu"))
        result: Tensor = _Depthwise.apply(maps, self.weight, self.bias, self.dilation[0])
        return result


def accelerate(network: nn.Module) -> int:
    """Use the fast gradient for all depthwise convolutions of a network, in place.

    Returns
    -------
    int
        Number of changed layers. Names and weights stay the same.
    """
    # The first call loads compiled code, after which PyTorch's sums are rounded differently in the
    # last bit. Load it before the first step, so that resumed runs compute the same.
    for kind in (np.uint32, np.uint16):
        nothing = np.zeros((1, 4, 4, 2), kind)
        kernel_gradient(nothing, nothing, 3, 1)
    changed = 0
    for module in network.modules():
        if not isinstance(module, nn.Conv2d) or type(module) not in (nn.Conv2d, DepthwiseConv2d):
            continue  # subclasses may compute something else
        reach = zip(module.dilation, module.kernel_size, strict=True)
        same = tuple(d * (k - 1) // 2 for d, k in reach)
        if (
            1 < module.groups == module.in_channels == module.out_channels
            and module.stride == (1, 1)
            and module.padding == same
            and module.kernel_size[0] == module.kernel_size[1]
            and module.dilation[0] == module.dilation[1]
        ):
            module.__class__ = FastDepthwiseConv2d
            changed += 1
    return changed
