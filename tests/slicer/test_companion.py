"""A network other than FLoMo-Net in Slicer: the logic takes it as it takes any model."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from FLoMoSegmentationLib import results
from FLoMoSegmentationLib.runner import make_worker
from helpers import add_volume, finish

from napari_flomo.models import (
    IntensityRule,
    Label,
    ModelCard,
    Preprocessing,
    build_network,
    save_model,
)
from napari_flomo.segmentation import Segmenter


@pytest.fixture
def fias(tmp_path):
    """The folder of a narrow FIAS with random weights."""
    import torch

    card = ModelCard(
        name="narrow",
        network="fias",
        network_arguments={"channels": [8, 16, 16, 32]},
        in_channels=1,
        input_kind="stack",
        labels=(
            Label(0, "background", "#000000"),
            Label(2, "left ventricular myocardium", "#00ff00"),
            Label(3, "left ventricle", "#ff0000"),
        ),
        preprocessing=Preprocessing(None, None, IntensityRule("percentile", 1, 99)),
        activation="softmax",
        licence="CC0-1.0",
        training_data="none",
    )
    with torch.random.fork_rng():
        torch.manual_seed(5)
        network = build_network(card)
    network.head.weight.data *= 40  # else no class is clearly ahead
    save_model(tmp_path / "narrow", network, card)
    return tmp_path / "narrow"


def test_segmented_by_the_real_worker(make_logic, oblique, fias):
    worker = make_worker()
    try:
        logic = make_logic(worker)
        node = add_volume(oblique)
        logic.segment(node, str(fias), "cpu", "all")
        finish(logic, 120)
        entry = logic.entry_of(node)
        image = logic.session.image(entry.key)
        wanted = Segmenter.from_pretrained(fias, "cpu", "fast").segment(image.volume)
        drawn = results.read_labels(
            entry.source, entry.record.segmentation, image.segmentation.card, None
        )
        labels = drawn[0] if drawn.ndim == 4 else drawn
        assert len(np.unique(wanted.labels.data)) > 1
        assert np.mean(labels != wanted.labels.data) < 1e-3  # ties, in another process
        doubt = slicer.util.arrayFromVolume(entry.record.doubt)
        assert np.allclose(doubt, wanted.uncertainty["entropy"].data, atol=1e-3)
    finally:
        worker.close()
