"""MADGNet, FM-BFF-Net and FIAS: sizes, channels, classes, gradients, files."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from napari_flomo import DEFAULT_MODEL
from napari_flomo.models import info, load_network, save_model
from napari_flomo.networks import build
from napari_flomo.networks.fmbff_blocks import FocalModulation

KINDS = {
    "madgnet": {"logits", "distance", "boundary"},
    "fm-bff-net": {"logits"},
    "fias": {"logits"},
}
MULTIPLES = {"madgnet": 32, "fm-bff-net": 16, "fias": 16}


@pytest.mark.parametrize("name", [*KINDS, "dynunet"])
def test_any_size_channels_and_classes(name):
    if name == "dynunet":
        pytest.importorskip("monai")
    torch.manual_seed(0)
    for channels, classes, size in [(1, 4, (50, 71)), (5, 2, (33, 64))]:
        network = build(name, in_channels=channels, num_classes=classes).eval()
        with torch.inference_mode():
            output = network(torch.rand(1, channels, *size))
        assert output.logits.shape == (1, classes, *size)
        assert output.logits.isfinite().all()
        assert output.aux == []
        for value in output.maps.values():
            assert value.shape[:2] == (1, 1)
            assert 0 <= value.min() <= value.max() <= 1


@pytest.mark.parametrize("name", KINDS)
def test_padding_is_cropped(name):
    # Zeros that the caller adds at the end are those that the network adds itself.
    torch.manual_seed(0)
    network = build(name, in_channels=3, num_classes=2).eval()
    image = torch.rand(1, 3, 40, 56)
    padded = nn.functional.pad(image, (0, 8, 0, -40 % MULTIPLES[name]))
    with torch.inference_mode():
        inner, outer = network(image).logits, network(padded).logits
    torch.testing.assert_close(inner, outer[..., :40, :56], rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", KINDS)
def test_gradients_reach_every_parameter(name):
    torch.manual_seed(0)
    network = build(name, in_channels=3, num_classes=2, deep_supervision=True).train()
    if name == "fm-bff-net":
        # At 0, where they start, nothing behind them learns; the first step moves them.
        nn.init.constant_(network.bridge.token_weight, 0.5)
        nn.init.constant_(network.bridge.position_weight, 0.5)
    for key, parameter in network.named_parameters():
        if key.endswith(".alpha") and name == "madgnet":
            nn.init.constant_(parameter, 0.5)  # equal weights of both grounds cancel their gate
    output = network(torch.rand(2, 3, 64, 64))
    assert {a.kind for a in output.aux} == KINDS[name]
    assert all(a.value.shape == output.logits.shape for a in output.aux)
    loss = output.logits.square().mean() + sum(a.value.square().mean() for a in output.aux)
    loss.backward()
    silent = {n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()}
    # A softmax over keys does not change if the same is added to all.
    assert {n for n in silent if not n.endswith("key.bias")} == set()


def test_focal_modulation_has_gradients():
    torch.manual_seed(0)
    maps = torch.rand(2, 8, 6, 6)
    block = FocalModulation(8)
    block(maps).square().mean().backward()
    assert block.alpha.grad.abs().min() > 0
    assert block.mix.weight.grad.abs().max() > 0
    literal = FocalModulation(8)
    nn.init.constant_(literal.alpha, 1.0)
    literal(maps).square().mean().backward()
    assert not literal.alpha.grad.any()
    assert not literal.mix.weight.grad.any()


@pytest.mark.parametrize("pool", ["global", "channel"])
def test_focal_modulation_by_hand(pool):
    block = FocalModulation(1, pool)
    nn.init.constant_(block.mix.weight, 2.0)
    nn.init.constant_(block.mix.bias, 0.1)
    nn.init.constant_(block.gamma, 3.0)
    maps = torch.tensor([[[[1.0, 2.0], [3.0, 6.0]]]])
    # Mean 3 and peak 6 over the pixels; over the one channel they are the same.
    inside = 2 * (6 - 3) + 0.1 if pool == "global" else 0.1
    expected = 3 * torch.tensor(inside).sigmoid() * maps
    torch.testing.assert_close(block(maps), expected)


def test_size_of_fm_bff_net():
    network = build("fm-bff-net", in_channels=3, num_classes=1)
    sizes = {n: sum(p.numel() for p in m.parameters()) for n, m in network.named_children()}
    sizes["decoder"] = sizes.pop("stages")
    assert sizes == {"encoder": 5_285_416, "skips": 784_068, "bridge": 176_522,
                     "decoder": 1_890_304, "head": 33, "aux_heads": 0}  # fmt: skip
    assert sum(sizes.values()) == 8_136_343


@pytest.mark.parametrize("name", ["fm-bff-net", "fias"])
def test_save_and_load(tmp_path, name):
    torch.manual_seed(0)
    card = replace(info(DEFAULT_MODEL)[1], name="tiny", network=name, network_arguments={})
    network = build(name, in_channels=1, num_classes=card.num_classes)
    save_model(tmp_path / "model", network.eval(), card, dtype="float32")
    again, _ = load_network(tmp_path / "model")
    image = torch.rand(1, 1, 48, 32)
    with torch.inference_mode():
        torch.testing.assert_close(again(image).logits, network(image).logits)
