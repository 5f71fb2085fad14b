"""Conversion to ONNX, and ONNX Runtime as an engine."""

from __future__ import annotations

import inspect
import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from napari_flomo.segmentation.engines.engine import EngineError
from napari_flomo.segmentation.engines.registry import ENGINES
from napari_flomo.segmentation.engines.tracing import example, logits_only, tracing

if TYPE_CHECKING:
    from torch import Tensor, nn

    from napari_flomo.networks import Output

OPSET = 17
"""Version of the ONNX operators, chosen for compatibility with older runtimes."""


def to_onnx(network: nn.Module, channels: int, size: tuple[int, int]) -> bytes:
    """Return a network as an ONNX file from ``image`` to ``logits``, for any number of slices.

    The network must be in evaluation mode on the CPU; ``size`` (rows, columns) is fixed in the
    graph.
    """
    import torch

    # The older of PyTorch's two exporters: the newer one needs another package.
    export: Callable[..., Any] = torch.onnx.export
    older = {"dynamo": False} if "dynamo" in inspect.signature(export).parameters else {}
    file = io.BytesIO()
    with tracing():
        images = example(channels, size, 2)
        traced = torch.jit.trace(logits_only(network), images, check_trace=False)
        export(
            # Weights as constants: the exporter may drop one of two equal parameters.
            torch.jit.freeze(traced, optimize_numerics=False),
            (images,),
            file,
            input_names=["image"],
            output_names=["logits"],
            dynamic_axes={"image": {0: "slices"}, "logits": {0: "slices"}},
            opset_version=OPSET,
            **older,
        )
    return file.getvalue()


def make_session(content: bytes, threads: int) -> Any:
    """Return an ``onnxruntime.InferenceSession`` of an ONNX file on the CPU, without telemetry."""
    import onnxruntime

    onnxruntime.disable_telemetry_events()  # Windows builds collect events by default
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


class OnnxRuntimeEngine:
    """ONNX Runtime on the CPU, running the result of `to_onnx`."""

    kind = ENGINES["onnxruntime"]
    batch = 1  # in larger batches feature maps do not fit into the cache

    def __init__(self, content: bytes, threads: int) -> None:
        self.threads = threads
        self._content = content
        self._session = make_session(content, threads)

    def dump(self) -> bytes:
        """Return the graph."""
        return self._content

    def __call__(self, images: Tensor, *, maps: bool = False) -> Output:
        """Run the network, see `Engine`."""
        import torch

        from napari_flomo.networks import Output

        if maps:
            raise EngineError("it has no maps")
        (logits,) = self._session.run(["logits"], {"image": images.contiguous().numpy()})
        return Output(torch.from_numpy(logits))
