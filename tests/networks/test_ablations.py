"""FLoMo-Net with parts replaced: sizes, shapes and gradients."""

from __future__ import annotations

import pytest
import torch

from napari_flomo.networks import build, count_parameters
from napari_flomo.networks.flomo_blocks import routing_weights
from napari_flomo.networks.form import CHOICES, Form

WIDTH = 16  # of B0
# Parameters of the part that goes, and of what comes in its place.
DASA = 3_836 + 13_764 + 13_764 + 3_836 + 1_176 + 422 + 6 * 2  # the last: learned pooling
FAMSR = 393_987
FPFN = 379_034 + 95_322 + 24_122 + 6_186
ROUTERS = sum(7 * c + 7 for c in (1, 16, 32, 64, 256, 128, 64, 32))
BRIDGE = 9 * 128 * 256 + 256 + 4 * 256
FUSIONS = sum(9 * 2 * f * f + f + 4 * f for f in (128, 64, 32, 16))
CHANGES = {
    ("routing", "topk"): 0,
    ("routing", "uniform"): -ROUTERS,
    ("attention", "none"): -DASA,
    ("bridge", "conv"): BRIDGE - FAMSR,
    ("fusion", "conv"): FUSIONS - FPFN,
}


def b0(**switches):
    torch.manual_seed(0)
    return build("flomo-b0", in_channels=1, num_classes=3, **switches)


def test_all_options_are_tested():
    default = Form()
    others = {
        (name, choice)
        for name, choices in CHOICES.items()
        for choice in choices
        if choice != getattr(default, name)
    }
    assert others == set(CHANGES)


@pytest.mark.parametrize(("switch", "choice"), CHANGES)
def test_size_shape_and_gradients(switch, choice):
    network = b0(**{switch: choice}).train()
    difference = count_parameters(network) - count_parameters(b0())
    assert difference == CHANGES[switch, choice]
    for name, parameter in network.named_parameters():
        if name.endswith(("entropy_norm.bias", "cosine_norm.bias")):
            torch.nn.init.constant_(parameter, 0.5)  # at 0 the layers behind get no gradient
    output = network(torch.rand(4, 1, 50, 64))
    assert output.logits.shape == (4, 3, 50, 64)
    assert bool(output.maps) == (switch != "fusion")
    output.logits.square().mean().backward()
    silent = {n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()}
    if choice == "topk":
        # Experts that no image chose have no gradient.
        silent = {n for n in silent if ".experts." not in n}
    # A batch norm takes the mean away again, and with it the effect of the bias before it.
    silent = {n for n in silent if not n.endswith(("gate_conv.bias", ".conv.bias"))}
    # The few hidden units of a channel gate may all be off for a handful of images.
    gates = (".global_fc", ".channel_fc", ".channel_norm")
    assert {n for n in silent if not any(gate in n for gate in gates)} == set()


def test_uniform_routing():
    moe = b0(routing="uniform").encoder["stage1"].moe
    weights = routing_weights(torch.rand(3, 1), moe.router, moe.form)
    torch.testing.assert_close(weights, torch.full((3, 7), 1 / 7))


def test_no_attention():
    torch.manual_seed(0)
    network = b0(attention="none").eval()
    stage, maps = network.encoder["stage3"], torch.rand(1, 32, 16, 16)
    with torch.inference_mode():
        assert torch.equal(stage(maps)[0], stage.moe(maps)[0])


@pytest.mark.parametrize(("switch", "choice"), CHANGES)
def test_ablated_reference_form(switch, choice):
    network = build("flomo-b0", in_channels=3, num_classes=4, reference=True, **{switch: choice})
    with torch.inference_mode():
        assert network.eval()(255 * torch.rand(1, 3, 64, 64)).logits.shape == (1, 4, 64, 64)


@pytest.mark.parametrize("switch", CHOICES)
def test_unknown_choice(switch):
    with pytest.raises(ValueError, match=f"{switch} must be one of"):
        b0(**{switch: "hard"})
