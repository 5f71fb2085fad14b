"""Which engines are usable, and the reasons if one is not."""

from __future__ import annotations

import pytest
import torch
from engine_fakes import SIZE, Small

from napari_flomo.errors import FlomoError
from napari_flomo.segmentation import Segmenter
from napari_flomo.segmentation.engines import (
    CHOICES,
    ENGINES,
    chosen_engine,
    make_engine,
    registry,
    unavailable_reason,
)

CPU = "cpu"


def test_environment_overrides_auto(monkeypatch, source):
    monkeypatch.setenv("FLOMO_ENGINE", "eager")
    assert chosen_engine("auto", CPU) == "eager"
    assert chosen_engine("openvino", CPU) == "openvino"  # a name always means that one
    monkeypatch.setenv("FLOMO_ENGINE", "warp")
    with pytest.raises(FlomoError, match="no engine 'warp'; choose among auto, fastest, eager"):
        chosen_engine("auto", CPU)
    with pytest.raises(FlomoError, match="no engine 'warp'"):
        make_engine("warp", source, SIZE)
    assert set(ENGINES) < set(CHOICES)


def test_missing_package(monkeypatch, card):
    monkeypatch.setattr(registry, "is_installed", lambda module: module != "openvino")
    with pytest.raises(FlomoError, match=r"needs openvino.*pip install openvino"):
        Segmenter(Small(3), card, "cpu", engine="openvino")


def test_wrong_device_for_an_engine():
    gpu = "cuda"
    assert "computes on the CPU, not on cuda" in str(unavailable_reason(ENGINES["openvino"], gpu))
    assert "an NVIDIA GPU, not on cpu" in str(unavailable_reason(ENGINES["fp16"], CPU))


@pytest.mark.parametrize(
    ("flags", "can"),
    [
        ({}, False),
        ({"avx512_bf16": False}, False),
        ({"avx512_bf16": True}, True),
        ({"amx_bf16": True}, True),
    ],
)
def test_bfloat16_support(monkeypatch, flags, can):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: flags, raising=False)
    assert registry.computes_in_bfloat16(CPU) is can
    assert (unavailable_reason(ENGINES["bf16"], CPU) is None) is can


def test_unknown_bfloat16_support(monkeypatch):
    def fail():
        raise RuntimeError("unknown processor")

    monkeypatch.setattr(torch.cpu, "get_capabilities", fail, raising=False)
    assert not registry.computes_in_bfloat16(CPU)
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert not registry.computes_in_bfloat16(CPU)
    assert not registry.computes_in_bfloat16("mps")


def test_pytorch_is_missing(monkeypatch):
    monkeypatch.setattr(registry, "has_torch", lambda: False)
    for name in ("eager", "compile", "bf16", "openvino-bf16"):
        assert "napari-flomo[torch]" in str(unavailable_reason(ENGINES[name], CPU))


def test_compile_needs_a_compiler(monkeypatch):
    monkeypatch.setattr(registry.shutil, "which", lambda name: None)
    assert "compiler" in str(unavailable_reason(ENGINES["compile"], CPU))
