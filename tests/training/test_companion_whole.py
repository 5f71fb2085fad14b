"""Companion networks end to end: recipe, training, evaluation, viewer session, Hub."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest

from flomo_training.fit import train
from flomo_training.recipe import parse_recipe
from napari_flomo.cli import main
from napari_flomo.models import load_card
from napari_flomo.segmentation import Segmenter
from napari_flomo.session import Session
from napari_flomo.volumes import read

PLOTTED_ORDERS = ("mc_entropy", "mc_mutual_information", "mc_variance")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A separate user folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLOMO_HOME", str(tmp_path_factory.mktemp("home")))
        yield


def trained(content, dataset, out, loss):
    """Train for one epoch on small crops; return the model folder."""
    content["crops"]["stages"] = [{"from_epoch": 0, "size": 32}]
    recipe = parse_recipe(content | {"loss": loss, "epochs": 1}, Path("recipe.yaml"))
    return train(recipe, dataset, out)


@pytest.fixture(scope="module")
def model(home, new_content, dataset, tmp_path_factory):
    """A narrow FIAS network trained for one epoch."""
    loss = {"kind": "mixing", "dice": 0.4, "cross_entropy": 0.6}
    return trained(new_content(), dataset, tmp_path_factory.mktemp("run"), loss)


@pytest.fixture(scope="module")
def segmented(model, dataset, tmp_path_factory):
    """Labels and a Monte Carlo map of a case from the command line."""
    folder = tmp_path_factory.mktemp("segmented")
    image = dataset / "images" / "p0_a.nii.gz"
    options = ["--model", model, "--device", "cpu", "--engine", "eager", "-q"]
    options += ["--map", f"mc_variance={folder / 'spread.nii.gz'}"]
    arguments = ["segment", image, "-o", folder / "labels.nii.gz", *options]
    assert main([*map(str, arguments)]) == 0
    return folder


def test_evaluated_with_its_uncertainty(model, dataset, tmp_path, capsys):
    report = tmp_path / "report"
    given = ["--model", model, "--data", dataset, "--fold", "0", "--uncertainty", report]
    assert main(["evaluate", *map(str, given)]) == 0
    capsys.readouterr()
    found = json.loads((report / "report.json").read_text())
    assert found["network"] == "fias"
    assert set(PLOTTED_ORDERS) <= set(found["maps"])
    assert not any(name.startswith("network_") for name in found["maps"])
    assert set(PLOTTED_ORDERS) <= set(found["finding"]["wrong voxels, every volume"]["found"])


def test_segmented_with_a_map_of_its_draws(segmented):
    labels = read(segmented / "labels.nii.gz")
    spread = read(segmented / "spread.nii.gz")
    assert set(np.unique(labels.data)) <= {0, 2, 5}
    assert spread.geometry.same_space(labels.geometry)
    assert 0 < spread.data.max() <= 1


def test_in_the_session_of_a_viewer(model, segmented, dataset):
    image = read(dataset / "images" / "p0_a.nii.gz")
    session = Session()
    try:
        key = session.add(image, "heart")
        session.segment(key, str(model), "cpu").result(120)
        session.uncertainty(key, "cpu", ["mc_variance"], str(model)).result(120)
        held = session.image(key)
        assert np.array_equal(held.labels.data, read(segmented / "labels.nii.gz").data)
        spread = held.segmentation.uncertainty["mc_variance"].data
        assert np.allclose(spread, read(segmented / "spread.nii.gz").data, atol=1e-5)
        assert len(held.review.order) == image.n_slices
    finally:
        session.close()


def test_published_and_downloaded(model, segmented, dataset, hub, tmp_path):
    assert main(["models", "push", str(model), "--repo", "lab/fias"]) == 0
    held = hub.repositories["lab/fias"]
    assert b"fias" in held.commits[held.refs["main"]]["README.md"]
    image, labels = dataset / "images" / "p0_a.nii.gz", tmp_path / "labels.nii.gz"
    options = ["--model", "hf:lab/fias", "--device", "cpu", "--engine", "eager", "-q"]
    assert main(["segment", str(image), "-o", str(labels), *options]) == 0
    assert np.array_equal(read(labels).data, read(segmented / "labels.nii.gz").data)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "loss"),
    [
        ("madgnet-resnet50", {"kind": "multi_task"}),
        ("fm-bff-net", {"dice": 1.0, "cross_entropy": 1.0}),
    ],
)
def test_larger_companions_are_trained(content, dataset, tmp_path, network, loss):
    content["model"] |= {"network": network, "network_arguments": {"deep_supervision": True}}
    model = trained(content, dataset, tmp_path, loss)
    with (tmp_path / "curves" / "metrics.csv").open() as file:
        assert all(math.isfinite(float(row["train/loss"])) for row in csv.DictReader(file))
    assert "deep_supervision" not in load_card(model).network_arguments
    image = read(dataset / "images" / "p0_a.nii.gz")
    result = Segmenter.from_pretrained(model).segment(image, slices=[1])
    uncertainty = result.uncertainty["entropy"].data[1]
    assert np.isfinite(uncertainty).all()
    assert uncertainty.max() > 0
    assert set(np.unique(result.labels.data)) <= {0, 2, 5}
