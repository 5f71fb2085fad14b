"""The engines by name, and which of them are usable on this computer."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from napari_flomo.errors import FlomoError

if TYPE_CHECKING:
    import torch

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
    setup_seconds
        Approximate duration of the first preparation on two cores.
    """

    name: str
    title: str
    precision: Precision = "float32"
    device: Literal["cpu", "cuda", "any"] = "any"
    modules: tuple[str, ...] = ()
    maps: bool = False
    setup_seconds: float = 0.0


_KINDS = (
    EngineKind("eager", "PyTorch, the network as it was trained", maps=True),
    EngineKind("fast", "PyTorch, the network rewritten for inference", maps=True),
    EngineKind("compile", "torch.compile of the rewritten network", setup_seconds=60),
    EngineKind("openvino", "OpenVINO", device="cpu", modules=("openvino",), setup_seconds=6),
    EngineKind(
        "onnxruntime",
        "ONNX Runtime",
        device="cpu",
        modules=("onnx", "onnxruntime"),
        setup_seconds=6,
    ),
    EngineKind(
        "openvino-bf16",
        "OpenVINO in bfloat16",
        "bfloat16",
        device="cpu",
        modules=("openvino",),
        setup_seconds=6,
    ),
    EngineKind("bf16", "PyTorch in bfloat16, mixed", "bfloat16", maps=True),
    EngineKind("fp16", "PyTorch in float16, mixed", "float16", device="cuda", maps=True),
)

ENGINES: Mapping[str, EngineKind] = {kind.name: kind for kind in _KINDS}
"""All engines by name, the plain network first."""

CHOICES = ("auto", "fastest", *ENGINES)
"""Options: ``"auto"`` is the fastest in float32, ``"fastest"`` in any precision."""


def chosen_engine(asked: str, device: torch.device) -> str:
    """Return the requested engine, with ``"auto"`` overridden by the environment.

    Raises `FlomoError` if there is no such engine, or it cannot work on the device.
    """
    chosen = os.environ.get(ENGINE_VARIABLE) or asked if asked == "auto" else asked
    if chosen not in CHOICES:
        raise FlomoError(f"There is no engine {chosen!r}; choose among {', '.join(CHOICES)}.")
    reason = unavailable_reason(ENGINES[chosen], device) if chosen in ENGINES else None
    if reason is not None:
        raise FlomoError(reason)
    return chosen


def unavailable_reason(kind: EngineKind, device: torch.device) -> str | None:
    """Return a sentence why an engine cannot run on a device, or None if it can."""
    if kind.device not in ("any", device.type):
        where = "the CPU" if kind.device == "cpu" else "an NVIDIA GPU"
        return (
            f"The engine {kind.name} computes on {where}, not on {device.type}; choose another "
            "engine or device."
        )
    missing = [module for module in kind.modules if not is_installed(module)]
    if missing:
        return (
            f"The engine {kind.name} needs {' and '.join(missing)}, which this installation does "
            f"not have; run: {INSTALL}."
        )
    if kind.precision == "bfloat16" and not computes_in_bfloat16(device):
        return (
            f"The engine {kind.name} needs hardware that computes in bfloat16, which {device.type} "
            "here does not; choose another engine."
        )
    if kind.name == "compile" and not _can_compile(device):
        return (
            "The engine compile needs a C++ compiler (on a GPU the package triton), and none was "
            "found; install one or choose another engine."
        )
    return None


def candidates(asked: str, device: torch.device) -> tuple[EngineKind, ...]:
    """Return the engines among which ``"auto"`` or ``"fastest"`` chooses on a device.

    ``compile`` takes up to a minute to prepare, so it must be requested by name.
    """
    if asked not in ("auto", "fastest"):
        return (ENGINES[asked],)
    return tuple(
        kind
        for kind in ENGINES.values()
        if (kind.precision == "float32" or asked == "fastest")
        and kind.name != "compile"
        and unavailable_reason(kind, device) is None
    )


def computes_in_bfloat16(device: torch.device) -> bool:
    """Return True if the hardware computes in bfloat16; emulation is slower than float32."""
    import torch

    if device.type == "cuda":
        try:
            return bool(torch.cuda.is_bf16_supported(including_emulation=False))
        except (TypeError, RuntimeError, AssertionError):
            return False
    if device.type != "cpu":
        return False
    ask: Callable[[], Mapping[str, Any]] = getattr(torch.cpu, "get_capabilities", dict)
    try:
        flags = dict(ask())
    except Exception:  # an unknown processor must not be an error
        return False
    return any(flags.get(flag) is True for flag in ("avx512_bf16", "amx_bf16"))


def _can_compile(device: torch.device) -> bool:
    if device.type == "cuda":
        return is_installed("triton")
    names = ("cl",) if sys.platform == "win32" else (os.environ.get("CXX", ""), "g++", "clang++")
    return any(name and shutil.which(name) for name in names)


def is_installed(module: str) -> bool:
    """Return True if a package is installed, without importing it."""
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False
