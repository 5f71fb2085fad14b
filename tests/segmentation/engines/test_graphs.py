"""Graphs of models: without PyTorch, verified, cached, made when missing."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from engine_fakes import need

from napari_flomo import DEFAULT_MODEL
from napari_flomo.models import GRAPH_FILE, load_card, load_network, locate, save_model, verify
from napari_flomo.segmentation import Segmenter
from napari_flomo.segmentation.engines import GRAPH_ENGINES, write_graph
from napari_flomo.segmentation.engines.agreement import FLOAT32_TOLERANCE
from napari_flomo.volumes import read

SLICES = [2, 6]
WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None
from napari_flomo.segmentation import Segmenter
from napari_flomo.volumes import read
image, out = sys.argv[1:]
maps = ("entropy", "variance")
result = Segmenter.from_pretrained("flomo-b0-acdc").segment(
    read(image), slices=[2, 6], maps=maps, mirrored=True
)
result.save(out)
print(result.manifest["engine"]["name"], "torch" in result.manifest["versions"])
"""


@pytest.fixture(scope="module")
def image(repository):
    return repository / "docs" / "samples" / "sunnybrook_ed.nii.gz"


@pytest.fixture(scope="module")
def truth(image):
    segmenter = Segmenter.from_pretrained(DEFAULT_MODEL, "cpu", engine="eager")
    return segmenter.segment(read(image), slices=SLICES, maps=("variance",), mirrored=True)


def differing(labels, truth):
    """Count voxels with another label, where PyTorch is not undecided."""
    best = np.sort(truth.probabilities.data, 0)
    tie = best[-1] - best[-2] <= FLOAT32_TOLERANCE
    return int(((labels != truth.labels.data) & ~tie).sum())


def test_the_bundled_graph_computes_what_pytorch_does(truth, image):
    for name in GRAPH_ENGINES:
        need(name)
        segmenter = Segmenter.from_pretrained(DEFAULT_MODEL, "cpu", engine=name)
        found = segmenter.segment(read(image), slices=SLICES, maps=("variance",), mirrored=True)
        assert found.manifest["engine"]["name"] == name
        assert differing(found.labels.data, truth) == 0
        for one, other in (
            (found.probabilities.data, truth.probabilities.data),
            (found.uncertainty["variance"].data, truth.uncertainty["variance"].data),
        ):
            assert np.abs(one - other).max() < FLOAT32_TOLERANCE
    assert len(np.unique(truth.labels.data)) == 4


def test_without_pytorch(run_python, image, truth, tmp_path):
    need("openvino")
    out = tmp_path / "labels.nii.gz"
    result = run_python("-c", WITHOUT_TORCH, str(image), str(out))
    assert result.stdout == "openvino False\n", result.stderr
    assert differing(read(out).data, truth) == 0


@pytest.fixture
def model(tmp_path, card, network):
    """A model folder whose card has a crop of 32 pixels, without a graph."""
    folder = shutil.copytree(locate(DEFAULT_MODEL), tmp_path / "model")
    (folder / GRAPH_FILE).unlink()
    content = json.loads((folder / "card.json").read_text())
    content |= {"graph": None, "name": "mine"}
    content["preprocessing"]["crop"] = 32
    (folder / "card.json").write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize("harm", ["missing", "damaged", "other weights"])
def test_wrong_graph_is_not_used(model, harm, caplog, make_heart):
    need("openvino")
    heart = make_heart(slices=2, size=32)
    plain = Segmenter.from_pretrained(model, "cpu", engine="eager").segment(heart)
    write_graph(model)
    graph = model / GRAPH_FILE
    if harm == "missing":
        graph.unlink()
    elif harm == "damaged":
        graph.write_bytes(graph.read_bytes()[:-1])
    else:
        shutil.copyfile(locate(DEFAULT_MODEL) / GRAPH_FILE, graph)
    result = Segmenter.from_pretrained(model, "cpu").segment(heart)
    assert result.manifest["engine"]["name"] == "eager"
    assert "The graph of mine is missing or damaged" in caplog.text
    assert np.array_equal(result.labels.data, plain.labels.data)


def test_a_missing_graph_is_made_when_idle(model, make_heart, home):
    need("openvino")
    heart = make_heart(slices=2, size=32)
    segmenter = Segmenter.from_pretrained(model, "cpu")
    first = segmenter.segment(heart)
    segmenter.prepare_graphs()
    then = segmenter.segment(heart)
    again = Segmenter.from_pretrained(model, "cpu").segment(heart)
    names = [one.manifest["engine"]["name"] for one in (first, then, again)]
    assert names == ["eager", "openvino", "openvino"]
    assert differing(then.labels.data, first) == differing(again.labels.data, first) == 0
    (graph,) = home.rglob("graphs/*.onnx")
    graph.write_bytes(graph.read_bytes()[:-1])
    damaged = Segmenter.from_pretrained(model, "cpu").segment(heart)
    assert damaged.manifest["engine"]["name"] == "eager"


def test_the_graph_of_a_model_is_verified_and_kept(model, tmp_path):
    need("onnxruntime")
    card = write_graph(model)
    assert card.graph is not None
    assert load_card(model) == card
    assert card.files == ("card.json", "model.safetensors", "model.onnx")
    network, _ = load_network(model)
    assert save_model(tmp_path / "next", network, card).graph is None  # it was of other weights
    assert verify([DEFAULT_MODEL])[0].problem is None
