"""Conversion to ONNX, and ONNX Runtime as an engine."""

from __future__ import annotations

import inspect
import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_flomo.segmentation.engines.engine import EngineError
from napari_flomo.segmentation.engines.registry import ENGINES
from napari_flomo.segmentation.engines.tracing import example_tensor, logits_only, tracing
from napari_flomo.segmentation.output import Output
from napari_flomo.segmentation.resampling import Floats

if TYPE_CHECKING:
    from torch import nn

OPSET = 17
"""Version of the ONNX operators, chosen for compatibility with older runtimes."""


def to_onnx(
    network: nn.Module, channels: int, size: tuple[int, int], *, single: bool = False
) -> bytes:
    """Return a network as an ONNX file from ``image`` to ``logits``.

    The network must be in evaluation mode on the CPU; ``size`` (rows, columns) is fixed in the
    graph. It takes a ``single`` slice, for which OpenVINO prepares faster, or any number.
    """
    import torch

    # The older of PyTorch's two exporters: the newer one needs another package.
    export: Callable[..., Any] = torch.onnx.export
    older = {"dynamo": False} if "dynamo" in inspect.signature(export).parameters else {}
    file = io.BytesIO()
    with tracing():
        images = example_tensor(channels, size, 1 if single else 2)
        traced = torch.jit.trace(logits_only(network), images, check_trace=False)
        export(
            # Weights as constants: the exporter may drop one of two equal parameters.
            torch.jit.freeze(traced, optimize_numerics=False),
            (images,),
            file,
            input_names=["image"],
            output_names=["logits"],
            dynamic_axes=None if single else {"image": {0: "slices"}, "logits": {0: "slices"}},
            opset_version=OPSET,
            **older,
        )
    return file.getvalue()


def make_session(content: bytes | str, threads: int) -> Any:
    """Return an ``onnxruntime.InferenceSession`` of an ONNX graph or file, without telemetry."""
    import onnxruntime

    onnxruntime.disable_telemetry_events()  # Windows builds collect events by default
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


class OnnxRuntimeEngine:
    """ONNX Runtime on the CPU, running a graph for single slices (or its file)."""

    kind = ENGINES["onnxruntime"]
    batch = 1  # in larger batches feature maps do not fit into the cache

    def __init__(self, graph: bytes | Path, threads: int) -> None:
        self.threads = threads
        self._session = make_session(str(graph) if isinstance(graph, Path) else graph, threads)

    def __call__(self, images: Floats, *, maps: bool = False) -> Output:
        """Run the network, see `Engine`."""
        if maps:
            raise EngineError("it has no maps")
        slices = np.ascontiguousarray(images)
        run = self._session.run
        return Output(np.concatenate([run(["logits"], {"image": one[None]})[0] for one in slices]))
