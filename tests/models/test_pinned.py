"""Pinned files of other repositories are verified at every use."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import pytest

from napari_flomo.errors import FlomoError
from napari_flomo.models import PinnedFile, cache_folder, download_pinned_file

WEIGHTS = bytes(range(256)) * 40


def encoder(commit: str, **changes: Any) -> PinnedFile:
    sha256 = hashlib.sha256(WEIGHTS).hexdigest()
    pinned = PinnedFile("timm/resnet", commit, "model.safetensors", len(WEIGHTS), sha256)
    return replace(pinned, **changes)


def test_pinned_file(hub: Any) -> None:
    commit = hub.add("timm/resnet", {"model.safetensors": WEIGHTS, "config.json": b"{}"})
    path = download_pinned_file(encoder(commit))
    assert path.read_bytes() == WEIGHTS
    asked = len(hub.seen)
    assert download_pinned_file(encoder(commit)) == path
    assert len(hub.seen) == asked
    path.write_bytes(WEIGHTS[::-1])
    assert download_pinned_file(encoder(commit)).read_bytes() == WEIGHTS
    assert path.with_name("model.safetensors.bad").exists()


def test_invalid_pinned_file(hub: Any) -> None:
    commit = hub.add("timm/resnet", {"model.safetensors": WEIGHTS})
    with pytest.raises(FlomoError, match=r"model\.safetensors"):
        download_pinned_file(encoder(commit, sha256="0" * 64))
    assert not [path for path in cache_folder().rglob("*.safetensors") if path.is_file()]
    with pytest.raises(FlomoError, match="because opening a pickle can run"):
        encoder(commit, file="pytorch_model.bin")
    with pytest.raises(FlomoError, match="full commit"):
        encoder("main")
