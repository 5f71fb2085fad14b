"""Every module in reference form against the official code: inference, training step, gradients.

The expected values come from the official network in float64, see the goldens' own README.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from napari_flomo.networks.blocks import SameDownsample, average_pool_same, upsample_bilinear
from napari_flomo.networks.convolutions import DepthwiseConv2d
from napari_flomo.networks.dct import dct2, idct2
from napari_flomo.networks.flomo_blocks import DASA, FAMSR, FPFN, LoGoMoE
from napari_flomo.networks.form import REFERENCE
from napari_flomo.networks.reference import LEAVES, load_reference_arrays, to_torch

GOLDENS = Path(__file__).parents[1] / "goldens" / "flomo"
CASES = sorted(p.stem for p in GOLDENS.glob("*.npz") if p.stem != "primitives")


def channels_first(array: np.ndarray) -> Tensor:
    return torch.from_numpy(array.transpose(0, 3, 1, 2).astype(np.float32))


def make_module(golden: np.lib.npyio.NpzFile) -> nn.Module:
    config = json.loads(str(golden["config"]))
    kind = config["kind"]
    if kind == "moe":
        form = REFERENCE.__class__(
            **vars(REFERENCE)
            | {"routing": config.get("routing_mode", "soft"), "top_k": config.get("top_k", 2)}
        )
        channels = golden["x/x"].shape[-1]
        return LoGoMoE(channels, config["num_filters"], config["downsample"], form)
    if kind == "dasa":
        return DASA(golden["x/x"].shape[-1], REFERENCE)
    if kind == "famsr":
        return FAMSR(golden["x/x"].shape[-1], config["filters"], REFERENCE)
    return FPFN(golden["x/enc"].shape[-1], config["filters"], REFERENCE)


@pytest.fixture(params=CASES)
def golden(request):
    with np.load(GOLDENS / f"{request.param}.npz") as archive:
        yield archive


def prepare(golden, *, training: bool):
    module = make_module(golden)
    load_reference_arrays(module, {k[2:]: golden[k] for k in golden.files if k.startswith("w/")})
    inputs = [channels_first(golden[k]).requires_grad_(training)
              for k in golden.files if k.startswith("x/")]  # fmt: skip
    return module.train(training), inputs


def first(result):
    return result[0] if isinstance(result, tuple) else result


def test_inference_equals_the_official_module(golden):
    module, inputs = prepare(golden, training=False)
    with torch.no_grad():
        result = module(*inputs)
    torch.testing.assert_close(first(result), channels_first(golden["y"]), rtol=0, atol=2e-5)
    if "routing_entropy_loss" in golden.files:
        expected = float(golden["routing_entropy_loss"])
        assert 0.01 * result[1].item() == pytest.approx(expected, rel=1e-4)
    if "mid/entropy" in golden.files:
        maps = result[1]
        features = inputs[1].shape[1]
        raw = channels_first(golden["mid/entropy"]) / np.log(features)
        torch.testing.assert_close(maps["entropy"], raw, rtol=0, atol=1e-5)
        cosine = channels_first(golden["mid/cosine"])
        torch.testing.assert_close(maps["cosine"], cosine, rtol=0, atol=1e-5)
        gate = channels_first(golden["mid/correction_gate"])
        torch.testing.assert_close(maps["corrective"], gate, rtol=0, atol=1e-5)
        trust = 1 - channels_first(golden["mid/uncertainty_weight"])
        torch.testing.assert_close(maps["trust"], trust, rtol=0, atol=1e-5)


def test_training_step_equals_the_official_module(golden):
    module, inputs = prepare(golden, training=True)
    output = first(module(*inputs))
    torch.testing.assert_close(output, channels_first(golden["train/y"]), rtol=0, atol=3e-5)
    (output * channels_first(golden["train/r"])).sum().backward()

    named = dict(module.named_parameters())
    modules = dict(module.named_modules())
    gradients = {k[len("train/grad/"):]: golden[k]
                 for k in golden.files if k.startswith("train/grad/")}  # fmt: skip
    scale = max(np.abs(g).max() for g in gradients.values())
    for name, expected in gradients.items():
        owner, _, leaf = name.rpartition(".")
        parameter = named[f"{owner}.{LEAVES[leaf]}"]
        wanted = torch.from_numpy(to_torch(expected, modules[owner]).copy())
        if not parameter.requires_grad:
            assert not wanted.any(), f"{name} is frozen but the reference trains it"
            continue
        tolerance = 2e-3 * max(wanted.abs().max().item(), 1e-3 * scale)
        torch.testing.assert_close(
            parameter.grad, wanted, rtol=0, atol=tolerance, msg=lambda m, n=name: f"{n}: {m}"
        )
    for tensor, key in zip(
        inputs, [k for k in golden.files if k.startswith("train/grad_x/")], strict=True
    ):
        wanted = channels_first(golden[key])
        tolerance = 2e-3 * wanted.abs().max().item()
        torch.testing.assert_close(tensor.grad, wanted, rtol=0, atol=tolerance)
    buffers = dict(module.named_buffers())
    for key in golden.files:
        if key.startswith("train/after/"):
            owner, _, leaf = key[len("train/after/"):].rpartition(".")  # fmt: skip
            wanted = torch.from_numpy(golden[key])
            torch.testing.assert_close(
                buffers[f"{owner}.{LEAVES[leaf]}"], wanted, rtol=0, atol=1e-5
            )


@pytest.fixture(scope="module")
def primitives():
    with np.load(GOLDENS / "primitives.npz") as archive:
        yield {name: archive[name] for name in archive.files}


@pytest.mark.parametrize("size", ["14x14", "32x32", "12x16", "20x9", "1x1", "16x16"])
def test_dct_is_the_transpose_of_the_official_one(primitives, size):
    expected = channels_first(primitives[f"dct/{size}/y"]).transpose(-2, -1)
    result = dct2(channels_first(primitives[f"dct/{size}/x"]), 16)
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("size", [(14, 14), (9, 20), (16, 1)])
def test_inverse_dct_restores_the_maps(size):
    maps = torch.rand(2, 3, *size)
    torch.testing.assert_close(idct2(dct2(maps, 64), *size), maps, rtol=0, atol=1e-5)


@pytest.mark.parametrize("size", ["28x28", "14x14", "7x7", "13x6", "5x5", "3x2", "1x1"])
def test_average_pool(primitives, size):
    result = average_pool_same(channels_first(primitives[f"avgpool/{size}/x"]))
    expected = channels_first(primitives[f"avgpool/{size}/y"])
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", ["8x8", "7x7", "6x9"])
def test_downsampling_convolution(primitives, size):
    layer = SameDownsample(3, 4)
    load_reference_arrays(
        nn.ModuleDict({"layer": layer}),
        {f"layer.{leaf}": primitives[f"conv_s2/{leaf}"] for leaf in ("kernel", "bias")},
    )
    result = layer(channels_first(primitives[f"conv_s2/{size}/x"]))
    expected = channels_first(primitives[f"conv_s2/{size}/y"])
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("kernel", "dilation"), [(3, 1), (3, 3), (5, 2), (7, 1), (3, 12)])
def test_depthwise_convolution(primitives, kernel, dilation):
    layer = DepthwiseConv2d(3, kernel, dilation)
    weight = primitives[f"depthwise/k{kernel}_d{dilation}/kernel"]
    layer.weight.data = torch.from_numpy(to_torch(weight, layer).copy())
    layer.bias.data.zero_()
    result = layer(channels_first(primitives["depthwise/x"]))
    expected = channels_first(primitives[f"depthwise/k{kernel}_d{dilation}/y"])
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-5)


def test_upsampling_and_gelu(primitives):
    maps = channels_first(primitives["upsample/x"])
    expected = channels_first(primitives["upsample/bilinear/y"])
    torch.testing.assert_close(upsample_bilinear(maps), expected, rtol=0, atol=1e-6)
    gelu = F.gelu(torch.from_numpy(primitives["gelu/x"]))
    torch.testing.assert_close(gelu, torch.from_numpy(primitives["gelu/y"]), rtol=0, atol=1e-6)
