"""bfloat16 is used only if the hardware supports it."""

from __future__ import annotations

import pytest
import torch

from flomo_training.precision import choose_precision


@pytest.mark.parametrize("accelerator", ["cpu", "gpu", "auto"])
def test_explicit_precision_is_used(accelerator):
    assert choose_precision("32", accelerator) == "32"
    assert choose_precision("bf16", accelerator) == "bf16"


@pytest.mark.parametrize(
    ("has", "chosen"),
    [({}, "32"), ({"avx512_bf16": False}, "32"), ({"avx512_bf16": True}, "bf16"),
     ({"amx_bf16": True}, "bf16")],
)  # fmt: skip
def test_emulated_bfloat16_is_not_used(monkeypatch, has, chosen):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: has, raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_precision("auto", "cpu") == choose_precision("auto", "auto") == chosen


@pytest.mark.parametrize(("can", "chosen"), [(True, "bf16"), (False, "32")])
def test_precision_on_a_gpu(monkeypatch, can, chosen):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: can)
    assert choose_precision("auto", "gpu") == choose_precision("auto", "auto") == chosen
