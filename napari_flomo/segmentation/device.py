"""Choose the device."""

from __future__ import annotations

import ctypes
import importlib.metadata
import importlib.util
import sys

from napari_flomo.errors import FlomoError

INSTALL_TORCH = "pip install 'napari-flomo[torch]'"


def choose_device(device: object = "auto") -> str:
    """Return the name of the device to compute on; raise `FlomoError` if it does not exist here.

    ``"auto"`` is the GPU if CUDA finds one, else the CPU; otherwise any name that PyTorch knows,
    such as ``"cpu"``, ``"cuda"`` or ``"cuda:1"``. PyTorch is imported only if it may find a GPU.
    """
    asked = str(device)
    if asked == "cpu" or (asked == "auto" and not _may_have_gpu()):
        return "cpu"
    if not has_torch():
        raise FlomoError(
            f"The device {asked} needs PyTorch, which is not installed; run: {INSTALL_TORCH}, or "
            "choose the device cpu."
        )
    import torch

    if asked == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        chosen = torch.device(asked)
    except RuntimeError as error:
        raise FlomoError(
            f"There is no device called {asked!r}; choose auto, cpu or cuda."
        ) from error
    if chosen.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if count == 0:
            reason = (
                "no NVIDIA GPU or driver was found"
                if torch.version.cuda
                else "this PyTorch was built without CUDA"
            )
            raise FlomoError(f"CUDA is not available: {reason}; choose the device auto or cpu.")
        if (chosen.index or 0) >= count:
            raise FlomoError(f"There is no GPU {chosen.index}; GPUs 0 to {count - 1} are here.")
        return str(chosen)
    try:
        torch.empty(1, device=chosen)
    except (RuntimeError, NotImplementedError, AssertionError) as error:
        raise FlomoError(
            f"The device {asked} cannot be used here; choose auto, cpu or cuda."
        ) from error
    return str(chosen)


def is_gpu(device: str) -> bool:
    """Return True for an NVIDIA GPU."""
    return device.partition(":")[0] == "cuda"


def is_installed(module: str) -> bool:
    """Return True if a package is installed, without importing it."""
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def has_torch() -> bool:
    """Return True if PyTorch is installed, without importing it."""
    return is_installed("torch")


def _may_have_gpu() -> bool:
    """Return False if PyTorch or the driver of a GPU is certainly missing; quick.

    Importing PyTorch to ask it takes longer than segmenting a volume.
    """
    if not has_torch():
        return False
    if "torch" in sys.modules:
        return True
    if importlib.metadata.version("torch").endswith("+cpu"):
        return False
    if sys.platform == "darwin":
        return False
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True
