"""Convolutions shared by all networks."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from napari_flomo.networks.convolutions import DepthwiseConv2d


@pytest.mark.parametrize(("kernel", "dilation"), [(3, 1), (3, 4), (5, 3), (7, 1), (3, 12)])
@pytest.mark.parametrize("bias", [True, False])
def test_depthwise_equals_pytorch(kernel, dilation, bias):
    torch.manual_seed(0)
    layer = DepthwiseConv2d(6, kernel, dilation, bias=bias)
    maps = torch.randn(2, 6, 19, 8).contiguous(memory_format=torch.channels_last)
    plain = F.conv2d(maps, layer.weight, layer.bias, 1, layer.padding, dilation, groups=6)
    found = layer(maps)
    assert found.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(found, plain, rtol=0, atol=1e-5)


def test_depthwise_is_traced_as_one_operation():
    layer = DepthwiseConv2d(4, 5, 3).eval()
    traced = torch.jit.trace(layer, torch.randn(1, 4, 16, 16))
    assert "pad(" not in str(traced.inlined_graph)
    maps = torch.randn(2, 4, 16, 16)
    torch.testing.assert_close(traced(maps), layer(maps), rtol=0, atol=1e-5)
