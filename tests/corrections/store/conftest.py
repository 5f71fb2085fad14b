"""A small heart, what a person made of its labels, and an empty store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_flomo.corrections import Correction, CorrectionStore, ModelReference
from napari_flomo.volumes import Volume

MODEL = ModelReference("flomo-b0-acdc", "ab" * 32)


@pytest.fixture
def make_correction(make_volume: Callable[..., Volume]) -> Callable[..., Correction]:
    """Make a correction of a small image; slice 1 was changed, slices 0 and 1 were seen."""

    def make(image: Volume | None = None, *, seed: int = 0, **changes: Any) -> Correction:
        if image is None:
            image = make_volume()
            image = image.with_data(image.data + np.int16(seed))
        axes = tuple(axis for axis in image.axes if axis != "channels")
        shape = [image.length(axis) for axis in axes]
        proposed = np.zeros(shape, np.uint8)
        proposed[..., 5:12, 6:14] = 1
        corrected = proposed.copy()
        corrected[..., 1 % image.n_slices, 7:10, 8:12] = 3
        fields: dict[str, Any] = {
            "image": image,
            "corrected": image.with_data(corrected, axes=axes),
            "structures": {1: "RV", 3: "LV"},
            "proposed": image.with_data(proposed, axes=axes),
            "seen": [(0, 0), (0, 1 % image.n_slices)],
            "state": "accepted",
            "seconds": 42.4,
            "reader": "reader-1",
            "model": MODEL,
        }
        return Correction(**(fields | changes))

    return make


@pytest.fixture
def store(tmp_path: Path) -> CorrectionStore:
    """A new store."""
    return CorrectionStore.open(tmp_path / "store", create=True)
