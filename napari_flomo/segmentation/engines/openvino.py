"""OpenVINO as an engine, without its telemetry."""

from __future__ import annotations

import hashlib
import io
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_flomo.segmentation.engines.compiled_cache import (
    add_checksums,
    digest,
    open_cache,
)
from napari_flomo.segmentation.engines.engine import EngineError
from napari_flomo.segmentation.engines.registry import EngineKind
from napari_flomo.segmentation.engines.tracing import (
    example_tensor,
    fast_copy,
    logits_only,
    tracing,
)
from napari_flomo.segmentation.output import Output
from napari_flomo.segmentation.resampling import Floats

if TYPE_CHECKING:
    from torch import Tensor, nn

MAX_STREAMS = 4
"""Slices computed in parallel, each with a share of the threads."""

MAX_PIXELS = MAX_STREAMS * 256 * 256
"""Limit of the pixels of all parallel slices, because each needs memory."""

_TELEMETRY = "openvino_telemetry"


@contextmanager
def _without_telemetry() -> Iterator[None]:
    """Hide OpenVINO's telemetry package, which would send statistics when OpenVINO is imported."""
    known = sys.modules.get(_TELEMETRY)
    sys.modules[_TELEMETRY] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if known is None:
            sys.modules.pop(_TELEMETRY, None)
        else:
            sys.modules[_TELEMETRY] = known


def import_openvino() -> Any:
    """Import and return ``openvino``; always use this function."""
    with _without_telemetry():
        import openvino

    return openvino


def to_graph(
    network: nn.Module, channels: int, size: tuple[int, int], batch: int | None = None
) -> Any:
    """Return a network as an ``openvino.Model`` from ``image`` to ``logits``, both float32.

    The network must be in evaluation mode on the CPU. ``size`` (rows, columns) is fixed in the
    graph, and so is the number of slices unless ``batch`` is None.
    """
    graph = _convert(logits_only(network), (example_tensor(channels, size, batch or 2),))
    (entry,), (result,) = graph.inputs, graph.outputs
    entry.get_node().set_element_type(import_openvino().Type.f32)
    entry.get_node().set_partial_shape(
        import_openvino().PartialShape([batch or -1, channels, *size])
    )
    entry.set_names({"image"})
    result.set_names({"logits"})
    graph.validate_nodes_and_infer_types()
    return graph


def _convert(module: nn.Module, inputs: tuple[Tensor, ...]) -> Any:
    """Return a module as an ``openvino.Model``."""
    import torch

    import_openvino()
    with _without_telemetry():
        from openvino.frontend import FrontEndManager
        from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    with tracing():
        traced = torch.jit.trace(module, inputs, check_trace=False)
        # ``openvino.convert_model`` sends telemetry; this is what it wraps.
        decoder = TorchScriptPythonDecoder(
            traced,
            example_input=inputs if len(inputs) > 1 else inputs[0],
            skip_freeze=True,
            shared_memory=False,
        )
        frontend = FrontEndManager().load_by_framework("pytorch")
        return frontend.convert(frontend.load(decoder))


def to_graphs(network: nn.Module, channels: int, size: tuple[int, int]) -> list[tuple[Any, bool]]:
    """Return graphs for one slice to run one after the other, and whether each must be in float32.

    OpenVINO has a setting to keep single operations in float32, but ignores it for operations that
    it fuses; a separate graph has its own precision.
    """
    quick: Any = fast_copy(network)
    if not hasattr(quick, "parts"):
        return [(to_graph(network, channels, size, batch=1), False)]
    ov = import_openvino()
    values: tuple[Tensor, ...] = (example_tensor(channels, size, 1),)
    graphs = []
    for part, precise in quick.parts(size):
        graph = _convert(part.eval(), values)
        for entry, value in zip(graph.inputs, values, strict=True):
            entry.get_node().set_element_type(ov.Type.f32)
            entry.get_node().set_partial_shape(ov.PartialShape(list(value.shape)))
        graph.validate_nodes_and_infer_types()
        graphs.append((graph, precise))
        with tracing():
            found = part(*values)
        values = found if isinstance(found, tuple) else (found,)
    return graphs


