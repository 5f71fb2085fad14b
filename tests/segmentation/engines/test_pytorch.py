"""The engines of PyTorch, lack of memory, and the manifest."""

from __future__ import annotations

import json

import pytest
import torch
from engine_fakes import CPU, SIZE, Small

from napari_flomo.networks import Output
from napari_flomo.segmentation import Segmenter
from napari_flomo.segmentation.engines import ENGINES, EngineError, make_engine, registry
from napari_flomo.segmentation.engines.pytorch import TorchEngine


@pytest.mark.parametrize("name", ["eager", "fast", "bf16"])
def test_logits_and_maps(name, network, images, monkeypatch):
    monkeypatch.setattr(registry, "computes_in_bfloat16", lambda _: True)  # slow here, but right
    engine = make_engine(name, network, channels=1, size=SIZE, device=CPU)
    with torch.inference_mode():
        found, truth = engine(images, maps=True), network(images)
    assert found.logits.dtype == torch.float32
    assert torch.allclose(found.logits, truth.logits, atol=0.05 if name == "bf16" else 1e-5)
    assert found.maps.keys() == truth.maps.keys()


def test_low_precision_overflow(images):
    """A later slice may leave the range of float16, when the first one was right."""

    class Overflow(Small):
        def forward(self, images):
            return Output(super().forward(images).logits * float("inf"))

    engine = TorchEngine(ENGINES["bf16"], Overflow(3).eval(), CPU)
    with torch.inference_mode(), pytest.raises(EngineError, match="not finite"):
        engine(images)


def test_the_manifest_tells(card, make_heart):
    made = Segmenter(Small(3), card, "cpu", engine="fast")
    result = made.segment(make_heart(slices=4), maps=("entropy", "variance"))
    reported = json.loads(json.dumps(result.manifest))["engine"]
    assert reported == {
        "asked": "fast",
        "name": "fast",
        "precision": "float32",
        "threads": torch.get_num_threads(),
        "slices": {"fast": 4 * 8},
        "reason": "asked for",
    }
