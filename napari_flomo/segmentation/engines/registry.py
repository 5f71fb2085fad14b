"""The engines by name, and which of them are usable on this computer."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from napari_flomo.errors import FlomoError
from napari_flomo.segmentation.device import INSTALL_TORCH, has_torch, is_installed

ENGINE_VARIABLE = "FLOMO_ENGINE"
"""Environment variable that overrides ``"auto"``."""

INSTALL = "pip install 'napari-flomo[fast]'"

Precision = Literal["float32", "bfloat16", "float16"]


@dataclass(frozen=True)
class EngineKind:
    """Description of an engine.

    Attributes
    ----------
    name, title
        Name of the option, and a description.
    precision
        Engines in float32 give the labels of the plain network, except for ties; the others may
        change a few voxels at contours.
    device
        ``"cpu"``, ``"cuda"``, or ``"any"`` for every device of torch.
    modules
        Import names of optional packages that it needs.
    maps
        Whether it can return the network's own maps.
    """

    name: str
    title: str
    precision: Precision = "float32"
    device: Literal["cpu", "cuda", "any"] = "any"
    modules: tuple[str, ...] = ()
    maps: bool = False


_KINDS = (
    EngineKind("eager", "PyTorch, the network as it was trained", maps=True),
    EngineKind("compile", "torch.compile of the network rewritten for inference"),
    EngineKind("onnxruntime", "ONNX Runtime", device="cpu", modules=("onnxruntime",)),
    EngineKind("openvino", "OpenVINO", device="cpu", modules=("openvino",)),
    EngineKind(
        "openvino-bf16", "OpenVINO in bfloat16", "bfloat16", device="cpu", modules=("openvino",)
    ),
    EngineKind("bf16", "PyTorch in bfloat16, mixed", "bfloat16", maps=True),
    EngineKind("fp16", "PyTorch in float16, mixed", "float16", device="cuda", maps=True),
)

ENGINES: Mapping[str, EngineKind] = {kind.name: kind for kind in _KINDS}
"""All engines by name, the plain network first."""

GRAPH_ENGINES = ("openvino", "onnxruntime")
"""Engines that run the graph of a model without PyTorch, the preferred one first."""

CHOICES = ("auto", "fastest", *ENGINES)
"""Options: ``"auto"`` is the usual engine in float32, ``"fastest"`` may be in lower precision."""

_FORMER = {"fast": "eager"}
"""Names of former versions, and what they mean now."""


def chosen_engine(asked: str, device: str) -> str:
    """Return the requested engine, with ``"auto"`` overridden by the environment.

    Raises `FlomoError` if there is no such engine, or it cannot work on the device.
    """
    chosen = os.environ.get(ENGINE_VARIABLE) or asked if asked == "auto" else asked
    chosen = _FORMER.get(chosen, chosen)
    if chosen not in CHOICES:
        raise FlomoError(f"There is no engine {chosen!r}; choose among {', '.join(CHOICES)}.")
    reason = unavailable_reason(ENGINES[chosen], device) if chosen in ENGINES else None
    if reason is not None:
        raise FlomoError(reason)
    return chosen


def unavailable_reason(kind: EngineKind, device: str) -> str | None:
    """Return a sentence why an engine cannot run on a device, or None if it can."""
    if kind.device not in ("any", device.partition(":")[0]):
        where = "the CPU" if kind.device == "cpu" else "an NVIDIA GPU"
        return (
            f"The engine {kind.name} computes on {where}, not on {device}; choose another "
            "engine or device."
        )
    missing = [module for module in kind.modules if not is_installed(module)]
    if missing:
        command = "pip install openvino" if "openvino" in missing else INSTALL
        return (
            f"The engine {kind.name} needs {' and '.join(missing)}, which this installation does "
            f"not have; run: {command}."
        )
    if kind.name not in GRAPH_ENGINES and not has_torch():
        return (
            f"The engine {kind.name} needs PyTorch, which is not installed; run: {INSTALL_TORCH}."
        )
    if kind.precision == "bfloat16" and not computes_in_bfloat16(device):
        return (
            f"The engine {kind.name} needs hardware that computes in bfloat16, which {device} "
            "here does not; choose another engine."
        )
    if kind.name == "compile" and not _can_compile(device):
        return (
            "The engine compile needs a C++ compiler (on a GPU the package triton), and none was "
            "found; install one or choose another engine."
        )
    return None


def computes_in_bfloat16(device: str) -> bool:
    """Return True if the hardware computes in bfloat16; emulation is slower than float32."""
    import torch

    kind = device.partition(":")[0]
    if kind == "cuda":
        try:
            return bool(torch.cuda.is_bf16_supported(including_emulation=False))
        except (TypeError, RuntimeError, AssertionError):
            return False
    if kind != "cpu":
        return False
    ask: Callable[[], Mapping[str, Any]] = getattr(torch.cpu, "get_capabilities", dict)
    try:
        flags = dict(ask())
    except Exception:  # an unknown processor must not be an error
        return False
    return any(flags.get(flag) is True for flag in ("avx512_bf16", "amx_bf16"))


def _can_compile(device: str) -> bool:
    if device.partition(":")[0] == "cuda":
        return is_installed("triton")
    names = ("cl",) if sys.platform == "win32" else (os.environ.get("CXX", ""), "g++", "clang++")
    return any(name and shutil.which(name) for name in names)
