"""Numerical precision of a training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch

Precision = Literal["auto", "32", "bf16"]


def choose_precision(wanted: Precision, accelerator: str) -> Literal["32", "bf16"]:
    """Return the precision to use; ``"auto"`` is bfloat16 (mixed) if the hardware supports it.

    Emulated bfloat16 is slower than float32. The accelerator is as for Lightning; ``"auto"`` is the
    GPU if there is one.
    """
    if wanted != "auto":
        return wanted
    if accelerator in ("gpu", "cuda") or (accelerator == "auto" and torch.cuda.is_available()):
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "32"
    ask: Callable[[], Mapping[str, Any]] = getattr(torch.cpu, "get_capabilities", dict)
    has = ask()
    return "bf16" if has.get("avx512_bf16") or has.get("amx_bf16") else "32"
