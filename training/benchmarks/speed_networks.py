"""The networks and runtimes that `speed.py` compares, as functions from a slice to logits."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from int8 import has_nncf, quantised
from network_costs import multiply_adds_of
from numpy.typing import NDArray
from torch import Tensor, nn

from napari_flomo.models import load_card, load_network
from napari_flomo.networks import Output, build
from napari_flomo.networks.blocks import pad_to_multiple
from napari_flomo.segmentation.engines import (
    ENGINES,
    Engine,
    ModelSource,
    make_engine,
    unavailable_reason,
)
from napari_flomo.segmentation.engines.openvino import import_openvino

Images = NDArray[np.float32]
Run = Callable[[Images], Images]

MEASURED = ("eager", "onnxruntime", "openvino", "openvino-bf16")
"""Engines of the package that are compared."""

INT8 = "openvino-int8"
"""OpenVINO with a graph quantised by NNCF; not an engine of the package."""

UNET_CHANNELS = (18, 36, 72, 144, 288)
"""Channels of a U-Net with 2.06 million parameters; FLoMo-Net B0 has 2.09."""

PEER_SIDE = 256
"""Rows and columns of the peer's graph."""


@dataclass(frozen=True)
class Subject:
    """A network, its costs for one slice, and the runtimes that it can be run with."""

    title: str
    side: int
    parameters: int | None
    multiply_adds: int | None
    runs: Mapping[str, Run]


class UNet(nn.Module):
    """MONAI's residual 2-D U-Net with the output of this project's networks."""

    def __init__(self, in_channels: int, num_classes: int) -> None:
        from monai.networks.nets import UNet as MonaiUNet

        super().__init__()
        self.inner = MonaiUNet(
            2, in_channels, num_classes, UNET_CHANNELS, strides=(2, 2, 2, 2), num_res_units=2
        )

    def forward(self, image: Tensor) -> Output:
        """Return logits of the size of ``image``, ``(N, C, H, W)``."""
        height, width = image.shape[-2:]
        return Output(self.inner(pad_to_multiple(image, 16))[..., :height, :width])


def trained(model: str, calibration: Images) -> Subject:
    """Return a model of this project with its weights."""
    network, card = load_network(model)
    return _subject(card.name, network, model, calibration)


def baseline(name: str, model: str, calibration: Images) -> Subject:
    """Return ``unet`` or ``dynunet`` with random weights, in the frame of a model."""
    card = load_card(model)
    torch.manual_seed(0)
    if name == "unet":
        network: nn.Module = UNet(card.in_channels, card.num_classes)
    else:
        network = build(name, in_channels=card.in_channels, num_classes=card.num_classes)
    title = {"unet": "MONAI UNet", "dynunet": "DynUNet"}[name]
    return _subject(f"{title} (random weights)", network.eval(), model, calibration)


def _subject(title: str, network: nn.Module, model: str, calibration: Images) -> Subject:
    card = load_card(model)
    image = torch.from_numpy(calibration[:1])
    side = image.shape[-1]
    parameters = sum(parameter.numel() for parameter in network.parameters())
    multiply_adds = multiply_adds_of(network, image)
    layout = torch.channels_last
    source = ModelSource(card, network=network.to(memory_format=layout))  # type: ignore[call-overload]
    runs: dict[str, Run] = {}
    for name in MEASURED:
        if unavailable_reason(ENGINES[name], "cpu") is None:
            runs[name] = _in_engine(make_engine(name, source, (side, side)))
    if has_nncf():
        graph = source.make_graph((side, side))
        assert isinstance(graph, bytes)  # of a network in memory
        runs[INT8] = in_openvino(quantised(graph, calibration))
    return Subject(title, side, parameters, multiply_adds, runs)


def _in_engine(engine: Engine) -> Run:
    return lambda images: engine(images).logits


def peer(path: Path, images: Images) -> Subject:
    """Return the ONNX graph of another project, for images of 256 x 256 pixels."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
    (entry,) = session.get_inputs()
    content = path.read_bytes()

    def model() -> Any:
        found = import_openvino().Core().read_model(io.BytesIO(content))
        found.reshape([1, *images.shape[1:]])
        return found

    runs: dict[str, Run] = {
        "onnxruntime": lambda one: session.run(None, {entry.name: one})[0],
        "openvino": in_openvino(model()),
    }
    if unavailable_reason(ENGINES["openvino-bf16"], "cpu") is None:
        runs["openvino-bf16"] = in_openvino(model(), "bf16")
    if has_nncf():
        runs[INT8] = in_openvino(quantised(content, images))
    return Subject(f"peer `{path.stem}`", PEER_SIDE, None, None, runs)


def in_openvino(model: Any, precision: str = "f32") -> Run:
    """Return a model for single slices as OpenVINO runs it on one thread."""
    settings = {
        "INFERENCE_NUM_THREADS": 1,
        "NUM_STREAMS": 1,
        "INFERENCE_PRECISION_HINT": precision,
        "ENABLE_CPU_PINNING": False,
    }
    compiled = import_openvino().Core().compile_model(model, "CPU", settings)
    request = compiled.create_infer_request()

    def run(images: Images) -> Images:
        found = []
        for image in images:
            request.infer({0: np.ascontiguousarray(image[None])}, share_inputs=True)
            found.append(request.output_tensors[0].data.copy())
        return np.concatenate(found)

    return run
