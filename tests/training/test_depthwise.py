"""The fast gradient equals PyTorch's own."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from flomo_training.depthwise import FastDepthwiseConv2d, accelerate, bits, kernel_gradient
from napari_flomo.networks import build
from napari_flomo.networks.convolutions import DepthwiseConv2d


@pytest.mark.parametrize(
    ("kernel", "dilation"), [(3, 1), (3, 2), (3, 3), (5, 1), (5, 3), (7, 1), (3, 12)]
)
@pytest.mark.parametrize(("channels", "size"), [(2, (9, 14)), (16, (20, 7)), (5, (33, 34))])
def test_gradients(kernel, dilation, channels, size):
    torch.manual_seed(0)
    layer = DepthwiseConv2d(channels, kernel, dilation)
    check_gradients(layer, channels, size)


def test_gradients_of_a_layer_without_bias():
    check_gradients(nn.Conv2d(6, 6, 5, padding=2, groups=6, bias=False), 6, (11, 8))


def check_gradients(layer, channels, size):
    maps = torch.randn(3, channels, *size, requires_grad=True)
    weights = torch.randn(3, channels, *size)
    tensors = (maps, *layer.parameters())
    plain = torch.autograd.grad((layer(maps) * weights).sum(), tensors)
    assert accelerate(nn.Sequential(layer)) == 1
    fast = torch.autograd.grad((layer(maps) * weights).sum(), tensors)
    for a, b in zip(fast, plain, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [(5, 40), (37, 6)])  # one band of rows, and several
def test_bfloat16_is_summed_as_its_value_in_float32(size):
    torch.manual_seed(0)
    maps, gradient = torch.randn(2, 2, 6, *size).bfloat16()
    narrow = kernel_gradient(bits(maps), bits(gradient), 5, 3)
    wide = kernel_gradient(bits(maps.float()), bits(gradient.float()), 5, 3)
    for a, b in zip(narrow, wide, strict=True):
        assert (a == b).all()
    torch.testing.assert_close(torch.from_numpy(narrow[1]), gradient.float().sum((2, 3)))


def test_only_supported_layers_are_replaced():
    network = nn.Sequential(
        nn.Conv2d(4, 4, 3, padding=1),
        nn.Conv2d(4, 4, 3, padding=1, groups=2),
        nn.Conv2d(4, 4, 3, padding=1, stride=2, groups=4),
        nn.Conv2d(4, 8, 3, padding=1, groups=4),
        nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False),
        nn.Conv2d(4, 4, 3, padding=1, groups=4),
    )
    assert accelerate(network) == 2
    assert all(isinstance(layer, FastDepthwiseConv2d) for layer in network[-2:])


def test_the_network_keeps_names_and_values():
    torch.manual_seed(0)
    network = build("flomo-b0", in_channels=2, num_classes=3).eval()
    names = list(network.state_dict())
    image = torch.rand(1, 2, 32, 32)
    before = network(image).logits
    assert accelerate(network) > 50
    assert list(network.state_dict()) == names
    torch.testing.assert_close(network(image).logits, before, rtol=0, atol=1e-6)


def test_under_mixed_precision_the_gradient_stays_close():
    torch.manual_seed(0)
    layer = DepthwiseConv2d(8, 5, 2)
    maps, weights = torch.randn(2, 8, 16, 16), torch.randn(2, 8, 16, 16)
    plain = torch.autograd.grad((layer(maps) * weights).sum(), layer.weight)[0]
    accelerate(nn.Sequential(layer))
    with torch.autocast("cpu", torch.bfloat16):
        output = layer(maps)
    assert output.dtype == torch.bfloat16
    fast = torch.autograd.grad((output.float() * weights).sum(), layer.weight)[0]
    assert (fast - plain).abs().max() < 0.02 * plain.abs().max()
