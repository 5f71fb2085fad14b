"""Engines: runtimes for a network that differ in speed, but not in their results.

Importing this package is cheap; torch, OpenVINO and ONNX Runtime are loaded when needed.
"""

from __future__ import annotations

from napari_flomo.segmentation.engines.engine import Engine, EngineError
from napari_flomo.segmentation.engines.exporting import FORMATS, export_model
from napari_flomo.segmentation.engines.factory import make_engine
from napari_flomo.segmentation.engines.records import all_records
from napari_flomo.segmentation.engines.registry import (
    CHOICES,
    ENGINES,
    EngineKind,
    candidates,
    chosen_engine,
    unavailable_reason,
)
from napari_flomo.segmentation.engines.runner import EngineRunner

__all__ = [
    "CHOICES",
    "ENGINES",
    "FORMATS",
    "Engine",
    "EngineError",
    "EngineKind",
    "EngineRunner",
    "all_records",
    "candidates",
    "chosen_engine",
    "export_model",
    "make_engine",
    "unavailable_reason",
]
