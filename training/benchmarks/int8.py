"""Post-training quantisation of a graph with NNCF, which is not a dependency of the package."""

from __future__ import annotations

import importlib
import importlib.util
import io
import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_flomo.segmentation.engines.openvino import import_openvino

IN_FLOAT32 = (
    "Multiply", "Add", "Subtract", "Divide", "ReduceMean", "Interpolate", "MaxPool", "AvgPool",
    "Concat", "MatMul", "Softmax", "Sigmoid",
)  # fmt: skip
"""Operations that are not quantised. With all of them in int8, OpenVINO 2026.4 cannot compile
FLoMo-Net."""


def has_nncf() -> bool:
    """Return True if NNCF is installed."""
    return importlib.util.find_spec("nncf") is not None


def quantised(graph: bytes, images: NDArray[np.float32]) -> Any:
    """Return an ONNX graph for single slices as an ``openvino.Model`` with int8 convolutions.

    ``images`` are ``(slices, channels, rows, columns)``; their activations set the ranges.
    """
    nncf: Any = importlib.import_module("nncf")
    nncf.set_log_level(logging.ERROR)
    model = import_openvino().Core().read_model(io.BytesIO(graph))
    model.reshape([1, *images.shape[1:]])
    return nncf.quantize(
        model,
        nncf.Dataset([image[None] for image in images]),
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(images),
        ignored_scope=nncf.IgnoredScope(types=list(IN_FLOAT32), validate=False),
    )
