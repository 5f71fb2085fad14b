"""OpenVINO, ONNX Runtime and torch.compile on real networks of the project."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from engine_fakes import Small, need, truth_of
from real_slices import SIDE, network_with_statistics, pictures, with_temperature

from napari_flomo.segmentation.engines import ModelSource, make_engine
from napari_flomo.segmentation.engines.agreement import check_agreement
from napari_flomo.segmentation.output import Output, as_probabilities

ARGUMENTS = {"dynunet": {"filters": (8, 16, 16)}}
QUICK = [
    *(("openvino", name) for name in ("dynunet", "flomo-b0", "flomo-b1", "fias")),
    *(("onnxruntime", name) for name in ("dynunet", "fias")),
]
SLOW = [
    *(("openvino", name) for name in ("flomo-b2", "madgnet-resnet50", "fm-bff-net")),
    *(("onnxruntime", n) for n in ("flomo-b0", "flomo-b1", "madgnet-resnet50", "fm-bff-net")),
    ("compile", "tiny"),
]


@pytest.fixture(scope="module")
def networks():
    """Those that were made already, with their logits."""
    return {}


@pytest.mark.parametrize(
    ("engine", "name"), [*QUICK, *(pytest.param(*case, marks=pytest.mark.slow) for case in SLOW)]
)
def test_agrees_with_the_network(engine, name, card, repository, networks):
    need(engine)
    images = pictures(name, repository)
    if name == "tiny":
        network = Small(3).eval()
        networks[name] = network, truth_of(network, images).logits
    elif name not in networks:
        networks[name] = network_with_statistics(card, images, name, **ARGUMENTS.get(name, {}))
    network, logits = networks[name]
    sure = replace(with_temperature(card, logits), in_channels=images.shape[1], input_kind="photo")
    made = make_engine(engine, ModelSource(sure, network=network), (SIDE, SIDE))
    assert made.threads == torch.get_num_threads()
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert len(np.unique(as_probabilities(logits, sure).argmax(1))) > 1
    check_agreement(made.kind, made(images), Output(logits), sure)
    check_agreement(made.kind, made(images[:1]), Output(logits[:1]), sure)


LISTENER = """
import socket, sys, threading
calls = []
for name in ("connect", "connect_ex", "sendto"):
    setattr(socket.socket, name, lambda self, *a, _n=name: calls.append((_n, a)))
real = socket.getaddrinfo
socket.getaddrinfo = lambda *a, **k: calls.append(("getaddrinfo", a)) or real(*a, **k)
import subprocess
subprocess.Popen = lambda *a, **k: calls.append(("Popen", a))
import torch
from napari_flomo.segmentation.engines.openvino import import_openvino, to_graph
from napari_flomo.networks import Output

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Conv2d(1, 2, 3, padding=1)
    def forward(self, images):
        return Output(self.layer(images))

ov = import_openvino()
ov.Core().compile_model(to_graph(Net().eval(), 1, (16, 16)), "CPU")
assert not calls, calls
assert sys.modules.get("openvino_telemetry") is None
assert not [name for name in sys.modules if name.startswith("openvino_telemetry.")]
print("silent")
"""


def test_openvino_sends_no_telemetry(run_python):
    need("openvino")
    result = run_python("-c", LISTENER)
    assert result.stdout == "silent\n", result.stderr


def test_number_of_streams():
    from napari_flomo.segmentation.engines.openvino import _streams

    assert [_streams((192, 192), threads) for threads in (1, 2, 4, 64)] == [1, 2, 4, 4]
    assert [_streams((side, side), 64) for side in (256, 352, 512, 2048)] == [4, 2, 1, 1]


def test_number_of_threads(source):
    """Several processes on one computer must share it."""
    need("openvino")
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        made = make_engine("openvino", source, (32, 48))
    finally:
        torch.set_num_threads(before)
    (compiled,) = made._compiled
    assert compiled.get_property("INFERENCE_NUM_THREADS") == 1
    assert not compiled.get_property("ENABLE_CPU_PINNING")
    assert made.batch == 1
