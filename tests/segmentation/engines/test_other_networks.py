"""MADGNet, FM-BFF-Net and FIAS on OpenVINO and ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from engine_fakes import CPU, need
from torch import Tensor, nn

from napari_flomo.networks import build
from napari_flomo.segmentation.engines import make_engine
from napari_flomo.segmentation.engines.tracing import example

SIZE = (64, 64)
CHANNELS = {"fias": 1, "madgnet-resnet50": 1, "fm-bff-net": 3}
SLOW = ("madgnet-resnet50", "fm-bff-net")
NAMES = [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in CHANNELS]


@pytest.fixture(scope="module")
def network() -> Callable[[str], nn.Module]:
    """Return a network with random weights, made once."""
    made: dict[str, nn.Module] = {}

    def get(name: str) -> nn.Module:
        if name not in made:
            with torch.random.fork_rng():
                torch.manual_seed(0)
                made[name] = build(name, in_channels=CHANNELS[name], num_classes=3).eval()
                for key, tensor in made[name].named_buffers():
                    if key.endswith("running_var"):
                        tensor.uniform_(0.5, 2)
        return made[name]

    return get


def same(run: Callable[[Tensor], Any], plain: nn.Module, name: str) -> None:
    """Compare several slices and one: a graph may count those that it was recorded with.

    Random weights say little, so differences count by the spread of what they say.
    """
    images = example(CHANNELS[name], SIZE, 3)
    with torch.inference_mode():
        truth = plain(images).logits
        for some in (slice(None), slice(1)):
            found = torch.as_tensor(run(images[some]))
            assert found.shape == truth[some].shape
            assert (found - truth[some]).abs().max() < 1e-4 * truth.std()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_engines(engine: str, name: str, network: Callable[[str], nn.Module]) -> None:
    need(engine)
    plain = network(name)
    made = make_engine(engine, plain, channels=CHANNELS[name], size=SIZE, device=CPU)
    same(lambda images: made(images).logits, plain, name)


@pytest.mark.parametrize("name", NAMES)
def test_graph_for_any_number_of_slices(name: str, network: Callable[[str], nn.Module]) -> None:
    """The exported graph of OpenVINO; ONNX Runtime uses the exported one."""
    need("openvino")
    from napari_flomo.segmentation.engines.openvino import import_openvino, to_graph

    plain = network(name)
    graph = to_graph(plain, CHANNELS[name], SIZE)
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    compiled = import_openvino().Core().compile_model(graph, "CPU", settings)
    same(lambda images: compiled(images.contiguous().numpy())[0], plain, name)
