"""The whole network: parity, counts, corrections, sizes, gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_flomo.networks import build, count_parameters, load_reference_weights
from napari_flomo.networks.flomo_blocks import routing_weights
from napari_flomo.networks.form import REFERENCE, Form

SWITCHES = [name for name, value in vars(Form()).items() if isinstance(value, bool)]


@pytest.mark.parametrize(
    ("name", "total", "dead"),
    [
        ("flomo-b0", 2_069_028, 24_408),
        ("flomo-b1", 7_998_458, 92_328),
        ("flomo-b2", 31_441_446, 358_728),
    ],
)
def test_size_of_the_reference_form(name, total, dead):
    network = build(name, in_channels=3, num_classes=4, reference=True)
    assert count_parameters(network) == total
    frozen = sum(p.numel() for p in network.parameters() if not p.requires_grad)
    assert frozen == dead


@pytest.mark.shared
def test_network_and_stages_equal_the_official_ones(shared):
    folder = shared / "goldens" / "flomo" / "w16"
    network = build("flomo-b0", in_channels=3, num_classes=4, reference=True).eval()
    load_reference_weights(network, folder / "weights.npz")
    image = torch.from_numpy(np.load(folder / "input.npy")).permute(0, 3, 1, 2).float()
    seen = {}
    for name, module in network.named_modules():

        def keep(_module, _inputs, output, name=name):
            seen[name] = output[0] if isinstance(output, tuple) else output

        module.register_forward_hook(keep)
    with torch.inference_mode():
        logits = network(image).logits
    expected = torch.from_numpy(np.load(folder / "logits.npy")).permute(0, 3, 1, 2)
    assert (logits - expected).abs().max() < 5e-4
    probabilities = torch.from_numpy(np.load(folder / "output.npy")).permute(0, 3, 1, 2)
    assert (logits.sigmoid() - probabilities).abs().max() < 1e-4
    golden = np.load(folder / "intermediates.npz")
    names = [n for n in golden.files if "#" not in n]
    assert len(names) > 10
    for name in names:
        rows, columns = golden[f"{name}#rows"], golden[f"{name}#cols"]
        part = seen[name].permute(0, 2, 3, 1).numpy()[:, rows][:, :, columns]
        scale = np.abs(golden[name]).max()
        assert np.abs(part - golden[name]).max() < 1e-4 * max(scale, 1), name


def test_missing_and_unknown_weights(tmp_path):
    network = build("flomo-b0", in_channels=3, num_classes=4, reference=True)
    np.savez(tmp_path / "weights.npz", **{"head.bias": np.zeros(4, np.float32)})
    with pytest.raises(ValueError, match=r"569 arrays are missing.*bridge"):
        load_reference_weights(network, tmp_path / "weights.npz")
    np.savez(tmp_path / "weights.npz", **{"tail.bias": np.zeros(4, np.float32)})
    with pytest.raises(ValueError, match=r"no place for the array tail\.bias"):
        load_reference_weights(network, tmp_path / "weights.npz")
    np.savez(tmp_path / "weights.npz", **{"head.bias": np.zeros(3, np.float32)})
    with pytest.raises(ValueError, match=r"head\.bias gives \(3,\), not \(4,\)"):
        load_reference_weights(network, tmp_path / "weights.npz")


@pytest.mark.parametrize("size", [(64, 64), (50, 71), (16, 16), (300, 24)])
def test_default_form_takes_any_size_and_channels(size):
    network = build("flomo-b0", in_channels=2, num_classes=3).eval()
    with torch.inference_mode():
        output = network(torch.rand(1, 2, *size))
    assert output.logits.shape == (1, 3, *size)
    assert output.logits.isfinite().all()


def test_invalid_sizes_of_the_reference_form():
    network = build("flomo-b0", in_channels=3, num_classes=4, reference=True)
    for size, message in [((60, 60), "multiples"), ((64, 32), "square"), ((272, 272), "square")]:
        with pytest.raises(ValueError, match=message):
            network(torch.zeros(1, 3, *size))
    with pytest.raises(ValueError, match=r"expected \(N, 3, H, W\)"):
        network(torch.zeros(1, 1, 64, 64))


def test_maps_of_every_stage():
    torch.manual_seed(0)
    network = build("flomo-b0", in_channels=1, num_classes=4).eval()
    maps = network(torch.rand(2, 1, 64, 64)).maps
    names = ("entropy", "cosine", "trust", "corrective")
    assert set(maps) == {f"stage{i}.{n}" for i in range(1, 5) for n in names}
    for name, value in maps.items():
        side = 64 // 2 ** (4 - int(name[5]))
        assert value.shape == (2, 1, side, side)
        assert not value.requires_grad
        assert value.min() >= 0
        assert value.max() <= 1 + 1e-6
        assert value.std() > 0, f"{name} is constant"


@pytest.mark.parametrize("reference", [False, True])
def test_gradients_of_trainable_parameters(reference):
    torch.manual_seed(0)
    arguments = {"reference": True} if reference else {"deep_supervision": True}
    # Keras' own initialisation lets the signal vanish, so the reach is tested without it.
    network = build(
        "flomo-b0", in_channels=3, num_classes=4, initialisation="variance", **arguments
    ).train()
    for name, parameter in network.named_parameters():
        if name.endswith(("entropy_norm.bias", "cosine_norm.bias")):
            # At 0, where these offsets start, the layers behind them get no gradient.
            torch.nn.init.constant_(parameter, 0.5)
    images = torch.rand(4, 3, 64, 64) * (255 if reference else 1)
    output = network(images)
    loss = output.logits.square().mean() + sum(a.value.square().mean() for a in output.aux)
    loss.backward()
    # A batch norm takes the mean away again, and with it the effect of the bias before it.
    silent = {n for n, p in network.named_parameters()
              if p.requires_grad and (p.grad is None or not p.grad.any())}  # fmt: skip
    assert {n for n in silent if not n.endswith("gate_conv.bias")} == set()


@pytest.mark.parametrize("switch", SWITCHES)
def test_each_correction_has_an_effect(switch):
    torch.manual_seed(0)
    image = torch.rand(1, 1, 64, 64)
    network = build("flomo-b0", in_channels=1, num_classes=4).eval()
    changed = build("flomo-b0", in_channels=1, num_classes=4, **{switch: False}).eval()
    for name, parameter in network.named_parameters():
        if name.endswith(".pooling"):
            parameter.data = torch.tensor([0.0, 1.0])  # it starts at the reference's constants
    shared_weights = {k: v for k, v in network.state_dict().items() if k in changed.state_dict()}
    changed.load_state_dict(shared_weights)
    with torch.inference_mode():
        first, second = network(image).logits, changed(image).logits
    if switch == "any_size":  # 64 is a multiple of 16 already
        assert torch.equal(first, second)
    else:
        assert not torch.allclose(first, second, atol=1e-6)


def test_all_switches_off_is_the_reference_form():
    off = dict.fromkeys(SWITCHES, False)
    assert Form(**off, norm_momentum=0.01) == REFERENCE


@pytest.mark.parametrize(("scheme", "low", "high"), [("variance", 1e-2, 1e2), ("keras", 0, 1e-5)])
def test_signal_vanishes_with_keras_initialisation_only(scheme, low, high):
    torch.manual_seed(0)
    network = build("flomo-b0", in_channels=1, num_classes=4, initialisation=scheme).train()
    seen = []
    network.bridge.register_forward_hook(lambda _m, i, _o: seen.append(i[0].square().mean().sqrt()))
    network(torch.rand(4, 1, 128, 128))
    assert low < seen[0] < high or (low == 0 and seen[0] < 1e-3)


def test_topk_routing_uses_only_the_best_experts():
    network = build("flomo-b0", in_channels=1, num_classes=2, routing="topk", top_k=3)
    moe = network.encoder["stage2"].moe
    weights = routing_weights(torch.randn(5, 16), moe.router, moe.form)
    assert ((weights > 1e-6).sum(1) == 3).all()
    torch.testing.assert_close(weights.sum(1), torch.ones(5))


def test_aux_outputs_only_in_training():
    network = build(
        "flomo-b0", in_channels=1, num_classes=4, deep_supervision=True, router_entropy=0.01
    )
    image = torch.rand(2, 1, 64, 64)
    kinds = [(a.kind, a.stage) for a in network.train()(image).aux]
    assert kinds == [("logits", 1), ("logits", 2), ("logits", 3), ("router_entropy", 0)]
    assert network.eval()(image).aux == []


def test_unknown_names_and_options():
    with pytest.raises(ValueError, match="flomo-b0"):
        build("flomo-b9", in_channels=1, num_classes=2)
    with pytest.raises(ValueError, match="no switches"):
        build("flomo-b0", in_channels=3, num_classes=2, reference=True, inverse_dct=True)
