"""Folders that look like cohorts, without images in them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

DICOM = bytes(128) + b"DICM" + bytes(64)

Grow = Callable[..., Path]


@pytest.fixture
def grow(tmp_path: Path) -> Grow:
    """Make files below a folder, each with the content that is given or its own name."""

    def make(*names: str, folder: str = "images", content: bytes | None = None) -> Path:
        root = tmp_path / folder
        root.mkdir(exist_ok=True)
        for name in names:
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(name.encode() if content is None else content)
        return root

    return make


@pytest.fixture
def dicom() -> bytes:
    """The beginning of a DICOM file."""
    return DICOM
