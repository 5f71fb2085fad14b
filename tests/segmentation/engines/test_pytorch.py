"""The engines of PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
from engine_fakes import SIZE, Small, truth_of

from napari_flomo import networks
from napari_flomo.segmentation.engines import ENGINES, EngineError, make_engine, registry
from napari_flomo.segmentation.engines.pytorch import TorchEngine


@pytest.mark.parametrize("name", ["eager", "bf16"])
def test_logits_and_maps(name, source, network, images, monkeypatch):
    monkeypatch.setattr(registry, "computes_in_bfloat16", lambda _: True)  # slow here, but right
    found = make_engine(name, source, SIZE)(images, maps=True)
    truth = truth_of(network, images, maps=True)
    assert found.logits.dtype == np.float32
    assert np.allclose(found.logits, truth.logits, atol=0.05 if name == "bf16" else 1e-5)
    assert found.maps.keys() == truth.maps.keys()


def test_low_precision_overflow(images):
    """A later slice may leave the range of float16, when the first one was right."""

    class Overflow(Small):
        def forward(self, images):
            return networks.Output(super().forward(images).logits * float("inf"))

    engine = TorchEngine(ENGINES["bf16"], Overflow(3).eval(), "cpu")
    with pytest.raises(EngineError, match="not finite"):
        engine(images)
