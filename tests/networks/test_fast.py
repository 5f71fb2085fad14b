"""Networks rewritten for inference: the same answers, of any form, size and batch."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from napari_flomo.networks import build, fast


def random_network(name: str, channels: int, classes: int, **form) -> nn.Module:
    """A network whose every tensor is far from its starting value, norms included."""
    torch.manual_seed(0)
    network = build(name, in_channels=channels, num_classes=classes, **form).eval()
    for key, tensor in network.state_dict().items():
        if "running_var" in key:
            tensor.uniform_(0.5, 2)
        elif tensor.is_floating_point() and tensor.ndim == 1:
            tensor.add_(0.3 * torch.randn_like(tensor))
    return network


@pytest.mark.parametrize(
    ("name", "channels", "classes", "form", "shape"),
    [
        ("flomo-b0", 1, 4, {}, (3, 64, 80)),
        ("flomo-b0", 3, 1, {}, (1, 37, 66)),
        ("flomo-b0", 3, 4, {"reference": True}, (2, 96, 96)),
        ("flomo-b1", 1, 2, {}, (1, 48, 32)),
        ("flomo-b0", 1, 4, {"routing": "topk"}, (3, 32, 48)),
        ("flomo-b0", 1, 4, {"routing": "uniform", "bridge": "conv"}, (1, 48, 48)),
        ("flomo-b0", 1, 4, {"attention": "none", "fusion": "conv"}, (1, 48, 48)),
    ],
)
def test_same_answers(name, channels, classes, form, shape):
    network = random_network(name, channels, classes, **form)
    image = torch.rand(shape[0], channels, *shape[1:]) * (255 if form.get("reference") else 1)
    with torch.inference_mode():
        plain, quick, bare = network(image), fast(network)(image), fast(network, maps=False)(image)
    spread = plain.logits.std()
    assert spread > 1e-3
    for output in (quick, bare):
        assert (output.logits - plain.logits).abs().max() < 1e-4 * spread
    assert quick.maps.keys() == plain.maps.keys()
    assert not bare.maps
    for key, value in plain.maps.items():
        assert (quick.maps[key] - value).abs().max() < 1e-3, key
