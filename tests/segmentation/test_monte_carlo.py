"""Maps of Monte Carlo attention are reproducible, in any batch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from napari_flomo.errors import Cancelled
from napari_flomo.networks import build, stochastic_forward
from napari_flomo.segmentation import Segmenter, batches
from napari_flomo.segmentation.maps import DRAWS, DRAWS_SEED
from napari_flomo.segmentation.output import as_probabilities
from napari_flomo.segmentation.scores import predictive_entropy
from napari_flomo.segmentation.tta import VIEWS
from napari_flomo.volumes import Geometry, Volume

DRAWN = ("mc_entropy", "mc_mutual_information", "mc_variance")


@pytest.fixture(scope="module")
def network():
    """A narrow FIAS with lively gates, so that its draws differ visibly."""
    torch.manual_seed(3)
    made = build("fias", in_channels=1, num_classes=3, channels=(8, 16, 16, 32))
    for name, module in made.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # norms as after a training: without them signals die out
        if name.endswith("monte_carlo.gate"):
            nn.init.constant_(module.weight, 8.0)
    made.head.weight.data *= 20
    with torch.no_grad():
        made.train()(torch.rand(4, 1, 32, 32))
    return made.eval()


@pytest.fixture
def fias_card(card):
    arguments = {"channels": [8, 16, 16, 32]}
    return replace(card, name="drawing", network="fias", network_arguments=arguments)


@pytest.fixture
def volume():
    generator = np.random.default_rng(1)
    row, column = np.mgrid[:32, :24]
    slices = [np.hypot(row - 14 - n, column - 11) < 6 + n for n in range(3)]
    data = np.stack(slices) * 600 + generator.integers(0, 300, (3, 32, 24))
    geometry = Geometry((1.4, 1.4, 8.0), (0.0, 0.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
    axes = ("slices", "rows", "columns")
    return Volume(data.astype(np.int16), geometry, axes, modality="MR")


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_maps_against_samples(network, fias_card, volume, activation):
    """Against a plain computation from the samples of every combination that was drawn."""
    labels = fias_card.labels if activation == "softmax" else (
        *fias_card.labels, replace(fias_card.labels[-1], code=201, name="third")
    )  # fmt: skip
    card = replace(fias_card, activation=activation, labels=labels, temperature=1.5)
    made = Segmenter(network, card, "cpu")
    plain = made.segment(volume)
    result = made.segment(volume, maps=DRAWN)
    assert list(result.uncertainty) == list(DRAWN)
    assert np.array_equal(result.labels.data, plain.labels.data)
    assert result.manifest["monte_carlo"] == {"passes": DRAWS, "seed": DRAWS_SEED}
    assert "monte_carlo" not in plain.manifest

    from napari_flomo.networks import Draws

    draws = Draws(network, DRAWS, DRAWS_SEED)
    assert len(set(draws.combinations)) == DRAWS
    grey = volume.data.astype(np.float32)
    images = torch.from_numpy((grey - grey.min()) / (grey.max() - grey.min()))[:, None]
    with torch.inference_mode():
        samples = np.stack(
            [as_probabilities(draws(images, n).logits.numpy(), card) for n in range(DRAWS)]
        )
    assert np.ptp(samples, 0).max() > 0.02
    mean = samples.mean(0)
    entropy = predictive_entropy(mean, activation)
    own = np.mean([predictive_entropy(one, activation) for one in samples], 0)
    scatter = samples.var(0)
    share = scatter.sum(1) * 1.5 if activation == "softmax" else scatter.mean(1) * 4
    expected = (entropy, (entropy - own).clip(0, 1), share)
    for name, wanted in zip(DRAWN, expected, strict=True):
        found = result.uncertainty[name]
        assert found.geometry == volume.geometry
        assert found.data.max() > 5e-4, name
        assert np.allclose(found.data, wanted, atol=1e-4), name


def test_maps_do_not_depend_on_the_batch(network, fias_card, volume, monkeypatch):
    made = Segmenter(network, fias_card, "cpu")
    torch.manual_seed(0)
    together = made.segment(volume, maps=DRAWN)
    assert together.manifest["batch"] == 3
    torch.manual_seed(99)
    monkeypatch.setattr(batches, "CPU_PIXELS", 1)
    alone = Segmenter(network, fias_card, "cpu").segment(volume, slices=[2], maps=DRAWN)
    for name in DRAWN:
        one, other = (result.uncertainty[name].data[2] for result in (alone, together))
        assert np.allclose(one, other, atol=1e-4), name


def test_samples_come_from_the_plain_network(network, fias_card, volume):
    reference = Segmenter(network, fias_card, "cpu").segment(volume, slices=[1], maps=DRAWN)
    pytest.importorskip("openvino")
    fast = Segmenter(network, fias_card, "cpu", "openvino").segment(volume, slices=[1], maps=DRAWN)
    assert fast.manifest["engine"]["slices"] == {"openvino": 1}
    for name in DRAWN:
        found, wanted = fast.uncertainty[name].data, reference.uncertainty[name].data
        assert np.allclose(found, wanted, atol=1e-6), name


def test_network_stays_deterministic(network, fias_card, volume):
    """Also while draws are made: another thread may compare an engine with it."""
    images = torch.rand(1, 1, 32, 32)
    said = []

    def during(_):
        with torch.inference_mode():
            said.append(network(images).logits)

    Segmenter(network, fias_card, "cpu").segment(volume, maps=DRAWN, progress=during)
    assert len(said) == 2 + DRAWS
    assert all(torch.equal(one, said[0]) for one in said)
    with torch.inference_mode(), stochastic_forward(network):
        drawn = {network(images).logits.sum().item() for _ in range(12)}
    assert len(drawn) > 1


def test_progress_and_cancel_between_draws(network, fias_card, volume):
    made = Segmenter(network, fias_card, "cpu")
    seen = []
    names = [*DRAWN, "variance"]
    made.segment(
        volume,
        slices=[0, 1],
        maps=names,
        progress=lambda reported: seen.append((reported.done, reported.total)),
    )
    total = 2 * (len(VIEWS) + DRAWS)
    assert seen == [(done, total) for done in range(0, total + 1, 2)]
    answers = iter([False, False, False, True])
    with pytest.raises(Cancelled):
        made.segment(volume, maps=DRAWN, cancelled=lambda: next(answers))
