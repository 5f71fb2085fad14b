"""``flomo export``: the exported folder is enough to reproduce the labels."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_flomo.models import IntensityRule, Preprocessing
from napari_flomo.segmentation import Segmenter
from napari_flomo.segmentation.engines import FORMATS, exporting
from napari_flomo.volumes import Volume

Flomo = Callable[..., tuple[str, str]]
Refused = Callable[..., str]


@pytest.fixture(scope="module")
def make_model(save_random: Callable[..., Path]) -> Callable[..., Path]:
    """Save a small network with random weights; ``crop`` is the card's."""
    pytest.importorskip("monai")

    def make(crop: int | None) -> Path:
        preprocessing = Preprocessing(1.5, crop, IntensityRule("percentile", 1, 99))
        fields = {"network": "dynunet", "network_arguments": {"filters": [8, 16, 16]}}
        return save_random(**fields, preprocessing=preprocessing, temperature=1.7)

    return make


@pytest.fixture(scope="module")
def model(make_model: Callable[..., Path]) -> Path:
    return make_model(48)


def need(form: str) -> None:
    for package in FORMATS[form]:
        pytest.importorskip(package)


def run_onnx(graph: Path, images: NDArray[np.float32]) -> Any:
    import onnxruntime

    return onnxruntime.InferenceSession(graph).run(["logits"], {"image": images})[0]


def run_openvino(graph: Path, images: NDArray[np.float32]) -> Any:
    from napari_flomo.segmentation.engines.openvino import import_openvino

    assert "INFERENCE_PRECISION_HINT" in (graph.parent / "README.md").read_text(encoding="utf-8")
    exact = {"INFERENCE_PRECISION_HINT": "f32"}  # as the README says
    return import_openvino().Core().compile_model(graph, "CPU", exact)({"image": images})["logits"]


def follow_the_notes(notes: Any, run: Callable[..., Any], image: NDArray[Any]) -> NDArray[Any]:
    """Follow ``preprocessing.json``, for slices that have the right pixel size."""
    intensity, resample, crop = notes["before"]
    assert resample["pixel_mm"] == 1.5
    low, high = np.percentile(image, (intensity["low_percentile"], intensity["high_percentile"]))
    scaled = ((image - low) / (high - low)).clip(0, 1).astype(np.float32)
    side = crop["pixels"]
    top, left = ((n - side) // 2 for n in image.shape[1:])
    field = scaled[:, None, top : top + side, left : left + side]
    assert notes["input"]["shape"] == [None, *field.shape[1:]]
    logits = run(np.ascontiguousarray(field)) / notes["after"]["temperature"]
    assert notes["after"]["activation"] == "softmax"
    odds = np.exp(logits - logits.max(1, keepdims=True))
    probabilities = odds / odds.sum(1, keepdims=True)
    codes = np.array([one["code"] for one in notes["classes"]])
    labels = np.zeros(image.shape, np.uint8)
    labels[:, top : top + side, left : left + side] = codes[probabilities.argmax(1)]
    return labels


GRAPHS: dict[str, tuple[str, Callable[..., Any]]] = {
    "onnx": ("model.onnx", run_onnx),
    "openvino": ("model.xml", run_openvino),
}


@pytest.mark.parametrize("form", GRAPHS)
def test_exported_graph_gives_the_same_labels(
    form: str, model: Path, tmp_path: Path, make_heart: Callable[..., Volume], flomo: Flomo
) -> None:
    need(form)
    graph, run = GRAPHS[form]
    out = tmp_path / "exported"
    assert str(out / graph) in flomo("export", model, "--format", form, "--out", out)[0]
    names = {graph, "preprocessing.json", "example.npz", "card.json", "README.md"}
    assert {path.name for path in out.iterdir()} >= names
    assert [path.name for path in tmp_path.iterdir()] == ["exported"], "something was left behind"

    text = (out / "preprocessing.json").read_text(encoding="utf-8")
    notes = json.loads(text)
    assert notes["graph"] == graph
    assert str(tmp_path) not in text + (out / "README.md").read_text(encoding="utf-8")
    example = np.load(out / "example.npz")
    assert np.allclose(run(out / graph, example["image"]), example["logits"], atol=1e-4)

    volume = make_heart(slices=3, size=70)
    ours = Segmenter.from_pretrained(model, "cpu", engine="eager").segment(volume).labels.data
    theirs = follow_the_notes(notes, lambda images: run(out / graph, images), volume.data)
    assert len(np.unique(ours)) > 1
    assert (ours == theirs).all()


def test_size_option(
    model: Path, make_model: Callable[..., Path], tmp_path: Path, flomo: Flomo, refused: Refused
) -> None:
    need("onnx")
    out = tmp_path / "out"
    options = ["--format", "onnx", "--out", out]
    assert "sees 48 x 48 pixels" in refused("export", model, *options, "--size", 64, 64)
    command = ["export", make_model(None), *options]
    assert "--size ROWS COLUMNS" in refused(*command)
    assert "multiples of 16" in refused(*command, "--size", 40, 48)
    assert flomo(*command, "-q", "--size", 32, 48) == ("", "")
    logits = run_onnx(out / "model.onnx", np.zeros((2, 1, 32, 48), np.float32))
    assert logits.shape == (2, 3, 32, 48)


def test_folder_is_not_empty(model: Path, tmp_path: Path, refused: Refused) -> None:
    need("onnx")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    said = refused("export", model, "--format", "onnx", "--out", tmp_path / "out")
    assert "exists already" in said
    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"


def test_wrong_graph_is_not_written(
    model: Path, tmp_path: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    need("onnx")

    def write(network: Any, card: Any, size: Any, folder: Path) -> Any:
        (folder / "model.onnx").write_bytes(b"graph")
        return folder / "model.onnx", lambda images: np.random.rand(len(images), 3, *size)  # noqa: NPY002

    monkeypatch.setitem(exporting._WRITERS, "onnx", write)
    said = refused("export", model, "--format", "onnx", "--out", tmp_path / "out")
    assert "was not exported: its probabilities are off" in said
    assert list(tmp_path.iterdir()) == []


def test_missing_package(tmp_path: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "is_installed", lambda _: False)
    said = refused("export", "flomo-b0-acdc", "--format", "onnx", "--out", tmp_path / "out")
    assert "onnx and onnxruntime must be installed" in said
    assert "pip install 'napari-flomo[fast]'" in said
