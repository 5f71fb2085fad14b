"""Imported official weights give the official result."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_flomo.errors import FlomoError
from napari_flomo.models import ModelCard, load_card, load_network

SCRIPT = Path(__file__).resolve().parents[2] / "training" / "import_reference.py"
SPEC = importlib.util.spec_from_file_location("import_reference", SCRIPT)
assert SPEC is not None
assert SPEC.loader is not None
script = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(script)

STRUCTURES = ("a", "b", "c", "d")


def make(weights: Path, folder: Path, **changes: Any) -> ModelCard:
    arguments: dict[str, Any] = {
        "name": "official",
        "structures": STRUCTURES,
        "licence": "unknown",
        "training_data": "random weights",
    }
    card: ModelCard = script.import_reference(weights, folder, **(arguments | changes))
    return card


@pytest.mark.shared
def test_the_model_equals_the_official_network(shared, tmp_path):
    import torch

    golden = shared / "goldens" / "flomo" / "w16"
    card = make(golden / "weights.npz", tmp_path / "official")
    assert (card.network, card.activation, card.num_classes) == ("flomo-b0", "sigmoid", 4)
    assert card == load_card(tmp_path / "official")

    network, _ = load_network(tmp_path / "official")
    arrays = np.load(golden / "weights.npz")
    kernel = arrays["head.kernel"].transpose(3, 2, 0, 1)
    assert np.array_equal(network.state_dict()["head.weight"].numpy(), kernel), (
        "not one bit changes"
    )
    # A card gives 0 to 1 where the official network was given 0 to 255.
    image = torch.from_numpy(np.load(golden / "input.npy")[:1]).permute(0, 3, 1, 2).float() / 255
    with torch.inference_mode():
        probabilities = network(image).logits.sigmoid().permute(0, 2, 3, 1).numpy()
    assert np.abs(probabilities - np.load(golden / "output.npy")[:1]).max() < 1e-4


@pytest.mark.shared
def test_a_background_channel(shared, tmp_path):
    weights = shared / "goldens" / "flomo" / "w16" / "weights.npz"
    card = make(weights, tmp_path / "m", structures=STRUCTURES[:3], crop=128, pixel_mm=1.5)
    assert card.activation == "softmax"
    assert [label.code for label in card.labels] == [0, 1, 2, 3]
    assert (card.preprocessing.crop, card.preprocessing.pixel_mm) == (128, 1.5)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"structures": ("a", "b")}, r"4 output channel\(s\), but 2 label\(s\).*name 3 .* or 4"),
        ({"crop": 100}, "'crop' that is a multiple of 16, not 100"),
        ({"crop": 512}, "'crop' of at most 256 pixels, not 512"),
        ({"name": "a/b"}, "'name' must consist of letters"),
        ({"structures": ("a", "a", "b", "c")}, "must not repeat a name"),
    ],
)
def test_wrong_arguments(shared, tmp_path, changes, message):
    with pytest.raises(FlomoError, match=message):
        make(shared / "goldens" / "flomo" / "w16" / "weights.npz", tmp_path / "m", **changes)
    assert not (tmp_path / "m").exists()


def test_files_without_official_weights(tmp_path):
    path = tmp_path / "weights.npz"
    with pytest.raises(FlomoError, match="There is no file"):
        make(path, tmp_path / "m")
    for content in (b"", b"no archive", b"PK\x03\x04 half an archive"):
        path.write_bytes(content)
        with pytest.raises(FlomoError, match="is not a NumPy archive"):
            make(path, tmp_path / "m")
    np.save(tmp_path / "one.npy", np.zeros(3))
    with pytest.raises(FlomoError, match="is not a NumPy archive"):
        make(tmp_path / "one.npy", tmp_path / "m")
    kernel = "head.kernel"
    for arrays, message in (
        ({kernel: np.array([{}], dtype=object)}, "is not a NumPy archive"),  # a pickle inside
        ({"other": np.zeros(3)}, r"no array head\.kernel"),
        ({kernel: np.zeros((1, 1, 17, 4))}, r"\(1, 1, 17, 4\)"),
        ({kernel: np.zeros((1, 1, 16, 4)), "head.bias": np.zeros(4)}, "the first is bridge"),
    ):
        np.savez(path, **arrays)
        with pytest.raises(FlomoError, match=message):
            make(path, tmp_path / "m")
    assert not (tmp_path / "m").exists()


@pytest.mark.shared
def test_the_script(shared, tmp_path):
    weights = shared / "goldens" / "flomo" / "w16" / "weights.npz"
    options = ["-o", str(tmp_path / "official"), "--labels", "RV,MYO,LV"]
    assert script.main([str(weights), *options]) == 0
    card = load_card(tmp_path / "official")
    assert (card.name, card.network, card.activation) == ("official", "flomo-b0", "softmax")


def test_the_script_reports_missing_weights(tmp_path, capsys):
    options = ["-o", str(tmp_path / "model"), "--labels", "a"]
    assert script.main([str(tmp_path / "none.npz"), *options]) == 2
    assert "There is no file" in capsys.readouterr().err
