"""Adaptation of a network to the corrected slices of one study."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from flomo_training.finetuning import adapt_to_study, corrected_frame, segment_again
from napari_flomo.errors import Cancelled, FlomoError, NothingLearnt
from napari_flomo.models import load_network
from napari_flomo.networks import LinearCorrection, build
from napari_flomo.segmentation import Segmenter

SEEN = [(0, 0), (0, 2), (0, 4)]


@pytest.fixture
def segmenter(base):
    """The small model, with some of its layers named as those of features."""
    network, card = load_network(base)
    network.feature_layers = ("unet.skip_layers.downsample", "unet.skip_layers.upsample")
    return Segmenter(network, card, "cpu")


@pytest.fixture
def study(make_disc, segmenter):
    """An image whose reader draws the cavity by another rule: wider, all over the wall."""
    image, labels = make_disc(5, slices=6)
    return image, labels.with_data(np.where(labels.data == 2, 5, labels.data))


def test_corrections_of_some_slices_improve_others(study, segmenter):
    image, truth = study
    weights = {name: value.clone() for name, value in segmenter.network.state_dict().items()}
    before = segmenter.segment(image).labels.data
    seen = []
    found = segment_again(segmenter, image, truth, SEEN, progress=seen.append)
    others = [number for number in range(6) if (0, number) not in SEEN]
    wrong = [(labels[others] != truth.data[others]).sum() for labels in (before, found.labels.data)]
    assert wrong[1] < 0.8 * wrong[0]
    learnt = found.manifest["adapted_to_study"]
    assert learnt["slices"] == len(SEEN)
    assert learnt["wrong_pixels_after"] < learnt["wrong_pixels_before"]
    assert found.card is segmenter.card
    kept = segmenter.network.state_dict()
    assert all(torch.equal(value, kept[name]) for name, value in weights.items())
    assert np.array_equal(segmenter.segment(image).labels.data, before)
    done = [one.done for one in seen if one.message.startswith("Learning")]
    assert done == sorted(done)
    assert done[-1] == next(one.total for one in seen if one.message.startswith("Learning"))


def test_nothing_to_learn(study, segmenter):
    image, _truth = study
    right = segmenter.segment(image).labels
    with pytest.raises(NothingLearnt, match="Nothing was changed"):
        segment_again(segmenter, image, right, SEEN)


def test_cancelled(study, segmenter, card):
    image, truth = study
    frame = corrected_frame(image, truth, [0, 2], card)
    asked = iter([False, False, True])
    with pytest.raises(Cancelled):
        adapt_to_study(segmenter.network, card, [frame], cancelled=lambda: next(asked))


def test_a_network_without_feature_layers(study, segmenter, thresholds):
    image, truth = study
    other = Segmenter(thresholds(), segmenter.card, "cpu")
    with pytest.raises(FlomoError, match="FLoMo-Net"):
        segment_again(other, image, truth, SEEN)


def test_the_correction_is_linear_in_the_features():
    torch.manual_seed(0)
    network = build("flomo-b0", in_channels=1, num_classes=3).eval()
    corrected, images = LinearCorrection(network), torch.rand(2, 1, 32, 48)
    with torch.no_grad():
        plain = network(images).logits
        assert torch.equal(corrected(images).logits, plain)
        logits, features = corrected.feature_maps(images)
        weights, bias = torch.randn(features.shape[1], 3) / 100, torch.randn(3)
        corrected.set_correction(weights, bias)
        wanted = torch.einsum("nfhw,fk->nkhw", features, weights) + bias[:, None, None]
        assert torch.equal(logits, plain)
        torch.testing.assert_close(corrected(images).logits, plain + wanted, rtol=1e-4, atol=1e-4)
    assert not list(network._forward_hooks)
    with pytest.raises(ValueError, match="does not name its feature layers"):
        LinearCorrection(torch.nn.Identity())
