"""A store with corrections of two patients: stacks, a cine, a draft."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_flomo.corrections import Correction, CorrectionStore, ModelReference
from napari_flomo.volumes import Volume


@pytest.fixture
def correct(
    make_volume: Callable[..., Volume], make_correction: Callable[..., Correction]
) -> Callable[..., Correction]:
    """Make a correction of a small image with the codes 1 and 5; all three slices were seen."""

    def make(seed: int = 0, frames: int | None = None, **changes: Any) -> Correction:
        image = make_volume(frames=frames)
        image = image.with_data(image.data + np.int16(seed))
        model = ModelReference("heart", "ab" * 32)
        fields = {"code": 5, "seen": [(0, 0), (0, 1), (0, 2)], "model": model}
        return make_correction(image, **(fields | changes))

    return make


@pytest.fixture
def filled(tmp_path: Path, correct: Callable[..., Correction]) -> CorrectionStore:
    """Accepted: two stacks of one patient, one of another, a cine; and a draft."""
    store = CorrectionStore.open(tmp_path / "filled", create=True)
    one, other = store.group_id("one"), store.group_id("other")
    store.add(correct(0, group=one))
    store.add(correct(1, group=one, seen=[(0, 1)]))
    store.add(correct(2, group=other))
    store.add(correct(3, frames=4, seen=[(0, 0), (0, 1), (0, 2), (2, 1)]))
    store.add(correct(4, state="draft"))
    return store
