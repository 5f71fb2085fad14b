"""An empty store."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_flomo.corrections import CorrectionStore


@pytest.fixture
def store(tmp_path: Path) -> CorrectionStore:
    """A new store."""
    return CorrectionStore.open(tmp_path / "store", create=True)
