"""OpenVINO: the fastest engine on most CPUs, and silent: its telemetry never gets to run."""

from __future__ import annotations

import sys
import tempfile
import threading
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_flomo.segmentation.engines.engine import EngineFault
from napari_flomo.segmentation.engines.kinds import EngineKind
from napari_flomo.segmentation.engines.rewriting import example, logits_only, tracing

if TYPE_CHECKING:
    from torch import Tensor, nn

    from napari_flomo.networks import Output

MOST_STREAMS = 4
"""Slices computed at the same time, each by a share of the threads."""

MOST_PIXELS = MOST_STREAMS * 256 * 256
"""Pixels of all slices that are computed at the same time: each needs memory."""

_TELEMETRY = "openvino_telemetry"


@contextmanager
def _without_telemetry() -> Iterator[None]:
    """Let OpenVINO be imported as if the package that sends statistics were not installed.

    The import alone reports to its maker otherwise.
    """
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
    """Return the module ``openvino``; the only way that this program imports it."""
    with _without_telemetry():
        import openvino

    return openvino


def to_graph(
    network: nn.Module, channels: int, size: tuple[int, int], batch: int | None = None
) -> Any:
    """Return a network as an ``openvino.Model`` from ``image`` to ``logits``, both float32.

    Parameters
    ----------
    network
        In evaluation mode, on the CPU.
    channels
        Of the images.
    size
        Rows and columns of the images; the graph is for these alone.
    batch
        Slices that it takes at once; None for any number.
    """
    import torch

    ov = import_openvino()
    with _without_telemetry():
        from openvino.frontend import FrontEndManager
        from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    with tracing():
        images = example(channels, size, batch or 2)
        traced = torch.jit.trace(logits_only(network), images, check_trace=False)
        # OpenVINO's convenient function for this reports to its maker; this is what it wraps.
        decoder = TorchScriptPythonDecoder(
            traced, example_input=images, skip_freeze=True, shared_memory=False
        )
        frontend = FrontEndManager().load_by_framework("pytorch")
        graph = frontend.convert(frontend.load(decoder))
    (entry,), (result,) = graph.inputs, graph.outputs
    entry.get_node().set_element_type(ov.Type.f32)
    entry.get_node().set_partial_shape(ov.PartialShape([batch or -1, channels, *size]))
    entry.set_names({"image"})
    result.set_names({"logits"})
    graph.validate_nodes_and_infer_types()
    return graph


def keep_float32(graph: Any, parts: Sequence[str]) -> Any:
    """Return a graph of which these parts compute in float32 whatever the rest computes in.

    OpenVINO heeds a mark of each operation for that, which can be set in the graph's XML alone.

    Parameters
    ----------
    graph
        From `to_graph`.
    parts
        Names of the network's modules, such as ``"encoder"``.
    """
    ov = import_openvino()
    with tempfile.TemporaryDirectory(prefix="flomo-") as folder:
        plan, weights = Path(folder, "graph.xml"), Path(folder, "graph.bin")
        ov.serialize(graph, str(plan), str(weights))
        tree, constants = ET.fromstring(plan.read_bytes()), weights.read_bytes()
    prefixes = tuple(f"__module.inner.{part}{end}" for part in parts for end in "./")
    for operation in tree.iterfind("layers/layer"):
        if operation.get("name", "").startswith(prefixes) and operation.get("type") != "Const":
            notes = operation.find("rt_info")
            if notes is None:
                notes = ET.Element("rt_info")
                operation.insert(0 if operation.find("data") is None else 1, notes)
            ET.SubElement(notes, "attribute", name="precise", version="0")
    return ov.Core().read_model(ET.tostring(tree), constants)


class OpenVinoEngine:
    """A compiled graph, and as many slices at the same time as there are streams.

    Parameters
    ----------
    kind
        ``openvino`` or ``openvino-bf16``.
    compiled
        An ``openvino.CompiledModel`` for one slice.
    size
        Rows and columns of a slice.
    threads
        That it was compiled for.
    """

    def __init__(
        self, kind: EngineKind, compiled: Any, size: tuple[int, int], threads: int
    ) -> None:
        self.kind = kind
        self.threads = threads
        self.batch = _streams(size, threads)
        self._compiled = compiled
        self._requests = [compiled.create_infer_request() for _ in range(self.batch)]
        self._turn = threading.Lock()  # a request serves one caller at a time

    @classmethod
    def build(
        cls,
        kind: EngineKind,
        network: nn.Module,
        channels: int,
        size: tuple[int, int],
        threads: int,
    ) -> OpenVinoEngine:
        """Convert and compile a network, which takes seconds."""
        graph = to_graph(network, channels, size, batch=1)
        sensitive = getattr(network, "sensitive", ())
        if sensitive and kind.precision != "float32":
            graph = keep_float32(graph, sensitive)
        core = import_openvino().Core()
        compiled = core.compile_model(graph, "CPU", _settings(kind, size, threads))
        return cls(kind, compiled, size, threads)

    @classmethod
    def load(
        cls, kind: EngineKind, content: bytes, size: tuple[int, int], threads: int
    ) -> OpenVinoEngine:
        """Take up a graph that `dump` returned on the same computer."""
        core = import_openvino().Core()
        compiled = core.import_model(content, "CPU", _settings(kind, size, threads))
        return cls(kind, compiled, size, threads)

    def dump(self) -> bytes:
        """Return the compiled graph, for this version of OpenVINO on this processor."""
        exported = self._compiled.export_model()
        content: bytes = exported.getvalue() if hasattr(exported, "getvalue") else bytes(exported)
        return content

    def __call__(self, images: Tensor, *, maps: bool = False) -> Output:
        """Run the network, see `Engine`."""
        import torch

        from napari_flomo.networks import Output

        if maps:
            raise EngineFault("it has no maps")
        pixels = images.contiguous().numpy()
        found = []
        with self._turn:
            for start in range(0, len(pixels), self.batch):
                stop = min(start + self.batch, len(pixels))
                some = [pixels[index : index + 1] for index in range(start, stop)]
                busy = self._requests[: len(some)]
                for request, one in zip(busy, some, strict=True):
                    request.start_async({0: one}, share_inputs=True)
                for request in busy:
                    request.wait()
                    found.append(request.get_output_tensor(0).data.copy())
        return Output(torch.from_numpy(np.concatenate(found)))


def _streams(size: tuple[int, int], threads: int) -> int:
    """Return how many slices to compute at once: one for each thread, as memory allows.

    Threads of one slice wait for each other at every layer; slices do not.
    """
    return max(1, min(threads, MOST_STREAMS, MOST_PIXELS // (size[0] * size[1])))


def _settings(kind: EngineKind, size: tuple[int, int], threads: int) -> dict[str, Any]:
    return {
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": _streams(size, threads),
        "INFERENCE_PRECISION_HINT": "bf16" if kind.precision == "bfloat16" else "f32",
        # Several processes on one computer would all pin their threads to its first cores.
        "ENABLE_CPU_PINNING": False,
    }
