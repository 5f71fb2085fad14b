"""Distillation from teachers."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml

from flomo_training.cases import list_cases
from flomo_training.fit import train
from flomo_training.leaks import fingerprints
from flomo_training.lineage import check_teachers
from flomo_training.losses import DistillationLoss
from flomo_training.recipe import Distillation, parse_recipe
from flomo_training.teachers import Teachers
from napari_flomo.errors import FlomoError
from napari_flomo.models import load_card


@pytest.fixture
def make_teacher(make_model, dataset):
    """Return a function that saves a model which did not see the held-out fold."""
    clean = tuple(fingerprints(list_cases(dataset, 0, "training")).values())

    def make(name="teacher", *, trained_on=clean, **changes):
        return str(make_model(name, trained_on=trained_on, **changes))

    return make


def test_the_ensemble_is_the_mean_of_its_members(recipe, make_teacher):
    names = [make_teacher("a", seed=1), make_teacher("b", seed=2)]
    images = torch.rand(2, 1, 32, 32)
    one, two = (Teachers([name], recipe.model, torch.device("cpu"))(images) for name in names)
    both = Teachers(names, recipe.model, torch.device("cpu"))(images)
    assert not torch.allclose(one, two)
    assert torch.allclose(both, (one + two) / 2, atol=1e-6)
    assert torch.allclose(both.sum(dim=1), torch.ones(2, 32, 32), atol=1e-5)


def test_distillation_loss_is_minimal_for_equal_predictions(recipe):
    loss = DistillationLoss(recipe.loss)
    probabilities = torch.softmax(4 * torch.randn(2, 3, 16, 16), dim=1)
    agreeing = torch.log(probabilities)
    assert loss(agreeing, probabilities) < loss(
        agreeing + 0.5 * torch.randn(2, 3, 16, 16), probabilities
    )
    assert loss(agreeing, probabilities) < loss(-agreeing, probabilities)


def test_teacher_of_another_task_is_rejected(recipe, make_teacher):
    coarse = replace(recipe.model.preprocessing, pixel_mm=2.0)
    with pytest.raises(FlomoError, match="other pixel size"):
        Teachers([make_teacher(preprocessing=coarse)], recipe.model, torch.device("cpu"))
    fewer = make_teacher("swapped", labels=(recipe.model.labels[0], *recipe.model.labels[:0:-1]))
    with pytest.raises(FlomoError, match="other labels"):
        Teachers([fewer], recipe.model, torch.device("cpu"))


def test_teacher_trained_on_the_held_out_fold_is_rejected(recipe, dataset, make_teacher):
    everyone = tuple(fingerprints(list_cases(dataset, 0, "all")).values())
    learning = replace(recipe, distillation=Distillation((make_teacher(trained_on=everyone),)))
    with pytest.raises(FlomoError, match="which fold 0 holds out; learn from"):
        check_teachers(learning, dataset)
    # Without a held-out fold any teacher is allowed.
    assert check_teachers(replace(learning, data=replace(learning.data, fold=None)), dataset)


def test_the_example_in_the_docs_is_a_recipe(new_content, repository):
    text = (repository / "docs" / "training.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```yaml\n(distillation:.*?)```", text, re.DOTALL)
    recipe = parse_recipe(new_content() | yaml.safe_load(example), Path("recipe.yaml"))
    assert recipe.teachers == ("runs/teacher-fold0/model",)
    everyone = replace(recipe, data=replace(recipe.data, fold=None))
    assert everyone.teachers == ("runs/teacher-foldnone/model",)


def test_teachers_are_not_part_of_the_checkpoint(recipe, dataset, make_teacher, tmp_path):
    seen = tuple(sorted(fingerprints(list_cases(dataset, 0, "training")).values()))
    learning = replace(
        recipe, epochs=1, distillation=Distillation((make_teacher(trained_on=(*seen, "ff")),), 0.5)
    )
    model = train(learning, dataset, tmp_path / "run")
    kept = torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)["state_dict"]
    assert all(name.startswith("network.") for name in kept)
    card = load_card(model)
    assert "distilled from 1 teacher" in (card.protocol or "")
    assert set(card.trained_on or ()) == {*seen, "ff"}


def test_a_run_without_a_held_out_fold_uses_every_patient(recipe, dataset, tmp_path):
    everyone = sorted(fingerprints(list_cases(dataset, 0, "all")).values())
    whole = replace(recipe, epochs=1, data=replace(recipe.data, fold=None))
    card = load_card(train(whole, dataset, tmp_path / "run"))
    assert list(card.trained_on or ()) == everyone
    assert "all patients" in (card.protocol or "")
