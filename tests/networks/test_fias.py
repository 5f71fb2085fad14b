"""FIAS against the public code: modules, whole networks, DilateFormer."""

from __future__ import annotations

from pathlib import Path

import goldens
import numpy as np
import pytest
import torch
from goldens import close, load, tensor, weights
from torch import Tensor

from napari_flomo.networks import Draws, build, can_sample, stochastic_forward
from napari_flomo.networks.attention import SelfAttention, pool_to_tokens
from napari_flomo.networks.dilateformer import DilatedAttention, DilateFormer
from napari_flomo.networks.fias import FIAS
from napari_flomo.networks.fias_blocks import (
    ContextFusion,
    MixingBlock,
    MonteCarloAttention,
    MultiKernel,
)

GOLDENS = Path(__file__).parents[1] / "goldens" / "fias"


def test_multi_kernel():
    golden = np.load(GOLDENS / "dmk_block.npz")
    block = MultiKernel(8, 12).eval()
    load(block, weights(golden), goldens.FIAS)
    close(block(tensor(golden, "x")), golden["y"], 2e-5)


def test_context_fusion():
    golden = np.load(GOLDENS / "caf.npz")
    block = ContextFusion(12).eval()
    load(block, weights(golden), goldens.FIAS)
    close(block(tensor(golden, "local"), tensor(golden, "glob")), golden["y"], 2e-5)


def test_monte_carlo_attention():
    golden = np.load(GOLDENS / "mca_eval.npz")
    block = MonteCarloAttention().eval()
    load(block, weights(golden), goldens.FIAS)
    close(block(tensor(golden, "x")).sigmoid(), golden["y"], 2e-5)


def test_mixing_block():
    golden = np.load(GOLDENS / "mixatt_block_eval.npz")
    block = MixingBlock(12, 8, 8, heads=2, kv_tokens=None).eval()
    load(block, weights(golden), (*goldens.FIAS, (r"^out_proj\.", "leave."), (r"^out\.", "leave.")))
    close(block(tensor(golden, "x"), tensor(golden, "skip"))[0], golden["y"], 2e-5)


def test_dilated_attention():
    golden = np.load(GOLDENS / "msda.npz")
    block = DilatedAttention(36, heads=6)
    load(block, {k.replace("proj.", "out."): v for k, v in weights(golden).items()}, ())
    result = block(tensor(golden, "x").permute(0, 3, 1, 2))
    close(result.permute(0, 2, 3, 1), golden["y"], 2e-5)


def whole(shared, ladder: int, **options) -> tuple[FIAS, dict]:
    folder = shared / "goldens" / "fias"
    network = FIAS(in_channels=1, num_classes=4, channels=(8, 16, 32, 64), ladder=ladder,
                   deep_supervision=True, **options)  # fmt: skip
    with np.load(folder / "fias_stride1_c8_32.npz") as golden:
        load(network, weights(golden), goldens.FIAS)
    file = {1: "fias_stride1_c8_32.npz", 2: "fias_stride2_c8_64.npz"}[ladder]
    with np.load(folder / file) as golden:
        return network, {k: golden[k] for k in golden.files if not k.startswith("w/")}


@pytest.mark.shared
@pytest.mark.parametrize("ladder", [1, 2])
@pytest.mark.parametrize("kv_tokens", [None, 1024])
def test_whole_network(shared, ladder, kv_tokens):
    network, golden = whole(shared, ladder, kv_tokens=kv_tokens)
    # Rounding in float32 alone reaches 1.1e-4 of the largest logit.
    network.double().eval()
    image = torch.from_numpy(golden["x"]).double()
    seen: dict[str, list[Tensor]] = {"fused": []}
    for fusion in network.fusions:
        fusion.register_forward_hook(lambda _m, _i, output: seen["fused"].append(output))
    for name in ("local", "global"):
        encoder = getattr(network, f"{name}_encoder")
        encoder.register_forward_hook(lambda _m, _i, out, name=name: seen.__setitem__(name, out))
    network.training = True  # the heads answer, with the norms of evaluation
    with torch.no_grad():
        output = network(image)
    close(output.logits, golden["logits"], 1e-6)
    for name, maps in seen.items():
        for number, found in enumerate(maps):
            if f"{name}{number}" in golden:
                close(found, golden[f"{name}{number}"], 1e-6)
    assert [(a.kind, a.stage) for a in output.aux] == [("logits", n) for n in (1, 2, 3)]
    for number, aux in enumerate(output.aux):
        close(aux.value, golden[f"aux{number}"], 1e-6)