class OpenVinoEngine:
    """Compiled graphs that process as many slices in parallel as there are streams.

    ``compiled`` are of type ``openvino.CompiledModel``, for one slice of this size (rows, columns),
    and run one after the other.
    """

    def __init__(
        self, kind: EngineKind, compiled: Sequence[Any], size: tuple[int, int], threads: int
    ) -> None:
        self.kind = kind
        self.threads = threads
        self.batch = _streams(size, threads)
        self._compiled = tuple(compiled)
        self._requests = [
            [part.create_infer_request() for _ in range(self.batch)] for part in compiled
        ]
        self._turn = threading.Lock()  # requests are not thread-safe

    @classmethod
    def of_graph(
        cls, kind: EngineKind, graph: bytes | Path, size: tuple[int, int], threads: int
    ) -> OpenVinoEngine:
        """Compile an ONNX graph for single slices, or its file.

        OpenVINO keeps what it compiled in its cache, and then reads only that.
        """
        settings = _settings(kind, size, threads, precise=True)
        name = digest(graph) if isinstance(graph, Path) else hashlib.sha256(graph).hexdigest()
        with _core(name) as core:
            model = graph if isinstance(graph, Path) else core.read_model(io.BytesIO(graph))
            compiled = core.compile_model(model, "CPU", settings)
        return cls(kind, [compiled], size, threads)

    @classmethod
    def of_network(
        cls,
        kind: EngineKind,
        network: nn.Module,
        channels: int,
        size: tuple[int, int],
        threads: int,
    ) -> OpenVinoEngine:
        """Convert and compile a network in parts, each in its own precision; takes seconds."""
        with _core("parts") as core:
            compiled = [
                core.compile_model(graph, "CPU", _settings(kind, size, threads, precise=precise))
                for graph, precise in to_graphs(network, channels, size)
            ]
        return cls(kind, compiled, size, threads)

    def __call__(self, images: Floats, *, maps: bool = False) -> Output:
        """Run the network, see `Engine`."""
        if maps:
            raise EngineError("it has no maps")
        pixels = np.ascontiguousarray(images)
        found = []
        with self._turn:
            for start in range(0, len(pixels), self.batch):
                stop = min(start + self.batch, len(pixels))
                some = [[pixels[index : index + 1]] for index in range(start, stop)]
                for requests in self._requests:
                    busy = requests[: len(some)]
                    for request, values in zip(busy, some, strict=True):
                        request.start_async(dict(enumerate(values)), share_inputs=True)
                    for request in busy:
                        request.wait()
                    some = [[tensor.data for tensor in request.output_tensors] for request in busy]
                found += [logits.copy() for (logits,) in some]
        return Output(np.concatenate(found))


def _streams(size: tuple[int, int], threads: int) -> int:
    """Return the number of parallel slices: one per thread, limited by memory.

    This is faster than several threads per slice, which wait for each other at every layer.
    """
    return max(1, min(threads, MAX_STREAMS, MAX_PIXELS // (size[0] * size[1])))


@contextmanager
def _core(name: str) -> Iterator[Any]:
    """Yield a core of OpenVINO with a cache of compiled graphs, if that can be written."""
    core = import_openvino().Core()
    folder = open_cache(name)
    if folder is not None:
        core.set_property({"CACHE_DIR": str(folder)})
    yield core
    if folder is not None:
        add_checksums(folder)


def _settings(
    kind: EngineKind, size: tuple[int, int], threads: int, *, precise: bool
) -> dict[str, Any]:
    lower = kind.precision == "bfloat16" and not precise
    return {
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": _streams(size, threads),
        "INFERENCE_PRECISION_HINT": "bf16" if lower else "f32",
        # Otherwise several processes would all pin their threads to the first cores.
        "ENABLE_CPU_PINNING": False,
    }
