"""A network other than FLoMo-Net in Slicer."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from FLoMoSegmentationLib import scene_sync
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
from napari_flomo.session import RunFailed, uncertainty_maps


@pytest.fixture(scope="module")
def fias(tmp_path_factory):
    """The folder of a narrow FIAS with random weights."""
    import torch

    folder = tmp_path_factory.mktemp("models") / "narrow"
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
    save_model(folder, network, card)
    return folder


@pytest.fixture
def segmented(make_logic, real_worker, oblique, fias):
    """The logic, and a heart that the narrow network segmented."""
    logic = make_logic(real_worker)
    node = add_volume(oblique)
    logic.segment(node, str(fias), "cpu", "all")
    finish(logic, 120)
    return logic, logic.images.of(node)


def expected(logic, scene_image, fias, *names):
    segmenter = Segmenter.from_pretrained(fias, "cpu", "fast")
    return segmenter.segment(logic.session.image(scene_image.key).volume, maps=names)


def compute(logic, scene_image, name, model=""):
    logic.compute_map(scene_image, name, "cpu", model)
    finish(logic, 120)
    return slicer.util.arrayFromVolume(scene_image.results.uncertainty)


def test_segments_like_the_segmenter(segmented, fias):
    logic, scene_image = segmented
    image = logic.session.image(scene_image.key)
    wanted = expected(logic, scene_image, fias, "entropy")
    drawn = scene_sync.read_labels(
        scene_image.nodes, scene_image.results.segmentation, image.segmentation.card, None
    )
    labels = drawn[0] if drawn.ndim == 4 else drawn
    assert len(np.unique(wanted.labels.data)) > 1
    assert np.mean(labels != wanted.labels.data) < 1e-3  # ties, in another process
    uncertainty = slicer.util.arrayFromVolume(scene_image.results.uncertainty)
    assert np.allclose(uncertainty, wanted.uncertainty["entropy"].data, atol=1e-3)


def test_computes_monte_carlo_variance_on_request(segmented, fias):
    logic, scene_image = segmented
    there = logic.session.image(scene_image.key).segmentation
    assert "mc_variance" in uncertainty_maps.maps_offered(there.card.network, there.uncertainty)
    labels = slicer.util.arrayFromVolume(scene_image.results.proposed).copy()
    found = compute(logic, scene_image, "mc_variance")
    wanted = expected(logic, scene_image, fias, "mc_variance").uncertainty["mc_variance"].data
    assert wanted.max() > 0
    assert np.allclose(found, wanted, atol=0.02 * wanted.max())
    display = scene_image.results.uncertainty.GetDisplayNode()
    assert display.GetWindowLevelMax() == pytest.approx(float(found.max()))
    assert np.array_equal(slicer.util.arrayFromVolume(scene_image.results.proposed), labels)


def test_rejects_a_map_that_the_network_lacks(segmented):
    logic, scene_image = segmented
    there = logic.session.image(scene_image.key).segmentation
    assert "network_cosine" not in uncertainty_maps.maps_offered(
        there.card.network, there.uncertainty
    )
    events = []
    logic.session.subscribe(events.append)
    before = slicer.util.arrayFromVolume(scene_image.results.uncertainty).copy()
    assert np.array_equal(compute(logic, scene_image, "network_cosine"), before)
    assert isinstance(events[-1], RunFailed)
    assert "has no map 'network_cosine' of its own" in events[-1].problem.sentence
    assert scene_image.results.shown_map == "entropy"


def test_after_loading_only_the_same_model_computes_maps(segmented, fias):
    logic, scene_image = segmented
    logic.images.clear()  # the folder of the model is not in the scene
    scene_image = logic.images.open_segmented(scene_image.nodes.volume)
    assert logic.session.image(scene_image.key).model == ""
    events = []
    logic.session.subscribe(events.append)
    compute(logic, scene_image, "mc_entropy", "flomo-b0-acdc")
    assert isinstance(events[-1], RunFailed), "another model is not taken, nor is one of this name"
    assert "narrow" in events[-1].problem.sentence
    compute(logic, scene_image, "mc_entropy", str(fias))
    assert scene_image.results.shown_map == "mc_entropy"
