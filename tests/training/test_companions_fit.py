"""Companion networks from recipe to labels and uncertainty."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest

from flomo_training.fit import train
from flomo_training.recipe import parse_recipe
from napari_flomo.models import load_card
from napari_flomo.segmentation import Segmenter
from napari_flomo.volumes import read

MIXING = {"kind": "mixing", "dice": 0.4, "cross_entropy": 0.6}
MULTI_TASK = {"kind": "multi_task"}


def train_and_segment(content, dataset, out, *, network, loss, epochs, **arguments):
    """Train by a small recipe; return the losses of the epochs and the result for a case."""
    arguments["deep_supervision"] = True
    content["model"] |= {"network": network, "network_arguments": arguments}
    content["crops"]["stages"] = [{"from_epoch": 0, "size": 32}]
    recipe = parse_recipe(content | {"loss": loss, "epochs": epochs}, Path("recipe.yaml"))
    model = train(recipe, dataset, out)
    with (out / "curves" / "metrics.csv").open() as file:
        losses = [float(row["train/loss"]) for row in csv.DictReader(file)]
    assert "deep_supervision" not in load_card(model).network_arguments
    segmentation = Segmenter.from_pretrained(model).segment(
        read(dataset / "images" / "p0_a.nii.gz"), slices=[1]
    )
    return losses, segmentation


@pytest.mark.parametrize(
    ("network", "loss", "arguments"),
    [
        ("fias", MIXING, {"channels": [8, 16, 32, 64]}),
        pytest.param("madgnet-resnet50", MULTI_TASK, {}, marks=pytest.mark.slow),
        pytest.param("fm-bff-net", {"dice": 1.0, "cross_entropy": 1.0}, {}, marks=pytest.mark.slow),
    ],
)
def test_companions_learn(content, dataset, tmp_path, *, network, loss, arguments):
    fast = network == "fias"
    losses, segmentation = train_and_segment(
        content, dataset, tmp_path, network=network, loss=loss, epochs=3 if fast else 2, **arguments
    )
    assert all(math.isfinite(value) for value in losses)
    assert not fast or losses[-1] < 0.9 * losses[0]
    uncertainty = segmentation.uncertainty["entropy"].data[1]
    assert uncertainty.shape == (72, 72)
    assert np.isfinite(uncertainty).all()
    assert uncertainty.max() > 0
    assert set(np.unique(segmentation.labels.data)) <= {0, 2, 5}
