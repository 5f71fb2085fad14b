"""Engines: ways to run a network that differ in speed, and not in what comes out.

Importing this room is cheap; torch, OpenVINO and ONNX Runtime are loaded when they are needed.
"""

from __future__ import annotations

from napari_flomo.segmentation.engines.engine import Engine, EngineFault, out_of_memory
from napari_flomo.segmentation.engines.exporting import FORMATS, export_model
from napari_flomo.segmentation.engines.factory import make_engine
from napari_flomo.segmentation.engines.records import all_records
from napari_flomo.segmentation.engines.registry import (
    CHOICES,
    ENGINES,
    EngineKind,
    candidates,
    chosen_engine,
    obstacle,
)
from napari_flomo.segmentation.engines.runner import Runner

__all__ = [
    "CHOICES",
    "ENGINES",
    "FORMATS",
    "Engine",
    "EngineFault",
    "EngineKind",
    "Runner",
    "all_records",
    "candidates",
    "chosen_engine",
    "export_model",
    "make_engine",
    "obstacle",
    "out_of_memory",
]
