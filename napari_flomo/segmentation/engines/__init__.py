"""Engines: runtimes for a network that differ in speed, but not in their results.

Importing this package is cheap; PyTorch, OpenVINO and ONNX Runtime are loaded when needed.
"""

from __future__ import annotations

from napari_flomo.segmentation.engines.engine import Engine, EngineError
from napari_flomo.segmentation.engines.exporting import FORMATS, export_model
from napari_flomo.segmentation.engines.factory import make_engine
from napari_flomo.segmentation.engines.graphs import write_graph
from napari_flomo.segmentation.engines.pytorch import Draws
from napari_flomo.segmentation.engines.registry import (
    CHOICES,
    ENGINES,
    GRAPH_ENGINES,
    EngineKind,
    chosen_engine,
    unavailable_reason,
)
from napari_flomo.segmentation.engines.runner import EngineRunner
from napari_flomo.segmentation.engines.source import ModelSource

__all__ = [
    "CHOICES",
    "ENGINES",
    "FORMATS",
    "GRAPH_ENGINES",
    "Draws",
    "Engine",
    "EngineError",
    "EngineKind",
    "EngineRunner",
    "ModelSource",
    "chosen_engine",
    "export_model",
    "make_engine",
    "unavailable_reason",
    "write_graph",
]
