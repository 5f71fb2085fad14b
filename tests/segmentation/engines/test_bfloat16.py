"""Engines that compute in bfloat16, on the bundled model and a real heart."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from napari_flomo import DEFAULT_MODEL
from napari_flomo.models import load_network
from napari_flomo.networks import build
from napari_flomo.segmentation.engines import ENGINES, make_engine, obstacle
from napari_flomo.segmentation.engines.checking import NEAR_LABELS, compare
from napari_flomo.segmentation.preprocessing import prepare
from napari_flomo.volumes import read

CPU = torch.device("cpu")
MARKS = {"precise_0", "DisablePrecisionConversion_0"}
"""What OpenVINO makes of the mark, in older and newer versions."""


def test_openvino_is_told_what_stays_in_float32() -> None:
    pytest.importorskip("openvino")
    from napari_flomo.segmentation.engines.openvino import keep_float32, to_graph

    network = build("flomo-b0", in_channels=1, num_classes=3).eval()
    graph = to_graph(network, 1, (32, 32), batch=1)
    marked = keep_float32(graph, network.sensitive)
    assert len(marked.get_ops()) == len(graph.get_ops())
    found = {
        operation.get_friendly_name().removeprefix("__module.inner.")
        for operation in marked.get_ops()
        if MARKS & {str(key) for key in operation.get_rt_info()}
    }
    parts = {re.match(r"decoder\.\d|\w+", name)[0] for name in found}
    assert parts == set(network.sensitive)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bf16", "openvino-bf16"])
def test_labels_hardly_move(name: str, repository: Path) -> None:
    reason = obstacle(ENGINES[name], CPU)
    if reason is not None:
        pytest.skip(reason)
    network, card = load_network(DEFAULT_MODEL)
    volume = read(repository / "docs" / "samples" / "sunnybrook_ed.nii.gz")
    images, _ = prepare(volume.data, volume.in_plane_spacing, card.preprocessing)
    images = images.contiguous(memory_format=torch.channels_last)
    engine = make_engine(name, network, channels=1, size=images.shape[-2:], device=CPU)
    with torch.inference_mode():
        found = compare(engine(images), network(images), card)
    assert 0 < found.difference < 0.1  # rounded, then
    assert found.dice >= NEAR_LABELS
