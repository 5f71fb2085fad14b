"""Errors of recipes name the key."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from flomo_training.export import training_protocol
from flomo_training.recipe import RECIPES as RECIPE_FOLDER
from flomo_training.recipe import parse_recipe, read_recipe
from napari_flomo.errors import FlomoError

MIXING = {"kind": "mixing", "dice": 1.0}
RECIPES = sorted(RECIPE_FOLDER.glob("*.yaml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.name)
def test_recipes_of_the_project_are_valid(path):
    assert read_recipe(path).crops.size(0) > 0


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"epoch": 3}, "epoch"),
        ({"epochs": "many"}, "epochs"),
        ({"epochs": 0}, "epochs"),
        ({"precision": "fp8"}, "precision"),
        ({"crops": {"stages": [], "jitter": 1, "anywhere": 0}}, "crops.stages"),
        ({"data": {"source": "."}}, "fold"),
        ({"distillation": {"teachers": []}}, "at least one"),
        ({"distillation": {"teachers": ["a"], "share": 1.5}}, "share"),
        ({"encoder": {"file": "m.safetensors", "repo": "timm/x"}}, "needs 'commit', 'size'"),
        ({"encoder": {"file": "m.safetensors"}, "start_from": "flomo-b0-acdc"}, "exclude"),
        ({"loss": {}}, "needs a positive weight of dice"),
        ({"loss": {"kind": "mixing", "focal_tversky": 1.0}}, "needs a positive weight"),
        ({"loss": MIXING | {"deep_supervision": 0.4}}, "has no deep_supervision"),
        ({"loss": {"kind": "multi_task", "dice": 1.0}}, "has no"),
        ({"loss": {"kind": "hinge", "dice": 1.0}}, "kind"),
    ],
)
def test_invalid_recipes(content, change, named):
    with pytest.raises(FlomoError, match=named):
        parse_recipe(content | change, Path("recipe.yaml"))


def test_missing_and_broken_files(tmp_path):
    with pytest.raises(FlomoError, match="does not exist"):
        read_recipe(tmp_path / "absent.yaml")
    path = tmp_path / "recipe.yaml"
    for content in ("a: [1, 2", "!!python/object/apply:os.system ['true']"):
        path.write_text(content)
        with pytest.raises(FlomoError, match="cannot be read"):
            read_recipe(path)


def test_protocol_of_the_card_names_the_start_model(recipe):
    assert "starting" not in training_protocol(recipe)
    protocol = training_protocol(replace(recipe, start_from="parent", average=0.99))
    assert "starting from its parent" in protocol
    assert "mean of the last weights" in protocol


def test_the_crop_size_follows_the_epoch(recipe):
    assert [recipe.crops.size(epoch) for epoch in range(4)] == [32, 32, 48, 48]
