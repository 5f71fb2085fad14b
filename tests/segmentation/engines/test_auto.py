"""The engine ``auto`` with the bundled model, the sample and the installed libraries."""

from __future__ import annotations

import json
import shutil
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from napari_flomo import DEFAULT_MODEL
from napari_flomo.models import load_network, save_model
from napari_flomo.segmentation import Segmentation, Segmenter
from napari_flomo.segmentation.engines import candidates, records, runner, timing
from napari_flomo.segmentation.engines.agreement import FLOAT32_TOLERANCE
from napari_flomo.volumes import Volume, read

pytestmark = pytest.mark.slow
CPU = torch.device("cpu")
SLICES = [2, 6]


def segment(segmenter: Segmenter, image: Volume) -> Segmentation:
    return segmenter.segment(image, slices=SLICES, keep_probabilities=True)


def auto(model: Any = DEFAULT_MODEL) -> Segmenter:
    return Segmenter.from_pretrained(model, "cpu", engine="auto")


def labels_differ(ours: Segmentation, truth: Segmentation) -> int:
    """Count voxels with another label, where the plain network is not undecided."""
    best = np.sort(truth.probabilities.data, 0)
    tie = best[-1] - best[-2] <= FLOAT32_TOLERANCE
    different: NDArray[np.bool_] = ours.labels.data != truth.labels.data
    return int((different & ~tie).sum())


@dataclass
class Settled:
    """What a first process leaves behind, and what it said before and after."""

    home: Path
    before: Segmentation
    after: Segmentation


@pytest.fixture(scope="module")
def image(repository):
    return read(repository / "docs" / "samples" / "sunnybrook_ed.nii.gz")


@pytest.fixture(scope="module")
def truth(image):
    return segment(Segmenter.from_pretrained(DEFAULT_MODEL, "cpu", engine="eager"), image)


@pytest.fixture(scope="module")
def settled(tmp_path_factory, image):
    """Segment, find the best engine in another thread as a viewer's worker does, segment again."""
    if len(candidates("auto", CPU)) < 3:
        pytest.skip("neither OpenVINO nor ONNX Runtime is installed")
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLOMO_HOME", str(home))
        patch.delenv("FLOMO_ENGINE", raising=False)
        segmenter = auto()
        before = segment(segmenter, image)
        thread = threading.Thread(target=segmenter.find_fastest_engine)
        thread.start()
        thread.join()
        return Settled(home, before, segment(segmenter, image))


@pytest.fixture
def home(settled, tmp_path, monkeypatch):
    """The cache as the first process left it, to be damaged."""
    copy = shutil.copytree(settled.home, tmp_path / "home")
    monkeypatch.setenv("FLOMO_HOME", str(copy))
    monkeypatch.delenv("FLOMO_ENGINE", raising=False)
    return copy


@pytest.fixture
def measured(monkeypatch):
    """The engines of every measurement, of which only the plain network is really measured."""
    seen = []

    def quicker(kinds, *arguments, **options):
        seen.append([kind.name for kind in kinds])
        return timing.measure(kinds[:1], *arguments, **options)

    monkeypatch.setattr(timing, "ROUNDS", 1)
    monkeypatch.setattr(runner, "measure", quicker)
    return seen


def test_choice_and_times_are_cached(home, settled):
    (kept,) = records.all_records()
    assert kept.trials.keys() == {kind.name for kind in candidates("auto", CPU)}
    for name, trial in kept.trials.items():
        assert not trial.fault, name
        assert trial.seconds > 0
        assert trial.difference < FLOAT32_TOLERANCE
    assert kept.chosen == timing.choose(kept.trials)
    text = next((home / "engines").glob("*.json")).read_text()
    assert str(settled.home) not in text


def test_manifest_entry(home, settled):
    (kept,) = records.all_records()
    for result, name, reason in (
        (settled.before, "fast", "no other was measured yet"),
        (settled.after, kept.chosen, "measured"),
    ):
        assert json.loads(json.dumps(result.manifest["engine"])) == {
            "asked": "auto",
            "name": name,
            "precision": "float32",
            "threads": torch.get_num_threads(),
            "slices": {name: len(SLICES)},
            "reason": reason,
        }


def test_labels_equal_those_of_the_plain_network(settled, truth):
    assert len(np.unique(truth.labels.data)) == 4
    assert labels_differ(settled.before, truth) == 0
    assert labels_differ(settled.after, truth) == 0


def test_another_process_uses_the_cache(home, image, truth, measured):
    (kept,) = records.all_records()
    segmenter = auto()
    segmenter.warm_up()
    result = segment(segmenter, image)
    segmenter.find_fastest_engine()
    assert measured == []
    reported = result.manifest["engine"]
    assert (reported["name"], reported["reason"]) == (kept.chosen, "measured")
    assert labels_differ(result, truth) == 0


def cut_record(folder: Path) -> None:
    record = next(folder.glob("*.json"))
    record.write_text(record.read_text()[:-20])


def flip_bits(folder: Path) -> None:
    graph = _graph(folder)
    content = bytearray(graph.read_bytes())
    content[len(content) // 2] ^= 0xFF
    graph.write_bytes(content)


def remove_graph(folder: Path) -> None:
    _graph(folder).unlink()


def other_computer(folder: Path) -> None:
    """A graph that is whole, and that the library here cannot use."""
    import hashlib

    graph = _graph(folder)
    graph.write_bytes(b"of another computer")
    record = next(folder.glob("*.json"))
    content = json.loads(record.read_text())
    digest = hashlib.sha256(graph.read_bytes()).hexdigest()
    content["graphs"] = dict.fromkeys(content["graphs"], digest)
    record.write_text(json.dumps(content))


def _graph(folder: Path) -> Path:
    found = list(folder.glob("*.graph"))
    if not found:
        pytest.skip("PyTorch was the fastest, so there is no graph to damage")
    return found[0]


@pytest.mark.parametrize("harm", [cut_record, flip_bits, remove_graph, other_computer])
def test_damaged_cache_is_measured_again(harm, home, image, truth, measured):
    harm(home / "engines")
    segmenter = auto()
    segmenter.warm_up()
    result = segment(segmenter, image)
    reported = result.manifest["engine"]
    assert (reported["name"], reported["reason"]) == ("fast", "no other was measured yet")
    assert labels_differ(result, truth) == 0
    segmenter.find_fastest_engine()
    assert measured == [[kind.name for kind in candidates("auto", CPU)]]
    (kept,) = records.all_records()
    assert kept.trials.keys() == {"eager"}  # what was damaged is replaced


def test_other_weights_are_measured_again(home, image, measured, tmp_path):
    network, card = load_network(DEFAULT_MODEL)
    with torch.no_grad():
        network.get_submodule("head").bias.add_(0.5 * torch.arange(card.num_classes))
    save_model(tmp_path / "tuned", network, card)
    segmenter = auto(tmp_path / "tuned")
    segmenter.warm_up()
    result = segment(segmenter, image)
    plain = segment(Segmenter.from_pretrained(tmp_path / "tuned", "cpu", engine="eager"), image)
    assert result.manifest["engine"]["name"] == "fast"
    assert labels_differ(result, plain) == 0
    segmenter.find_fastest_engine()
    assert len(measured) == 1
    assert len(records.all_records()) == 2
