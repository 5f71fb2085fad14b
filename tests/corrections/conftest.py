"""An image, labels, strokes that look like a person's, and corrections."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_flomo.corrections import Correction, Journal, ModelReference, Stroke
from napari_flomo.volumes import Volume


@pytest.fixture
def image(make_volume: Callable[..., Volume]) -> Volume:
    """A cine of two frames on a turned grid."""
    return make_volume(frames=2)


@pytest.fixture
def labels(image: Volume) -> Volume:
    """What a network might have said."""
    data = np.zeros(image.data.shape, np.uint8)
    data[:, 1, 5:12, 6:14] = 3
    return image.with_data(data)


@pytest.fixture
def paint(labels: Volume) -> Callable[..., Stroke]:
    """Paint a random disc into an array, in place as a viewer does, and return the stroke."""

    def paint(array: np.ndarray, generator: np.random.Generator, **changes: object) -> Stroke:
        frames, slices, rows, columns = array.shape
        frame, number = generator.integers(frames), generator.integers(slices)
        row, column = generator.integers(rows), generator.integers(columns)
        near = np.hypot(*np.ogrid[-row : rows - row, -column : columns - column]) < 4
        at = np.flatnonzero(near) + (frame * slices + number) * rows * columns
        old = array.ravel()[at].copy()
        new = int(generator.integers(0, 4))
        array.reshape(-1)[at] = new
        return Stroke.of("stroke", indices=at, old=old, new=new, time=float(generator.integers(9)))

    return paint


@pytest.fixture
def journal(tmp_path: Path, image: Volume, labels: Volume) -> Journal:
    """An open journal."""
    return Journal.create(image, labels, parent=tmp_path, about={"model": "toy"})


@pytest.fixture
def make_correction(make_volume: Callable[..., Volume]) -> Callable[..., Correction]:
    """Make a correction of a small image; slice 1 was changed, slices 0 and 1 were seen."""

    def make(
        image: Volume | None = None, *, seed: int = 0, code: int = 3, **changes: Any
    ) -> Correction:
        if image is None:
            image = make_volume()
            image = image.with_data(image.data + np.int16(seed))
        axes = tuple(axis for axis in image.axes if axis != "channels")
        shape = [image.length(axis) for axis in axes]
        proposed = np.zeros(shape, np.uint8)
        proposed[..., 5:12, 6:14] = 1
        corrected = proposed.copy()
        corrected[..., 1 % image.n_slices, 7:10, 8:12] = code
        fields: dict[str, Any] = {
            "image": image,
            "corrected": image.with_data(corrected, axes=axes),
            "structures": {1: "RV", code: "LV"},
            "proposed": image.with_data(proposed, axes=axes),
            "seen": [(0, 0), (0, 1 % image.n_slices)],
            "state": "accepted",
            "seconds": 42.4,
            "reader": "reader-1",
            "model": ModelReference("flomo-b0-acdc", "ab" * 32),
        }
        return Correction(**(fields | changes))

    return make
