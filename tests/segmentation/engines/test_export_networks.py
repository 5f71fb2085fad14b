"""Exported graphs of MADGNet, FM-BFF-Net and FIAS agree with the networks on a real heart."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from real_slices import (
    COLOURS,
    SIDE,
    STEPS,
    network_with_statistics,
    pictures,
    with_temperature,
)

from napari_flomo import cli
from napari_flomo.models import ModelCard, load_network, save_model
from napari_flomo.segmentation.engines import ENGINES, FORMATS
from napari_flomo.segmentation.engines.agreement import check_agreement
from napari_flomo.segmentation.output import Output

GRAPHS = {"onnx": "model.onnx", "openvino": "model.xml"}


@pytest.fixture(scope="module")
def models():
    """Folders of those that were made already."""
    return {}


def save(name: str, card: ModelCard, repository: Path, folder: Path) -> Path:
    """Write a model whose probabilities would show a difference."""
    images = pictures(name, repository)
    if name in COLOURS:
        card = replace(card, activation="sigmoid", labels=card.labels[:2], input_kind="photo")
    network, logits = network_with_statistics(card, images, name)
    card = replace(
        with_temperature(card, logits),
        name=name,
        network=name,
        in_channels=images.shape[1],
        preprocessing=STEPS,
    )
    save_model(folder, network, card, dtype="float32")
    return folder


def run(graph: Path, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Run an exported graph with its runtime alone."""
    found: Any
    if graph.suffix == ".onnx":
        import onnxruntime

        found = onnxruntime.InferenceSession(graph).run(["logits"], {"image": pixels})[0]
    else:
        from napari_flomo.segmentation.engines.openvino import import_openvino

        exact = {"INFERENCE_PRECISION_HINT": "f32"}
        compiled = import_openvino().Core().compile_model(graph, "CPU", exact)
        found = compiled({"image": pixels})["logits"]
    return np.array(found)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fias", "madgnet-resnet50", "fm-bff-net"])
@pytest.mark.parametrize("form", GRAPHS)
def test_agrees_with_the_network(
    form, name, *, card, models, repository, tmp_path, tmp_path_factory
):
    for package in FORMATS[form]:
        pytest.importorskip(package)
    if name not in models:
        models[name] = save(name, card, repository, tmp_path_factory.mktemp("shelf") / name)
    out = tmp_path / "exported"
    assert cli.main(["export", str(models[name]), "--format", form, "--out", str(out), "-q"]) == 0

    network, kept = load_network(models[name])
    images = pictures(name, repository)
    notes = json.loads((out / "preprocessing.json").read_text(encoding="utf-8"))
    assert notes["input"]["shape"] == [None, kept.in_channels, SIDE, SIDE]
    assert notes["output"]["shape"] == [None, kept.num_classes, SIDE, SIDE]
    with torch.inference_mode():
        truth = network(torch.from_numpy(images)).logits.numpy()
    for some in (slice(None), slice(1)):  # several slices, and one alone
        found = run(out / GRAPHS[form], images[some])
        seen = check_agreement(ENGINES["eager"], Output(found), Output(truth[some]), kept)
        assert seen.dice > 0, "the slices must show a structure"
