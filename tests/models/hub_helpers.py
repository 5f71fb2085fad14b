"""A toy model on the Hub, and helpers for tests of downloads and uploads."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from napari_flomo.errors import FlomoError
from napari_flomo.models import hub
from napari_flomo.models.checksums import FilePin
from napari_flomo.progress import ProgressCallback

REPO = "heart-lab/model"
WEIGHTS, CARD = "model.safetensors", "card.json"
CONTENT = {WEIGHTS: bytes(range(256)) * 1200, CARD: b'{"name": "toy"}\n'}  # 300 KiB and a line


def download(
    source: hub.HubSource,
    folder: Path,
    files: Mapping[str, FilePin | None],
    progress: ProgressCallback | None = None,
) -> str:
    """Download files at the current commit of a source, and return the commit."""
    snapshot = hub.look_up(source)
    hub.download(snapshot, folder, files, progress)
    return str(snapshot.source.revision)


def pin(content: bytes) -> FilePin:
    return FilePin(len(content), hashlib.sha256(content).hexdigest())


PINS = {name: pin(content) for name, content in CONTENT.items()}
UNPINNED: dict[str, FilePin | None] = dict.fromkeys(CONTENT)


def leftovers(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - set(CONTENT)


def assert_complete(folder: Path) -> None:
    assert {name: (folder / name).read_bytes() for name in CONTENT} == CONTENT


@contextmanager
def refused(*words: str) -> Iterator[None]:
    """Expect an error of one sentence with these words, without a secret or an address."""
    with pytest.raises(FlomoError) as caught:
        yield
    text = str(caught.value)
    assert text.endswith(".")
    assert not any(part in text for part in ("\n", ". ", "hf_", "/resolve/"))
    for word in words:
        assert word in text, text
