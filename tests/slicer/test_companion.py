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


@pytest.fixture(scope="module")
def real_worker():
    worker = make_worker()
    close, worker.close = worker.close, lambda: None
    yield worker
    close()


@pytest.fixture
def segmented(make_logic, real_worker, oblique, fias):
    """The logic, and a heart that the narrow network segmented."""
    logic = make_logic(real_worker)
    node = add_volume(oblique)
    logic.segment(node, str(fias), "cpu", "all")
    finish(logic, 120)
    return logic, logic.entry_of(node)


def expected(logic, entry, fias, *names):
    segmenter = Segmenter.from_pretrained(fias, "cpu", "fast")
    return segmenter.segment(logic.session.image(entry.key).volume, maps=names)


def compute(logic, entry, name, model=""):
    logic.compute_map(entry, name, "cpu", model)
    finish(logic, 120)
    return slicer.util.arrayFromVolume(entry.record.uncertainty)


def test_segmented_by_the_real_worker(segmented, fias):
    logic, entry = segmented
    image = logic.session.image(entry.key)
    wanted = expected(logic, entry, fias, "entropy")
    drawn = results.read_labels(
        entry.source, entry.record.segmentation, image.segmentation.card, None
    )
    labels = drawn[0] if drawn.ndim == 4 else drawn
    assert len(np.unique(wanted.labels.data)) > 1
    assert np.mean(labels != wanted.labels.data) < 1e-3  # ties, in another process
    uncertainty = slicer.util.arrayFromVolume(entry.record.uncertainty)
    assert np.allclose(uncertainty, wanted.uncertainty["entropy"].data, atol=1e-3)


def test_what_the_network_draws_is_computed_when_asked_for(segmented, fias):
    logic, entry = segmented
    there = logic.session.image(entry.key).segmentation
    assert "mc_variance" in uncertainty_maps.maps_offered(there.card.network, there.uncertainty)
    labels = slicer.util.arrayFromVolume(entry.record.proposed).copy()
    found = compute(logic, entry, "mc_variance")
    wanted = expected(logic, entry, fias, "mc_variance").uncertainty["mc_variance"].data
    assert wanted.max() > 0
    assert np.allclose(found, wanted, atol=0.02 * wanted.max())
    display = entry.record.uncertainty.GetDisplayNode()
    assert display.GetWindowLevelMax() == pytest.approx(float(found.max()))
    assert np.array_equal(slicer.util.arrayFromVolume(entry.record.proposed), labels)


def test_a_map_that_the_network_lacks_is_refused_with_the_reason(segmented):
    logic, entry = segmented
    there = logic.session.image(entry.key).segmentation
    assert "network_cosine" not in uncertainty_maps.maps_offered(
        there.card.network, there.uncertainty
    )
    events = []
    logic.session.subscribe(events.append)
    before = slicer.util.arrayFromVolume(entry.record.uncertainty).copy()
    assert np.array_equal(compute(logic, entry, "network_cosine"), before)
    assert isinstance(events[-1], RunFailed)
    assert "has no map 'network_cosine' of its own" in events[-1].problem.sentence
    assert entry.record.map == "entropy"


def test_after_loading_the_chosen_model_is_taken_if_it_made_the_labels(segmented, fias):
    logic, entry = segmented
    logic.clear()  # as after the scene was loaded: nobody knows in which folder the model lies
    entry = logic.known(entry.source.node)
    assert logic.session.image(entry.key).model == ""
    events = []
    logic.session.subscribe(events.append)
    compute(logic, entry, "mc_entropy", "flomo-b0-acdc")
    assert isinstance(events[-1], RunFailed), "another model is not taken, nor is one of this name"
    assert "narrow" in events[-1].problem.sentence
    compute(logic, entry, "mc_entropy", str(fias))
    assert entry.record.map == "mc_entropy"