@pytest.mark.shared
def test_dilateformer(shared):
    golden = np.load(shared / "goldens" / "fias" / "dilateformer_micro.npz")
    network = DilateFormer(3, (24, 48, 96, 192), depths=(1, 1, 1, 1)).eval()
    arrays = {k: v for k, v in weights(golden).items() if not k.startswith("norm.")}
    for name in list(arrays):
        if ".mlp.fc" in name and name.endswith("weight"):
            arrays[name] = arrays[name][:, :, None, None]  # ours are 1x1 convolutions
    load(network, arrays, goldens.DILATEFORMER)
    with torch.no_grad():
        close(network.embed(tensor(golden, "x")), golden["embed"], 1e-4)
        for number, maps in enumerate(network(tensor(golden, "x")), start=1):
            close(maps, golden[f"stage{number}"], 1e-4)


def test_published_sizes():
    network = build("fias", in_channels=1, num_classes=9, deep_supervision=True)
    assert sum(p.numel() for p in network.parameters()) == 7_165_310
    first = build("fias", in_channels=1, num_classes=9, deep_supervision=True, ladder=1)
    assert sum(p.numel() for p in first.parameters()) == 7_165_310
    # DilateFormer tiny without its classifier and its last norm, which segmentation has no use for.
    tiny = DilateFormer(3, (72, 144, 288, 576))
    assert sum(p.numel() for p in tiny.parameters()) == 16_661_744 - 2 * 576


def test_pool_to_tokens():
    small = torch.rand(1, 2, 32, 32)
    assert pool_to_tokens(small, 1024) is small
    assert pool_to_tokens(torch.rand(1, 2, 64, 64), 1024).shape == (1, 2, 32, 32)
    assert pool_to_tokens(torch.rand(1, 2, 96, 24), 144).shape == (1, 2, 24, 6)
    rows, columns = pool_to_tokens(torch.rand(1, 2, 500, 1), 64).shape[-2:]
    assert (rows, columns) == (22, 1) or rows * columns <= 64
    constant = torch.full((1, 3, 40, 40), 0.7)
    torch.testing.assert_close(pool_to_tokens(constant, 100), torch.full((1, 3, 10, 10), 0.7))


def test_attention_with_pooled_keys():
    torch.manual_seed(0)
    full, thinned = SelfAttention(8, 2), SelfAttention(8, 2, kv_tokens=16)
    thinned.load_state_dict(full.state_dict())
    blocks = torch.rand(1, 8, 4, 4).repeat_interleave(4, 2).repeat_interleave(4, 3)
    torch.testing.assert_close(thinned(blocks), full(blocks))
    assert not torch.allclose(thinned(torch.rand(1, 8, 16, 16)), full(torch.rand(1, 8, 16, 16)))


def test_stochastic_forward():
    torch.manual_seed(0)
    network = build("fias", in_channels=1, num_classes=3).eval()
    assert can_sample(network)
    image = torch.rand(2, 1, 48, 48)
    with torch.no_grad():
        still = network(image).logits
        assert torch.equal(network(image).logits, still)
        with stochastic_forward(network):
            torch.manual_seed(1)
            drawn = torch.stack([network(image).logits for _ in range(6)])
            torch.manual_seed(1)
            again = torch.stack([network(image).logits for _ in range(6)])
        assert torch.equal(drawn, again)
        assert drawn.std(0).max() > 0
        assert torch.equal(network(image).logits, still)
    assert not network.training


def test_fixed_samples():
    torch.manual_seed(0)
    network = build("fias", in_channels=1, num_classes=3, channels=(8, 16, 16, 32)).eval()
    image = torch.rand(2, 1, 48, 48)
    with torch.no_grad():
        still = network(image).logits
        draws = Draws(network, 27, seed=4)
        said = [draws(image, number).logits for number in range(len(draws))]
        assert torch.equal(network(image).logits, still)
        alone = draws(image[1:], 5).logits
    assert len(set(draws.combinations)) == 27
    assert draws.combinations == Draws(network, 27, seed=4).combinations
    assert draws.combinations[:9] == Draws(network, 9, seed=4).combinations
    assert draws.combinations != Draws(network, 27, seed=5).combinations
    assert len({tuple(one.flatten().tolist()) for one in said}) > 1
    torch.testing.assert_close(alone, said[5][1:], atol=1e-5, rtol=1e-4)
    network.head.weight.data.zero_()
    network.head.bias.data.fill_(2)
    with torch.no_grad():
        assert (draws(image, 0).logits == 2).all()  # the twin shares what the network learns
    with pytest.raises(ValueError, match="27 combinations, so not 28"):
        Draws(network, 28)


def test_each_image_of_a_batch_is_sampled():
    block = MonteCarloAttention().train()
    maps = torch.rand(1, 4, 9, 9).expand(64, -1, -1, -1)
    torch.manual_seed(0)
    gates = block(maps)
    assert len(torch.unique(gates.flatten(1), dim=0)) == len(MonteCarloAttention.GRIDS)


def test_only_fias_can_sample():
    network = build("flomo-b0", in_channels=1, num_classes=2)
    assert not can_sample(network)
    with pytest.raises(ValueError, match="FIAS"), stochastic_forward(network):
        pass
    with pytest.raises(ValueError, match="FIAS"):
        Draws(network, 3)
