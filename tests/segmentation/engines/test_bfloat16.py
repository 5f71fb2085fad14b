"""Engines that compute in bfloat16."""

from __future__ import annotations

import numpy as np
import pytest
from engine_fakes import need

from napari_flomo import DEFAULT_MODEL
from napari_flomo.networks import build
from napari_flomo.segmentation import Segmenter
from napari_flomo.segmentation.engines import ModelSource, make_engine
from napari_flomo.volumes import read


def test_sensitive_parts_are_in_float32(card):
    """The precision of the compiled graphs, on any processor."""
    need("openvino-bf16")
    network = build("flomo-b0", in_channels=1, num_classes=3).eval()
    engine = make_engine("openvino-bf16", ModelSource(card, network=network), (32, 48))
    asked = [str(part.get_property("INFERENCE_PRECISION_HINT")) for part in engine._compiled]
    assert ["float32" in word for word in asked] == [True, False, True]
    for part, precise in zip(engine._compiled, (True, False, True), strict=True):
        kinds = {
            str(operation.get_rt_info()["runtimePrecision"].astype(str))
            for operation in part.get_runtime_model().get_ops()
            if "runtimePrecision" in operation.get_rt_info()
        }
        assert ("bf16" in kinds) is not precise


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bf16", "openvino-bf16"])
def test_labels_in_bfloat16(name, repository):
    """An engine in bfloat16 is accurate on a real heart, or not used."""
    need(name)
    volume = read(repository / "docs" / "samples" / "sunnybrook_ed.nii.gz")
    found, truth = (
        Segmenter.from_pretrained(DEFAULT_MODEL, "cpu", engine).segment(volume, slices=range(3, 7))
        for engine in (name, "eager")
    )
    ours, theirs = found.labels.data, truth.labels.data
    same = np.count_nonzero((ours == theirs) & (theirs > 0))
    assert 2 * same / (np.count_nonzero(ours) + np.count_nonzero(theirs)) >= 0.998
