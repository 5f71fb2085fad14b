"""Create engines by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_flomo.errors import FlomoError
from napari_flomo.segmentation.engines.engine import Engine
from napari_flomo.segmentation.engines.registry import ENGINES, unavailable_reason

if TYPE_CHECKING:
    import torch
    from torch import nn


def make_engine(
    name: str,
    network: nn.Module,
    *,
    channels: int,
    size: tuple[int, int],
    device: torch.device,
    graph: bytes | None = None,
) -> Engine:
    """Create an engine for a network in evaluation mode, on ``device``.

    ``channels`` and ``size`` (rows, columns) are those of the images. ``graph`` is the result of
    ``dump()`` of the same engine on this computer, which saves the preparation. Raises `FlomoError`
    if there is no such engine or it cannot run here, and the library's error if it does not support
    the network.
    """
    import torch

    if name not in ENGINES:
        raise FlomoError(f"There is no engine {name!r}; choose among {', '.join(ENGINES)}.")
    kind = ENGINES[name]
    reason = unavailable_reason(kind, device)
    if reason is not None:
        raise FlomoError(reason)
    threads = torch.get_num_threads()
    if "openvino" in kind.modules:
        from napari_flomo.segmentation.engines.openvino import OpenVinoEngine

        if graph is not None:
            return OpenVinoEngine.load(kind, graph, size, threads)
        return OpenVinoEngine.build(kind, network, channels, size, threads)
    if name == "onnxruntime":
        from napari_flomo.segmentation.engines.onnx import OnnxRuntimeEngine, to_onnx

        return OnnxRuntimeEngine(graph or to_onnx(network, channels, size), threads)
    from napari_flomo.segmentation.engines.pytorch import CompiledEngine, TorchEngine

    if name == "compile":
        return CompiledEngine(network, device)
    return TorchEngine(kind, network, device)
