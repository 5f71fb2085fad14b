"""MADGNet against its official code: blocks, decoder in both modes, whole networks.

The expected values come from the official network in float64, see the goldens' own README.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from goldens import MADGNET, close, load, tensor, translate, weights
from torch import Tensor, nn

from napari_flomo.networks import build
from napari_flomo.networks.dct import dct2, dct_bank
from napari_flomo.networks.madgnet import MADGNetDecoder
from napari_flomo.networks.madgnet_blocks import (
    TOP16,
    CascadedHeads,
    FrequencyAttention,
    MultiScaleAttention,
    Views,
)

GOLDENS = Path(__file__).parents[1] / "goldens" / "madgnet"


def test_dct_filters():
    golden = np.load(GOLDENS / "dct_filters.npz")
    assert np.array_equal(golden["top16_idx"].T, np.array(TOP16))
    for size in (7, 14, 28, 56, 112):
        pairs = [(u * (size // 7), v * (size // 7)) for u, v in TOP16]
        bank = dct_bank(size, pairs, torch.float32, torch.device("cpu"))
        if f"top16_{size}" in golden.files:
            close(bank, golden[f"top16_{size}"], 2e-6)
        image = torch.rand(1, 1, size, size)
        strengths = (image * bank).sum((-2, -1))[0]
        expected = torch.stack([dct2(image, size)[0, 0, u, v] for u, v in pairs])
        torch.testing.assert_close(strengths, expected, rtol=0, atol=1e-4)


def test_frequency_attention():
    golden = np.load(GOLDENS / "mfca_c32_dct14.npz")
    block = FrequencyAttention(32, size=14)
    load(block, weights(golden), MADGNET)
    for name in ("same", "down", "up"):
        close(block(tensor(golden, f"x_{name}")), golden[f"y_{name}"], 2e-5)


@pytest.mark.shared
@pytest.mark.parametrize("channels", [32, 64])
def test_multi_scale_attention(shared, channels):
    golden = np.load(shared / "goldens" / "madgnet" / f"mfmsa_c{channels}.npz")
    block = MultiScaleAttention(channels).eval()
    load(block, weights(golden), MADGNET)
    for size in ("32x32", "24x40", "14x14"):
        close(block(tensor(golden, f"x_{size}")), golden[f"y_{size}"], 2e-5)


@pytest.mark.parametrize("classes", [1, 3])
def test_cascaded_heads(classes):
    golden = np.load(GOLDENS / "esdm_c16.npz")
    block = CascadedHeads(16, classes)
    load(block, weights(golden, f"w{classes}/"), MADGNET)
    views = block(tensor(golden, "x"), (40, 48))
    for view, name in zip(views, ("map", "distance", "boundary"), strict=True):
        close(view, golden[f"{name}_{classes}"], 2e-5)


def small_decoder(golden) -> MADGNetDecoder:
    decoder = MADGNetDecoder(
        (16, 32, 40, 48, 96), 1, skip=16, widths=(64, 64, 32, 32), deep_supervision=True
    )
    holder = nn.Module()  # the official names are those of a whole network
    holder.decoder = decoder
    load(holder, weights(golden), MADGNET)
    return decoder


def features(golden) -> list[Tensor]:
    return [tensor(golden, name) for name in ("f2", "f4", "f8", "f16", "f32")]


def check_views(stages: dict[int, Views], golden, tolerance: float) -> None:
    for number, views in stages.items():
        for view, name in zip(views, ("map", "distance", "boundary"), strict=True):
            if f"out{number}_{name}" in golden.files:
                close(view, golden[f"out{number}_{name}"], tolerance)


@pytest.mark.shared
def test_decoder_in_evaluation(shared):
    golden = np.load(shared / "goldens" / "madgnet" / "decoder_small_eval.npz")
    decoder = small_decoder(golden).eval()
    assert set(decoder(features(golden), (128, 128))) == {4}
    for module in (decoder, *decoder.heads.values()):
        module.training = True  # all stages answer, with the norms of evaluation
    stages = decoder(features(golden), (128, 128))
    assert set(stages) == {1, 2, 3, 4}
    check_views(stages, golden, 2e-5)


def structure(logits: Tensor, mask: Tensor) -> Tensor:
    """The official structure loss, written out here for the gradients' sake."""
    weight = 1 + 5 * (F.avg_pool2d(mask, 31, 1, 15) - mask).abs()
    p = logits.sigmoid()
    inside, union = (weight * p * mask).sum((2, 3)), (weight * (p + mask)).sum((2, 3))
    iou = 1 - (inside + 1) / (union - inside + 1)
    return (F.binary_cross_entropy_with_logits(logits, mask) + iou).mean()


