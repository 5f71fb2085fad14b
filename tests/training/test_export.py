"""From one set of weights to the next: the card remembers."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from flomo_training.export import supersede, training_protocol
from napari_flomo.errors import FlomoError
from napari_flomo.models import build_network, load_card, load_network, save_model
from napari_flomo.models.readme import readme_text


@pytest.fixture
def versions(recipe, tmp_path):
    """Return the folders of two models of one name, with other weights."""
    folders = []
    for number, dice in enumerate((0.8, 0.9)):
        card = replace(
            recipe.model, network_arguments={}, metrics={"mean_dice": dice}, created="2026-01-01"
        )
        torch.manual_seed(number)
        folders.append(tmp_path / f"model{number}")
        save_model(folders[-1], build_network(card).eval(), card)
    return folders


def test_a_successor_brings_its_weights_and_remembers_the_former(versions):
    old, new = versions
    former, better = load_card(old), load_card(new)
    supersede(old, new)
    card = load_card(old)
    assert card.sha256 == better.sha256
    assert card.metrics["mean_dice"] == 0.9
    assert [version["sha256"] for version in card.history] == [former.sha256]
    assert card.history[0]["metrics"]["mean_dice"] == 0.8
    weights, expected = (load_network(folder)[0].state_dict() for folder in versions)
    assert all(torch.equal(weights[name], expected[name]) for name in expected)
    assert f"mean Dice 0.8, `{former.sha256}`" in readme_text(card, "somebody/model")


def test_a_model_does_not_follow_itself_or_another(versions, tmp_path):
    old, new = versions
    supersede(old, new)
    with pytest.raises(FlomoError, match="other weights"):
        supersede(old, new)
    network, card = load_network(new)
    save_model(tmp_path / "other", network, replace(card, name="other"))
    with pytest.raises(FlomoError, match="same name"):
        supersede(old, tmp_path / "other")


def test_the_protocol_tells_where_a_run_started(recipe):
    assert "starting" not in training_protocol(recipe)
    told = training_protocol(replace(recipe, start_from="parent", average=0.99))
    assert "starting from its parent" in told
    assert "mean of the last weights" in told
