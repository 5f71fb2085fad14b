"""The index pins names exactly; an invalid one is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from napari_flomo.errors import FlomoError
from napari_flomo.models import available
from napari_flomo.models.checksums import FilePin
from napari_flomo.models.hub import HubSource
from napari_flomo.models.index import read_index

COMMIT = "0123456789abcdef" * 2 + "01234567"
PIN = {"size": 5, "sha256": "ab" * 32}
ENTRY = {
    "name": "heart",
    "summary": "hearts",
    "repo": "team/heart",
    "revision": COMMIT,
    "files": {"card.json": PIN},
}


def write(path: Path, *entries: dict[str, Any]) -> Path:
    path.write_text(json.dumps({"models": list(entries)}))
    return path


def test_the_index_of_the_package_is_valid() -> None:
    index = read_index()
    assert "flomo-b0-acdc" in index
    assert set(available()) <= set(index), "a bundled model is missing in the index"
    for name, entry in index.items():
        assert entry.source is None or set(entry.pins) == {"card.json", "model.safetensors"}, name


def test_pins(tmp_path: Path) -> None:
    entry = read_index(write(tmp_path / "index.json", ENTRY))["heart"]
    assert entry.source == HubSource("team/heart", COMMIT)
    assert entry.pins == {"card.json": FilePin(5, "ab" * 32)}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"revision": "main"}, "'revision' must be a full commit"),
        ({"revision": COMMIT[:7]}, "'revision' must be a full commit"),
        ({"revision": None}, "'revision' and 'files' must be given together"),
        ({"files": {}}, "'revision' and 'files' must be given together"),
        ({"files": {"card.json": {"size": 5}}}, r"'files\.card\.json\.sha256' is missing"),
        ({"files": {"card.json": PIN | {"size": 0}}}, r"'files\.card\.json' must have a size"),
        ({"files": {"card.json": PIN | {"sha256": "no"}}}, "64 hexadecimal digits"),
        ({"repo": "heart"}, "'repo' must look like organisation/name"),
        ({"url": "x"}, r"'models\[0\]\.url' is unknown"),
    ],
)
def test_invalid_entries(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = write(tmp_path / "index.json", ENTRY | changes)
    with pytest.raises(FlomoError, match=message) as caught:
        read_index(path)
    assert "reinstall napari-flomo" in str(caught.value)


def test_duplicate_names_and_missing_index(tmp_path: Path) -> None:
    with pytest.raises(FlomoError, match="cannot be used"):
        read_index(tmp_path / "index.json")
    with pytest.raises(FlomoError, match="must not repeat a name"):
        read_index(write(tmp_path / "index.json", ENTRY, ENTRY))
