"""The output of an engine, and probabilities from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from napari_flomo.models import ModelCard
from napari_flomo.segmentation.resampling import Floats


@dataclass(frozen=True, eq=False)
class Output:
    """Output of an engine for some slices, float32.

    ``logits`` are ``(slices, classes, rows, columns)``; ``maps`` are the network's own maps by
    name, each ``(slices, 1, rows, columns)``, at the resolutions of its stages.
    """

    logits: Floats
    maps: Mapping[str, Floats] = field(default_factory=dict)


def as_probabilities(logits: Floats, card: ModelCard) -> Floats:
    """Return calibrated probabilities; the temperature does not change the most probable class."""
    scaled = np.asarray(logits, np.float32) / np.float32(card.temperature)
    if card.activation == "sigmoid":
        return np.reciprocal(1 + np.exp(-scaled.clip(-80, 80)))
    scaled -= scaled.max(1, keepdims=True)
    np.exp(scaled, out=scaled)
    scaled /= scaled.sum(1, keepdims=True)
    return scaled
