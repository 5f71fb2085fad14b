"""Networks rewritten for inference agree with the plain ones, also on real hearts."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from napari_flomo import DEFAULT_MODEL
from napari_flomo.models import load_network
from napari_flomo.networks import build, fast
from napari_flomo.networks.convolutions import adaptive_average_pool
from napari_flomo.segmentation.preprocessing import prepare
from napari_flomo.volumes import read


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
        ("flomo-b0", 3, 4, {"reference": True}, (2, 64, 64)),
        ("flomo-b1", 1, 2, {}, (2, 48, 32)),
        ("flomo-b1", 3, 1, {"reference": True}, (1, 32, 32)),
        pytest.param("flomo-b2", 1, 4, {}, (2, 48, 32), marks=pytest.mark.slow),
        ("flomo-b0", 1, 4, {"routing": "topk"}, (3, 32, 48)),
        ("flomo-b0", 1, 4, {"routing": "uniform", "bridge": "conv"}, (1, 48, 48)),
        ("flomo-b0", 1, 4, {"attention": "none", "fusion": "conv"}, (1, 48, 48)),
        ("madgnet-resnet50", 1, 2, {}, (1, 64, 64)),
        ("fm-bff-net", 3, 1, {}, (1, 64, 64)),
        ("fias", 1, 4, {}, (1, 32, 48)),
    ],
)
def test_equals_the_plain_network(name, channels, classes, form, shape):
    network = random_network(name, channels, classes, **form)
    image = torch.rand(shape[0], channels, *shape[1:]) * (255 if form.get("reference") else 1)
    with torch.inference_mode():
        plain, quick = network(image), fast(network)(image)
    spread = plain.logits.std()
    assert spread > 1e-3
    assert (quick.logits - plain.logits).abs().max() < 1e-4 * spread
    assert not quick.aux
    assert quick.maps.keys() == plain.maps.keys()
    for key, value in plain.maps.items():
        assert (quick.maps[key] - value).abs().max() < 1e-3, key


def test_no_shared_tensors():
    network = random_network("flomo-b0", 1, 4)
    image = torch.rand(1, 1, 32, 32)
    state = {key: value.clone() for key, value in network.state_dict().items()}
    network.train()
    quick = fast(network)
    assert network.training
    assert all(parameter.requires_grad for parameter in network.head.parameters())
    for key, value in network.state_dict().items():
        assert torch.equal(value, state[key]), key
    with torch.inference_mode():
        before = quick(image).logits
    own = {tensor.data_ptr() for tensor in quick.state_dict().values()}
    assert own.isdisjoint(tensor.data_ptr() for tensor in network.state_dict().values())
    network(image.repeat(2, 1, 1, 1)).logits.sum().backward()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(1)
    with torch.inference_mode():
        assert torch.equal(quick(image).logits, before)


def test_frozen():
    quick = fast(random_network("flomo-b0", 1, 4))
    assert not any(parameter.requires_grad for parameter in quick.parameters())
    assert not quick(torch.rand(1, 1, 32, 32)).logits.requires_grad
    assert not any(isinstance(module, nn.Dropout) for module in quick.modules())


def test_sensitive_parts_stay_in_float32():
    quick = fast(random_network("flomo-b0", 1, 4))
    kinds = {}

    def listen(module, inputs, output):
        output = output[0] if isinstance(output, tuple) else output
        kinds[module] = output.dtype

    sensitive = [*quick.encoder, quick.bridge, *quick.decoder[2:]]
    others = [stage.moe.gate_conv for stage in quick.decoder[:2]]
    parts = [*sensitive, *others]
    for part in parts:
        part.register_forward_hook(listen)
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        assert quick(torch.rand(1, 1, 32, 32)).logits.dtype == torch.float32
    assert [kinds[part] for part in parts] == [torch.float32] * 7 + [torch.bfloat16] * 2


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("flomo-b0", {}),
        ("flomo-b0", {"reference": True}),
        pytest.param("flomo-b1", {}, marks=pytest.mark.slow),
        pytest.param("flomo-b2", {}, marks=pytest.mark.slow),
    ],
)
def test_error_in_lower_precision(name, form, precision):
    network = random_network(name, 3, 4, **form)
    image = torch.rand(2, 3, 32, 48) * (255 if form.get("reference") else 1)
    image = image[..., :32] if form.get("reference") else image
    quick = fast(network)
    with torch.inference_mode():
        truth = network(image)
        with torch.autocast("cpu", dtype=precision):
            plain, output = network(image), quick(image)
        full = quick(image).logits
    bits = torch.finfo(precision).eps
    assert output.logits.isfinite().all()
    assert not torch.equal(output.logits, full)  # not computed in float32 after all
    found, lower, exact = (one.logits.float().softmax(1) for one in (output, plain, truth))
    off = (lower - exact).abs().max()
    assert (found - exact).abs().max() < 2 * off + bits
    assert output.maps.keys() == truth.maps.keys()
    for key, exact in truth.maps.items():
        off = (plain.maps[key].float() - exact).abs().max()
        assert (output.maps[key].float() - exact).abs().max() < 2 * off + 2 * bits, key


def test_invalid_inputs():
    quick = fast(random_network("flomo-b0", 3, 4, reference=True))
    with pytest.raises(ValueError, match="multiples of 16"):
        quick(torch.rand(1, 3, 40, 40))
    with pytest.raises(ValueError, match="expected"):
        quick(torch.rand(1, 1, 32, 32))


def test_trace_with_any_number_of_slices():
    quick = fast(random_network("flomo-b0", 1, 4))

    class Logits(nn.Module):
        def __init__(self):
            super().__init__()
            self.network = quick

        def forward(self, image):
            return self.network(image).logits

    with torch.inference_mode():
        traced = torch.jit.trace(Logits(), torch.rand(2, 1, 48, 64), check_trace=False)
        for number in (1, 3):
            image = torch.rand(number, 1, 48, 64)
            assert torch.allclose(traced(image), quick(image).logits, atol=1e-4)


@pytest.mark.parametrize("size", [(3, 3), (14, 5), (20, 31)])
def test_traced_adaptive_average_pool(size):
    maps = torch.rand(2, 3, 20, 17)
    traced = torch.jit.trace(lambda one: adaptive_average_pool(one, size), maps, check_trace=False)
    assert "adaptive" not in str(traced.graph)
    plain = nn.functional.adaptive_avg_pool2d(maps, size)
    torch.testing.assert_close(adaptive_average_pool(maps, size), plain, rtol=0, atol=0)
    torch.testing.assert_close(traced(maps), plain, rtol=0, atol=1e-6)


def compare_on_heart(path: Path, slices: list[int]) -> None:
    network, card = load_network(DEFAULT_MODEL, torch.device("cpu"))
    volume = read(path)
    images, _ = prepare(volume.data, volume.in_plane_spacing, card.preprocessing)
    images = torch.from_numpy(images[slices])
    quick = fast(network.eval())
    with torch.inference_mode():
        plain, rewritten = network(images), quick(images)
        probabilities = plain.logits.softmax(1)
        assert (rewritten.logits.softmax(1) - probabilities).abs().max() < 5e-5
    assert probabilities.argmax(1).unique().numel() > 2  # the slices show a heart
    best = probabilities.topk(2, 1).values
    tied = best[:, 0] - best[:, 1] < 1e-4
    changed = plain.logits.argmax(1) != rewritten.logits.argmax(1)
    assert not (changed & ~tied).any()
    for name, value in plain.maps.items():
        assert (rewritten.maps[name] - value).abs().max() < 1e-3, name


def test_sample(repository):
    compare_on_heart(repository / "docs" / "samples" / "sunnybrook_ed.nii.gz", [2, 5, 8])


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "slices"), [("patient001_frame02", [1, 4]), ("patient077_frame01", [3])]
)
def test_acdc(shared, name, slices):
    compare_on_heart(shared / "data" / "acdc" / "images" / f"{name}.nii.gz", slices)
