"""The README of a model holds the content of its card and can be parsed by huggingface_hub."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard as HubCard

from napari_flomo.models import Concept, Label, ModelCard, load_network
from napari_flomo.models.readme import config_text, readme_text

METRICS = {
    "mean_dice": 0.9021,
    "interval_95": [0.88, 0.92],
    "dice": {"left ventricle": {"ED": 0.95, "all": 0.93}},
    "volumes": 32,
    "protocol": "3-D Dice in native spacing",
    "split": "validation",
    "training_hours": 3.5,
    "energy_kwh": 0.2,
}


@pytest.fixture
def described(card: ModelCard) -> ModelCard:
    """A card with everything that the README can show."""
    heart = Label(3, "left | ventricle", "#d62728", Concept("87878005", "Left ventricle"))
    return replace(
        card,
        labels=(*card.labels[:3], heart),
        licence="CC-BY-NC-SA-4.0",
        training_data="ACDC training set: 80 patients. Bernard et al. 2018.",
        metrics=METRICS,
        protocol="Trained without fold 0.",
        parent="mother 1234",
        created="2026-11-21",
        sha256="ab" * 32,
    )


def test_huggingface_hub_reads_the_header(described: ModelCard) -> None:
    page = HubCard(readme_text(described, "team/heart"))
    data = page.data
    assert data.license == "cc-by-nc-sa-4.0"
    assert data.library_name == "napari-flomo"
    assert data.pipeline_tag == "image-segmentation"
    assert "flomo-b0" in data.tags
    (result,) = data.eval_results
    assert (result.metric_type, result.metric_value) == ("dice", 0.9021)
    assert result.dataset_name == "ACDC training set: 80 patients (validation part)"


@pytest.mark.parametrize(
    "said",
    [
        "--model hf:team/heart",
        "| 1 | right ventricle |  | `#1f77b4` |",
        "| 3 | left \\| ventricle | 87878005 (Left ventricle) | `#d62728` |",
        "resampled to 1.25 mm",
        "percentiles 0.5 and 99.5",
        "| mean_dice | 0.9021 |",
        "| interval_95 | 0.88 to 0.92 |",
        "| dice, left ventricle, ED | 0.95 |",
        "Protocol: 3-D Dice in native spacing.",
        "Cost of the training: training hours: 3.5; energy kwh: 0.2.",
        "Trained without fold 0.",
        "not a medical device",
        "## Limits",
        "tuned from: mother 1234",
        "licence of the weights: CC-BY-NC-SA-4.0",
        "ab" * 32,
    ],
)
def test_readme_contains(described: ModelCard, said: str) -> None:
    assert said in readme_text(described, "team/heart")


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({"pixel_mm": None}, "- pixels: not resampled; field of view: "),
        ({"pixel_mm": None, "size": 320}, "- pixels: resampled, longer side 320; field of view: "),
        ({"neighbours": 1}, "channels: 3 (each slice between its 1 above and below)"),
    ],
)
def test_preprocessing(card: ModelCard, rules: dict[str, Any], said: str) -> None:
    channels = 3 if "neighbours" in rules else card.in_channels
    steps = replace(card.preprocessing, **rules)
    changed = replace(card, preprocessing=steps, in_channels=channels)
    assert said in readme_text(changed, "team/heart")


def test_no_metrics(card: ModelCard) -> None:
    text = readme_text(replace(card, metrics={}, licence="our own"), "team/heart")
    assert "Not measured." in text
    assert "model-index" not in text
    assert HubCard(text).data.license_name == "our-own"


def test_text_cannot_break_the_header(card: ModelCard) -> None:
    """Cards of other people are rendered, too."""
    nasty = 'x"\n---\nlicense: mit\n# [click](http://x)'
    page = HubCard(readme_text(replace(card, licence=nasty), "team/heart"))
    assert page.data.license == "other"


def test_huggingface_mixin_loads_a_published_model(make_model: Callable[..., Path]) -> None:
    """Without this package's registry, six lines around the network are enough."""
    import torch
    from huggingface_hub import PyTorchModelHubMixin

    from napari_flomo.networks.flomo import FlomoNet

    class Network(FlomoNet, PyTorchModelHubMixin):
        def __init__(
            self, network: str, in_channels: int, num_classes: int, network_arguments: dict
        ) -> None:
            width = {"flomo-b0": 16}[network]
            super().__init__(width, in_channels, num_classes, **network_arguments)

    folder = make_model()
    ours, card = load_network(folder)
    (folder / "config.json").write_text(config_text(card))
    theirs = Network.from_pretrained(str(folder)).eval()
    image = torch.rand(1, 1, 32, 32)
    with torch.inference_mode():
        assert torch.equal(theirs(image).logits, ours(image).logits)


def test_a_tuned_model_shows_its_lineage_and_the_gate(card: ModelCard) -> None:
    assert "compared with its parent" not in readme_text(card, "team/heart")
    tuned = replace(card, parent="base 12ab", lineage={"corrections": {"slices": 7, "groups": 2}})
    text = readme_text(tuned, "team/heart")
    assert "- tuned from: base 12ab\n  - corrections, slices: 7\n  - corrections, groups: 2" in text
    assert "- compared with its parent: not yet" in text
    judged = replace(tuned, gate={"verdict": "refused", "reasons": ["Dice | fell.", "ECE rose."]})
    text = readme_text(judged, "team/heart")
    assert "- compared with its parent: refused\n  - Dice \\| fell.\n  - ECE rose." in text
