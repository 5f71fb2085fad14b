"""Choose the device."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_flomo.errors import FlomoError

if TYPE_CHECKING:
    import torch


def choose_device(device: str | torch.device = "auto") -> torch.device:
    """Return the device to compute on; raise `FlomoError` if it does not exist here.

    ``"auto"`` is the GPU if CUDA finds one, else the CPU; otherwise any name that torch knows, such
    as ``"cpu"``, ``"cuda"`` or ``"cuda:1"``.
    """
    import torch

    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise FlomoError(
            f"There is no device called {device!r}; choose auto, cpu or cuda."
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
        return chosen
    try:
        torch.empty(1, device=chosen)
    except (RuntimeError, NotImplementedError, AssertionError) as error:
        raise FlomoError(
            f"The device {device} cannot be used here; choose auto, cpu or cuda."
        ) from error
    return chosen
