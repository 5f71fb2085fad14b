"""Training on real slices reaches a minimum Dice on held-out patients."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from flomo_training.evaluate import evaluate_folder
from flomo_training.fit import train
from flomo_training.gallery import WorstCases
from flomo_training.recipe import CropStage, read_recipe
from napari_flomo.segmentation import Segmenter

TRAINING, HELD_OUT = 12, 4
FLOOR = 0.4
"""Mean Dice to beat, over the three structures in both phases."""


@pytest.fixture(scope="module")
def few_patients(shared, tmp_path_factory, read_cases, write_cases):
    """Return a data folder with some of the patients of the folds 1 to 4, by links."""
    source, folder = shared / "data" / "acdc", tmp_path_factory.mktemp("acdc")
    for name in ("images", "labels"):
        (folder / name).symlink_to(source / name)
    folds = json.loads((source / "folds.json").read_text())["folds"]
    held_out, training = folds[1][:HELD_OUT], (folds[2] + folds[3])[:TRAINING]
    rows = read_cases(source).values()
    write_cases(folder, [row for row in rows if row["patient"] in {*held_out, *training}])
    (folder / "folds.json").write_text(json.dumps({"folds": [held_out, training]}))
    return folder


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_short_training_segments_the_heart(few_patients, tmp_path):
    recipe = read_recipe("acdc")
    recipe = replace(
        recipe,
        epochs=4,
        batch_size=8,
        workers=0,
        average=None,
        crops=replace(recipe.crops, stages=(CropStage(0, 96),)),
        model=replace(recipe.model, preprocessing=replace(recipe.model.preprocessing, crop=128)),
    )
    model = train(recipe, few_patients, tmp_path / "run")
    segmenter = Segmenter.from_pretrained(model, device="cpu")
    rows, summary = evaluate_folder(few_patients, 0, "validation", segmenter, WorstCases())
    assert len({row.patient for row in rows}) == HELD_OUT
    print(f"mean Dice {summary['mean_dice']}")  # seen with -s, and where it fails
    assert summary["mean_dice"] > FLOOR
