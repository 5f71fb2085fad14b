"""Publishing a model with huggingface_hub on a local server."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flomo_tests_hub_helpers import CARD, CONTENT, PINS, REPO, assert_complete, download, refused

from napari_flomo.errors import FlomoError
from napari_flomo.models import index, load_network, pull, push
from napari_flomo.models.hub import HubSource
from napari_flomo.models.publish import upload

Files = dict[str, Path]


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Files of a model, by name."""
    for name, content in CONTENT.items():
        (tmp_path / name).write_bytes(content)
    return {name: tmp_path / name for name in CONTENT}


def test_upload_then_download(hub: Any, files: Files, folder: Path) -> None:
    commit = upload(files, "lab/heart")
    held = hub.repositories["lab/heart"]
    assert set(held.commits[commit]) == {*CONTENT, ".gitattributes"}
    assert not held.private
    assert len(held.commits) == 2, "the files did not come as one commit"
    assert download(HubSource("lab/heart"), folder, PINS) == commit
    assert_complete(folder)


def test_upload_again(hub: Any, files: Files) -> None:
    first = upload(files, "lab/heart", private=True)
    assert hub.repositories["lab/heart"].private
    files[CARD].write_bytes(b"{}")
    second = upload(files, "lab/heart", private=True)
    assert first != second
    assert hub.repositories["lab/heart"].commits[second][CARD] == b"{}"


def test_private_upload_to_a_public_repository(hub: Any, files: Files, commit: str) -> None:
    with refused(REPO, "is public", "nothing was sent"):
        upload(files, REPO, private=True)
    assert hub.repositories[REPO].refs["main"] == commit


@pytest.mark.parametrize(
    ("faults", "words"),
    [
        ({"status": 403, "path": "/api/repos/create"}, "403"),
        ({"status": 500, "path": "/api/repos/create"}, "500"),
        ({"no_hub": True}, "did not answer like a Hugging Face Hub"),
    ],
)
def test_upload_refused(hub: Any, files: Files, faults: dict[str, Any], words: str) -> None:
    vars(hub.faults).update(faults)
    with refused(words):
        upload(files, "lab/heart")


@pytest.mark.parametrize(("variable", "value"), [("HF_TOKEN", "hf_wrong"), ("FLOMO_OFFLINE", "1")])
def test_upload_without_permission(
    hub: Any, files: Files, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with refused(variable):
        upload(files, "lab/heart")
    assert "lab/heart" not in hub.repositories
    assert not hub.seen or variable != "FLOMO_OFFLINE"


def test_invalid_name(hub: Any, files: Files) -> None:
    with refused("organisation/name"):
        upload(files, "heart")
    assert not hub.seen


def test_upload_is_verified(hub: Any, files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add("lab/other", CONTENT)
    repository = type(hub.repositories["lab/other"])
    keep = repository.commit

    def lose(self: Any, files: dict[str, bytes], branch: str = "main") -> str:
        return keep(self, {name: content[:-1] for name, content in files.items()}, branch)

    monkeypatch.setattr(repository, "commit", lose)
    with refused("has another", "do not use"):
        upload(files, "lab/heart")


def test_xet_storage_fails(hub: Any, files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("hf_xet")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", False)
    with refused("HF_HUB_DISABLE_XET=1"):
        upload(files, "lab/heart")


def test_push_then_pull(
    hub: Any, make_model: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    folder = make_model()
    pushed = push(str(folder), "team/heart", message="First")
    commit = pushed.entry["revision"]
    there = hub.repositories["team/heart"].commits[commit]
    names = {"README.md", "card.json", "config.json", "model.safetensors", ".gitattributes"}
    assert set(there) == names
    assert b"--model hf:team/heart" in there["README.md"]
    assert commit in pushed.url

    (tmp_path / "pinned.json").write_text(json.dumps({"models": [pushed.entry]}))
    monkeypatch.setattr(index, "INDEX", tmp_path / "pinned.json")
    assert pull("heart") != folder
    for name in ("card.json", "model.safetensors"):
        assert (pull("heart") / name).read_bytes() == (folder / name).read_bytes()
    image = torch.rand(1, 1, 32, 32)
    with torch.inference_mode():
        before, after = (load_network(m)[0](image).logits for m in (folder, "heart"))
    assert torch.equal(before, after)


def test_a_damaged_model_is_not_published(hub: Any, make_model: Callable[..., Path]) -> None:
    folder = make_model()
    (folder / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(FlomoError, match="damaged or were changed"):
        push(str(folder), "team/heart")
    assert not hub.seen
