"""In which numbers a training computes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch

Precision = Literal["auto", "32", "bf16"]


def choose_precision(wanted: Precision, accelerator: str) -> Literal["32", "bf16"]:
    """Return how to compute: where the hardware must emulate bfloat16, float32 is faster.

    Parameters
    ----------
    wanted
        ``"auto"`` takes bfloat16 (mixed) where the hardware computes in it.
    accelerator
        As Lightning names it; ``"auto"`` is the GPU if there is one.
    """
    if wanted != "auto":
        return wanted
    if accelerator in ("gpu", "cuda") or (accelerator == "auto" and torch.cuda.is_available()):
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "32"
    ask: Callable[[], Mapping[str, Any]] = getattr(torch.cpu, "get_capabilities", dict)
    has = ask()
    return "bf16" if has.get("avx512_bf16") or has.get("amx_bf16") else "32"
