"""Uncertainty maps that viewers offer, and their texts."""

from __future__ import annotations

import numpy as np
import pytest

from napari_flomo.segmentation import MAPS
from napari_flomo.session import uncertainty_maps


def test_computed_maps_come_first():
    offered = uncertainty_maps.maps_offered(
        "flomo-b0", ("variance", "network_cosine_stage2", "entropy")
    )
    assert offered[:3] == ["variance", "network_cosine_stage2", "entropy"]
    assert len(offered) == len(set(offered))
    assert {"tta_entropy", "mutual_information", "network_distrust"} < set(offered)
    assert not any(name.startswith("mc_") for name in offered)


@pytest.mark.parametrize(("network", "own"), [("fias", "mc_"), ("unet", ""), ("flomo-b1", "net")])
def test_a_network_offers_what_it_has(network, own):
    offered = uncertainty_maps.maps_offered(network, ["entropy"])
    of_its_own = [name for name in offered if name.startswith(("mc_", "network_"))]
    assert bool(of_its_own) == bool(own)
    assert all(name.startswith(own) for name in of_its_own)
    assert all(MAPS[name].stage is None for name in offered)


def test_texts_of_a_map():
    assert (
        uncertainty_maps.offer_text("variance")
        == "Not computed yet: takes 8 times as long as Segment."
    )
    assert uncertainty_maps.offer_text("mc_entropy").endswith("takes 17 times as long as Segment.")
    assert uncertainty_maps.offer_text("network_cosine").endswith("takes as long as Segment.")
    assert (
        uncertainty_maps.entry_of("variance", ["entropy"]) == "Variance over views (not computed)"
    )
    assert uncertainty_maps.entry_of("variance", ["variance"]) == "Variance over views"
    assert uncertainty_maps.title_of("my_own") == "My own", "a map of a model to come"


def test_largest_shown():
    voxels = np.array([[0.0, 0.125], [0.0625, 0.0]], np.float32)
    for name in ("entropy", "tta_entropy", "network_entropy", "mc_entropy", "my_own"):
        assert uncertainty_maps.largest_shown(name, voxels) == 1, "these fill their range"
    for name in ("variance", "mutual_information", "mc_variance", "mc_mutual_information"):
        assert uncertainty_maps.largest_shown(name, voxels) == 0.125
        assert uncertainty_maps.largest_shown(name, 0 * voxels) == 1, "nothing divides by zero"
