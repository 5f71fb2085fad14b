"""A network other than FLoMo-Net in Slicer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import slicer
from helpers import add_volume, finish, painted

from napari_flomo import DEFAULT_MODEL
from napari_flomo.models import IntensityRule, Preprocessing, build_network, info, save_model
from napari_flomo.segmentation import Segmenter
from napari_flomo.session import RunFailed, uncertainty_maps


@pytest.fixture(scope="module")
def fias(tmp_path_factory):
    """The folder of a narrow FIAS with random weights."""
    import torch

    folder = tmp_path_factory.mktemp("models") / "narrow"
    card = replace(
        info(DEFAULT_MODEL)[1],
        name="narrow",
        network="fias",
        network_arguments={"channels": [8, 16, 16, 32]},
        preprocessing=Preprocessing(None, None, IntensityRule("percentile", 1, 99)),
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


def compute(logic, scene_image, name, model=""):
    logic.compute_map(scene_image, name, "cpu", model)
    finish(logic, 120)
    return slicer.util.arrayFromVolume(scene_image.results.uncertainty)


def test_computes_monte_carlo_variance_on_request(segmented, fias):
    logic, scene_image = segmented
    image = logic.session.image(scene_image.key)
    offered = uncertainty_maps.maps_offered("fias", image.segmentation.uncertainty)
    assert "mc_variance" in offered
    assert "network_cosine" not in offered
    labels = painted(logic, scene_image)[0]
    wanted = Segmenter.from_pretrained(fias, "cpu", "fast").segment(
        image.volume, maps=("entropy", "mc_variance")
    )
    assert len(np.unique(wanted.labels.data)) > 1
    assert np.mean(labels != wanted.labels.data) < 1e-3  # ties, in another process
    entropy = slicer.util.arrayFromVolume(scene_image.results.uncertainty)
    assert np.allclose(entropy, wanted.uncertainty["entropy"].data, atol=1e-3)
    found, variance = compute(logic, scene_image, "mc_variance"), wanted.uncertainty["mc_variance"]
    assert variance.data.max() > 0
    assert np.allclose(found, variance.data, atol=0.02 * variance.data.max())
    display = scene_image.results.uncertainty.GetDisplayNode()
    assert display.GetWindowLevelMax() == pytest.approx(float(found.max()))
    assert np.array_equal(painted(logic, scene_image)[0], labels)


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
