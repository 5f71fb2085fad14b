"""OpenVINO, ONNX Runtime and torch.compile on real networks of the project."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from engine_fakes import CPU, Small, need
from torch import nn

from napari_flomo.models import ModelCard
from napari_flomo.networks import build
from napari_flomo.segmentation import Segmentation, Segmenter
from napari_flomo.segmentation.engines import make_engine
from napari_flomo.segmentation.engines.agreement import check_agreement
from napari_flomo.segmentation.engines.tracing import example

SIZE = (48, 32)
SMALL: dict[str, dict[str, Any]] = {
    "flomo-b0": {"in_channels": 1},
    "dynunet": {"in_channels": 1, "filters": (8, 16, 16)},
    "tiny": {"in_channels": 1},
}


def network_of(name: str) -> nn.Module:
    if name == "dynunet":
        pytest.importorskip("monai")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if name == "tiny":
            return Small(3).eval()
        return build(name, num_classes=3, **SMALL[name]).eval()


@pytest.mark.parametrize(
    ("engine", "name"),
    [
        ("openvino", "dynunet"),
        ("onnxruntime", "dynunet"),
        ("openvino", "flomo-b0"),
        pytest.param("onnxruntime", "flomo-b0", marks=pytest.mark.slow),
        pytest.param("compile", "tiny", marks=pytest.mark.slow),
    ],
)
def test_agrees_with_the_network(engine: str, name: str, card: ModelCard) -> None:
    need(engine)
    network = network_of(name)
    channels = SMALL[name]["in_channels"]
    made = make_engine(engine, network, channels=channels, size=SIZE, device=CPU)
    assert made.threads == torch.get_num_threads()
    images = example(channels, SIZE, 5)
    before = [parameter.requires_grad for parameter in network.parameters()]
    with torch.inference_mode():
        truth = network(images)
        for count in (5, 1):  # more slices than it likes at once, and fewer
            found = made(images[:count])
            check_agreement(made.kind, found, type(truth)(truth.logits[:count]), card)
    assert [parameter.requires_grad for parameter in network.parameters()] == before
    if hasattr(made, "dump"):
        again = make_engine(
            engine, network, channels=channels, size=SIZE, device=CPU, graph=made.dump()
        )
        assert torch.allclose(again(images).logits, truth.logits, atol=1e-4)


@pytest.mark.parametrize("content", ["rubbish", "another network"])
def test_wrong_cached_graph_is_replaced(
    content: str, home: Path, card: ModelCard, make_heart: Callable[..., Any]
) -> None:
    """Whatever the library does with it, the result is that of the plain network."""
    need("openvino")
    network, heart = network_of("tiny"), make_heart(slices=2, size=32)
    plain = Segmenter(network, card, "cpu").segment(heart)

    def segment() -> Segmentation:
        made = Segmenter(network, card, "cpu", engine="openvino")
        made._weights = "0" * 64
        return made.segment(heart)

    segment()
    (record,) = (home / "engines").glob("*.json")
    (graph,) = (home / "engines").glob("*.graph")
    wrong = b"rubbish"
    if content == "another network":
        other = Small(3).eval()
        with torch.no_grad():
            other.layer.weight.neg_()
        wrong = make_engine("openvino", other, channels=1, size=(32, 32), device=CPU).dump()
    graph.write_bytes(wrong)
    kept = json.loads(record.read_text())
    kept["graphs"]["openvino"] = hashlib.sha256(wrong).hexdigest()
    record.write_text(json.dumps(kept))
    result = segment()
    assert (result.labels.data == plain.labels.data).all()
    assert result.manifest["engine"]["name"] == "openvino"
    assert graph.read_bytes() != wrong


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


def test_openvino_sends_no_telemetry(
    run_python: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    need("openvino")
    result = run_python("-c", LISTENER)
    assert result.stdout == "silent\n", result.stderr


def test_number_of_streams() -> None:
    from napari_flomo.segmentation.engines.openvino import _streams

    assert [_streams((192, 192), threads) for threads in (1, 2, 4, 64)] == [1, 2, 4, 4]
    assert [_streams((side, side), 64) for side in (256, 352, 512, 2048)] == [4, 2, 1, 1]


def test_number_of_threads() -> None:
    """Several processes on one computer must share it."""
    need("openvino")
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        made = make_engine("openvino", network_of("tiny"), channels=1, size=SIZE, device=CPU)
    finally:
        torch.set_num_threads(before)
    (compiled,) = made._compiled
    assert compiled.get_property("INFERENCE_NUM_THREADS") == 1
    assert not compiled.get_property("ENABLE_CPU_PINNING")
    assert made.batch == 1
