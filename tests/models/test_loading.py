"""Models are verified before use, saved whole or not at all, and never unpickled."""

from __future__ import annotations

import errno
import hashlib
import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn

from napari_flomo import networks
from napari_flomo.errors import FlomoError
from napari_flomo.models import (
    ModelCard,
    available,
    build_network,
    index,
    load_card,
    load_network,
    locate,
    save_model,
)
from napari_flomo.models.card import CARD_FILE, WEIGHTS_FILE

Make = Callable[..., Path]


@pytest.fixture
def trained(card: ModelCard) -> nn.Module:
    """FLoMo-Net-B0 whose batch norms have statistics other than 0 and 1."""
    torch.manual_seed(3)
    network = build_network(card).train()
    with torch.no_grad():
        for _ in range(2):
            network(torch.rand(2, 1, 32, 32))
    return network.eval()


def rewrite(folder: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Replace the weights and update the hash in the card, as a wrong export would."""
    content = safetensors.torch.save(tensors)
    (folder / WEIGHTS_FILE).write_bytes(content)
    restate(folder, sha256=hashlib.sha256(content).hexdigest())


def restate(folder: Path, **changes: object) -> None:
    path = folder / CARD_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_half_precision_is_loaded(trained: nn.Module, card: ModelCard, tmp_path: Path) -> None:
    written = save_model(tmp_path / "heart", trained, card)
    stored = safetensors.torch.load_file(tmp_path / "heart" / WEIGHTS_FILE)
    assert {t.dtype for name, t in stored.items() if "running" in name} == {torch.float32}
    size = sum(t.numel() * t.element_size() for t in stored.values())
    assert size < 0.52 * sum(t.numel() * 4 for t in stored.values())

    network, loaded = load_network(tmp_path / "heart")
    assert loaded == written == load_card(tmp_path / "heart")
    assert not network.training
    assert {p.dtype for p in network.parameters()} == {torch.float32}
    image = torch.rand(1, 1, 40, 48)
    with torch.inference_mode():
        before = trained(image).logits.softmax(1)
        after = network(image).logits.softmax(1)
    assert (before - after).abs().max() < 2e-3
    assert not torch.equal(before, after), "half precision must show somewhere"


def test_float32_is_exact(trained: nn.Module, card: ModelCard, tmp_path: Path) -> None:
    save_model(tmp_path / "heart", trained, card, dtype="float32")
    network, _ = load_network(tmp_path / "heart")
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point():
            assert torch.equal(tensor, trained.state_dict()[name]), name


def test_same_network_same_file(trained: nn.Module, card: ModelCard, tmp_path: Path) -> None:
    first = save_model(tmp_path / "a", trained, card)
    last = save_model(tmp_path / "b", trained.to(memory_format=torch.channels_last), card)
    assert first.card_hash == last.card_hash


def test_weights_beyond_float16_stay_in_float32(card: ModelCard, tmp_path: Path) -> None:
    network = build_network(card)
    with torch.no_grad():
        network.head.weight[0] = 1e6
    save_model(tmp_path / "heart", network, card)
    loaded, _ = load_network(tmp_path / "heart")
    assert float(loaded.head.weight[0].detach().max()) == 1e6


def test_nan_is_not_saved(card: ModelCard, tmp_path: Path) -> None:
    network = build_network(card)
    with torch.no_grad():
        network.head.bias[1] = float("nan")
    with pytest.raises(FlomoError, match=r"head\.bias holds NaN"):
        save_model(tmp_path / "heart", network, card)
    assert not (tmp_path / "heart").exists()


def test_network_that_does_not_fit_the_card_is_not_saved(card: ModelCard, tmp_path: Path) -> None:
    other = networks.build("flomo-b0", in_channels=1, num_classes=2)
    with pytest.raises(FlomoError, match=r"head\.weight has the shape \(2, "):
        save_model(tmp_path / "heart", other, card)
    assert not (tmp_path / "heart").exists()


def test_full_disk_keeps_the_old_model(
    make_model: Make, card: ModelCard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_model()
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def full(self: Path, *_: object, **__: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)  # the weights are there, the card fails
    for place in (folder, tmp_path / "new" / "model"):
        with pytest.raises(FlomoError, match="disk is full"):
            save_model(place, build_network(card), card)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert not (tmp_path / "new" / "model").exists()


def test_model_is_overwritten(make_model: Make, card: ModelCard) -> None:
    folder = make_model()
    save_model(folder, build_network(card), replace(card, temperature=2.0))
    assert load_network(folder)[1].temperature == 2.0
    assert sorted(path.name for path in folder.iterdir()) == ["card.json", "model.safetensors"]


@pytest.mark.parametrize("part", ["", "card.json", "model.safetensors"])
def test_locate_accepts_folder_or_file(make_model: Make, part: str) -> None:
    folder = make_model()
    assert locate(folder / part) == folder
    assert locate(str(folder / part)) == folder


def test_bundled_by_name(make_model: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    make_model(name="flomo-b0-acdc")
    make_model(name="other")
    (tmp_path / "no model").mkdir()
    monkeypatch.setattr(index, "BUNDLED", tmp_path)
    assert available() == ["flomo-b0-acdc", "other"]
    assert load_card("flomo-b0-acdc").name == "flomo-b0-acdc"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("flomo-b0-acdd", "did you mean 'flomo-b0-acdc'"),
        ("FLOMO-B0-ACDC", "did you mean 'flomo-b0-acdc'"),
        ("unet", "there are on this computer: flomo-b0-acdc"),
        ("./models/mine", "no model folder"),
    ],
)
def test_unknown_name(
    make_model: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, message: str
) -> None:
    make_model(name="flomo-b0-acdc")
    monkeypatch.setattr(index, "BUNDLED", tmp_path)
    monkeypatch.chdir(tmp_path.parent)
    with pytest.raises(FlomoError, match=message):
        load_network(name)


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".ckpt", ".pkl", ".bin"])
def test_pickles_are_refused_by_suffix(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"model{suffix}"
    path.write_bytes(pickle.dumps({}))
    with pytest.raises(FlomoError, match="never loaded"):
        load_network(path)


def test_pickle_in_disguise(make_model: Make, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str, str]]:
            return (open, (str(tmp_path / "sprung"), "w"))

    folder = make_model()
    content = pickle.dumps(Trap())
    (folder / WEIGHTS_FILE).write_bytes(content)
    restate(folder, sha256=hashlib.sha256(content).hexdigest())
    with pytest.raises(FlomoError, match="not a safetensors file"):
        load_network(folder)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("damage", ["truncated", "empty", "bit", "longer"])
def test_damaged_weights(make_model: Make, damage: str) -> None:
    folder = make_model()
    path = folder / WEIGHTS_FILE
    content = path.read_bytes()
    flipped = content[:-1] + bytes([content[-1] ^ 1])
    spoiled = {"truncated": content[:1000], "empty": b"", "bit": flipped, "longer": content + b"0"}
    path.write_bytes(spoiled[damage])
    with pytest.raises(FlomoError, match="damaged or were changed") as caught:
        load_network(folder)
    assert str(path) in str(caught.value)


def test_missing_files(make_model: Make) -> None:
    folder = make_model()
    (folder / WEIGHTS_FILE).unlink()
    with pytest.raises(FlomoError, match="weights of heart are missing"):
        load_network(folder)
    (folder / CARD_FILE).unlink()
    with pytest.raises(FlomoError, match=r"has no card\.json"):
        load_network(folder)


def test_weights_and_card_must_fit(make_model: Make) -> None:
    folder = make_model()
    good = safetensors.torch.load_file(folder / WEIGHTS_FILE)
    name = next(key for key in good if key.startswith("bridge"))
    missing = {key: value for key, value in good.items() if key != name}
    rewrite(folder, missing)
    with pytest.raises(FlomoError, match=f"{name} is missing"):
        load_network(folder)
    rewrite(folder, good | {name: torch.zeros(3, 5)})
    with pytest.raises(FlomoError, match=rf"{name} has the shape \(3, 5\) instead of"):
        load_network(folder)
    rewrite(folder, good | {"surplus": torch.zeros(3)})
    with pytest.raises(FlomoError, match="no tensor surplus"):
        load_network(folder)


def test_label_count_must_fit(make_model: Make) -> None:
    folder = make_model()
    labels = json.loads((folder / CARD_FILE).read_text())["labels"]
    restate(folder, labels=labels[:3])
    with pytest.raises(FlomoError, match=r"3 class\(es\)\): the tensor head\.weight has the shape"):
        load_network(folder)


def test_network_must_exist(make_model: Make) -> None:
    folder = make_model()
    restate(folder, network="unet")
    with pytest.raises(FlomoError, match=r"names the network 'unet'.*flomo-b0.*update"):
        load_network(folder)
    restate(folder, network="flomo-b0", network_arguments={"depth": 3})
    with pytest.raises(FlomoError, match=r"does not fit its network flomo-b0: .*depth"):
        load_network(folder)
    restate(folder, network_arguments={"num_classes": 3})
    with pytest.raises(FlomoError, match="num_classes"):
        load_network(folder)


def test_bundled_models_can_be_loaded() -> None:
    """A package with a wrong model file must not be released."""
    names = available()
    for name in names:
        network, card = load_network(name)
        assert card.name == name
        assert card.licence
        assert card.metrics
        assert not network.training
    if not names:
        pytest.skip("no model is bundled yet")


def test_a_card_without_unit_input_is_refused(card: ModelCard) -> None:
    """Its input would be 255 times too small, without an error."""
    wrong = replace(card, in_channels=3, network_arguments={"reference": True})
    with pytest.raises(FlomoError, match=r'intensities from 0 to 255.*add "unit_input": true'):
        build_network(wrong)
