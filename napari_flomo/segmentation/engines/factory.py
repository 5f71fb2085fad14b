"""Create engines by name."""

from __future__ import annotations

from napari_flomo.errors import FlomoError
from napari_flomo.segmentation.engines.engine import Engine
from napari_flomo.segmentation.engines.registry import ENGINES, unavailable_reason
from napari_flomo.segmentation.engines.source import ModelSource
from napari_flomo.segmentation.threads import threads


def make_engine(name: str, source: ModelSource, size: tuple[int, int]) -> Engine:
    """Create an engine for images of a size (rows, columns), on the device of the source.

    Raises `FlomoError` if there is no such engine or it cannot run here, and the library's error if
    it does not support the network.
    """
    if name not in ENGINES:
        raise FlomoError(f"There is no engine {name!r}; choose among {', '.join(ENGINES)}.")
    kind = ENGINES[name]
    reason = unavailable_reason(kind, source.device)
    if reason is not None:
        raise FlomoError(reason)
    if name == "onnxruntime":
        from napari_flomo.segmentation.engines.onnx import OnnxRuntimeEngine

        return OnnxRuntimeEngine(source.make_graph(size), threads())
    if "openvino" in kind.modules:
        from napari_flomo.segmentation.engines.openvino import OpenVinoEngine

        if kind.precision == "float32":
            return OpenVinoEngine.of_graph(kind, source.make_graph(size), size, threads())
        return OpenVinoEngine.of_network(
            kind, source.network, source.card.in_channels, size, threads()
        )
    from napari_flomo.segmentation.engines.pytorch import CompiledEngine, TorchEngine

    if name == "compile":
        return CompiledEngine(source.network, source.device)
    return TorchEngine(kind, source.network, source.device)