@pytest.mark.shared
def test_decoder_in_training(shared):
    golden = np.load(shared / "goldens" / "madgnet" / "decoder_small_train.npz")
    with np.load(shared / "goldens" / "madgnet" / "decoder_small_eval.npz") as same_weights:
        decoder = small_decoder(same_weights)
    # In float32 the gradients' own rounding reaches the tolerance.
    decoder.double().train()
    stages = decoder([maps.double() for maps in features(golden)], (64, 64))
    check_views(stages, golden, 1e-5)
    mask = tensor(golden, "mask").double()
    loss = sum(
        structure(v.region, mask)
        + F.mse_loss(v.distance.sigmoid(), mask)
        + F.binary_cross_entropy_with_logits(v.boundary, mask)
        for v in stages.values()
    )
    assert loss.item() == pytest.approx(float(golden["loss"]), rel=1e-6)
    loss.backward()
    holder = nn.Module()
    holder.decoder = decoder
    parameters = dict(holder.named_parameters())
    norms = {k[7:]: float(golden[k]) for k in golden.files if k.startswith("g_norm/")}
    assert {translate(k, MADGNET) for k in norms} == set(parameters)
    largest = max(norms.values())
    for name, norm in norms.items():
        gradient = parameters[translate(name, MADGNET)].grad
        assert gradient.norm().item() == pytest.approx(norm, rel=1e-4, abs=1e-6 * largest), name
        if f"g/{name}" in golden.files:
            scale = max(np.abs(golden[f"g/{name}"]).max(), 1e-5 * largest)
            assert np.abs(gradient.numpy() - golden[f"g/{name}"]).max() < 1e-4 * scale, name
    state = holder.state_dict()
    for name in golden.files:
        if name.startswith("bn_after/"):
            close(state[translate(name[9:], MADGNET)], golden[name], 2e-5)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "file"),
    [("madgnet", "full_resnest50_96.npz"), ("madgnet-resnet50", "full_resnet50_96.npz")],
)
def test_whole_network(shared, name, file):
    folder = shared / "goldens" / "madgnet"
    golden = np.load(folder / file)
    spec = importlib.util.spec_from_file_location("madgnet_draw", folder / "draw.py")
    draw = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(draw)
    network = build(name, in_channels=3, num_classes=1, deep_supervision=True)
    own = network.state_dict()
    with np.load(folder / "decoder_small_eval.npz") as small:
        official = {translate(name, MADGNET): name for name in weights(small)}
    for ours in [name for name in own if not name.endswith("num_batches_tracked")]:
        theirs = official.get(ours) or ours.replace("encoder.", "feature_encoding.", 1)
        if "running_" in theirs:
            value = golden[f"bn/{theirs}"].astype(np.float32)
        else:
            value = draw.draw(theirs, own[ours].shape)
        own[ours] = torch.from_numpy(value)
    network.load_state_dict(own)
    network.eval()
    with torch.no_grad():
        maps = network.encoder(tensor(golden, "x"))
        for found in maps:
            channels = found.shape[1]
            close(found[0].mean((1, 2)), golden[f"feat_mean_{channels}"], 1e-4)
            close(found[0].std((1, 2)), golden[f"feat_std_{channels}"], 1e-4)
        close(network(tensor(golden, "x")).logits, golden["y"], 1e-4)
        network.decoder.training = True
        stages = network.decoder(maps, (96, 96))
    assert set(stages) == {1, 2, 3, 4}
    check_views(stages, golden, 1e-4)


@pytest.mark.parametrize(
    ("name", "total"), [("madgnet", 33_366_372), ("madgnet-resnet50", 31_440_164)]
)
def test_published_sizes(name, total):
    network = build(name, in_channels=3, num_classes=1, deep_supervision=True)
    assert sum(p.numel() for p in network.parameters()) == total
    plain = build(name, in_channels=3, num_classes=1)
    assert total - sum(p.numel() for p in plain.parameters()) == 771 + 387 + 195
