"""Encoders: published names and sizes, and loading of timm's weights."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F  # noqa: N812

from napari_flomo.networks.backbones import ENCODERS, build_encoder, load_encoder

# Tensors and values of timm's resnest50d, resnet50 and tf_efficientnetv2_s (the first five blocks).
PUBLISHED = {
    "resnest50": (25_434_240, "layer1.0.conv2.fc1.bias"),
    "resnet50": (23_508_032, "layer4.2.bn3.running_var"),
    "efficientnetv2-s": (5_285_416, "blocks.3.0.se.conv_reduce.weight"),
}
CLASSIFIER = {
    "resnest50": ("fc.weight",),
    "resnet50": ("fc.weight", "fc.bias"),
    "efficientnetv2-s": ("conv_head.weight", "bn2.weight", "blocks.5.0.bn1.bias"),
}


@pytest.mark.parametrize("name", ENCODERS)
def test_published_sizes_names_and_strides(name):
    encoder = build_encoder(name, 3).eval()
    total, tensor = PUBLISHED[name]
    assert sum(p.numel() for p in encoder.parameters()) == total
    assert tensor in encoder.state_dict()
    with torch.inference_mode():
        maps = encoder(torch.rand(1, 3, 64, 96))
    assert tuple(m.shape[1] for m in maps) == encoder.channels
    assert [m.shape[-2:] for m in maps] == [
        (64 // s, 96 // s) for s in (2, 4, 8, 16, 32)[: len(maps)]
    ]


@pytest.fixture
def published(tmp_path):
    """Return a function that writes a file as timm publishes it, classifier and all."""

    def write(name: str, **changed):
        torch.manual_seed(1)
        tensors = {k: torch.rand_like(v) if v.is_floating_point() else v
                   for k, v in build_encoder(name, 3).state_dict().items()}  # fmt: skip
        tensors |= {k: torch.rand(3) for k in CLASSIFIER[name]} | changed
        save_file({k: v.contiguous() for k, v in tensors.items()}, tmp_path / "timm.safetensors")
        return load_file(tmp_path / "timm.safetensors")

    return write


@pytest.mark.parametrize("name", ENCODERS)
def test_load_timm_weights(name, published):
    tensors = published(name)
    encoder = build_encoder(name, 1)
    load_encoder(encoder, tensors)
    for key, value in encoder.state_dict().items():
        assert torch.equal(value, tensors[key]), key


def test_other_numbers_of_channels(published):
    tensors = published("resnet50")
    colour, four = build_encoder("resnet50", 3), build_encoder("resnet50", 4)
    load_encoder(colour, tensors)
    load_encoder(four, tensors)
    grey = torch.rand(1, 1, 32, 32)
    expected = colour.conv1(grey.expand(-1, 3, -1, -1))
    torch.testing.assert_close(four.conv1(grey.expand(-1, 4, -1, -1)), expected, rtol=0, atol=1e-3)


def test_wrong_weights(published):
    encoder = build_encoder("resnet50", 3)
    before = {k: v.clone() for k, v in encoder.state_dict().items()}
    wrong = published("resnet50", **{"bn1.weight": torch.ones(63)})
    with pytest.raises(ValueError, match=r"bn1\.weight gives \(63,\), not \(64,\)"):
        load_encoder(encoder, wrong)
    wrong = published("resnet50")
    del wrong["layer3.5.conv2.weight"]
    with pytest.raises(ValueError, match=r"layer3\.5\.conv2\.weight is missing"):
        load_encoder(encoder, wrong)
    with pytest.raises(ValueError, match=r"no place for the tensor blocks\.0\.0\.bn1\.bias"):
        load_encoder(encoder, published("efficientnetv2-s"))
    assert all(torch.equal(v, before[k]) for k, v in encoder.state_dict().items())


def test_normalisation():
    plain, normed = build_encoder("resnet50", 1), build_encoder("resnet50", 1, normalise=True)
    image = torch.full((1, 1, 4, 4), 0.5)
    assert torch.equal(plain.prepare(image), torch.full((1, 3, 4, 4), 0.5))
    expected = (0.5 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    torch.testing.assert_close(normed.prepare(image)[0, :, 0, 0], expected)
    with pytest.raises(ValueError, match="2 channels"):
        build_encoder("resnet50", 2, normalise=True)
    with pytest.raises(ValueError, match=r"expected \(N, 1, H, W\)"):
        plain(torch.rand(1, 2, 32, 32))
    with pytest.raises(ValueError, match="resnest50"):
        build_encoder("vgg", 3)


@pytest.mark.parametrize("name", ["resnest50"])
def test_training_with_one_image(name):
    encoder = build_encoder(name, 3).train()
    maps = encoder(torch.rand(1, 3, 64, 64))
    F.relu(maps[-1]).mean().backward()
    assert encoder.conv1[0].weight.grad.isfinite().all()
