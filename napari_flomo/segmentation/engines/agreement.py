"""Compare the output of an engine with that of the plain network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_flomo.models import ModelCard
from napari_flomo.segmentation.engines.engine import EngineError
from napari_flomo.segmentation.engines.registry import EngineKind
from napari_flomo.segmentation.output import Output, as_probabilities

FLOAT32_TOLERANCE = 1e-3
"""Largest difference of probabilities, or of the network's own maps, in float32."""

LOW_PRECISION_TOLERANCE = 0.1
"""Largest difference of probabilities for engines in lower precision."""

MIN_DICE = 0.999
"""Least Dice of the structures in lower precision, unless few pixels differ."""

MAX_DIFFERENT_PIXELS = 8
"""Pixels that may always differ; on few slices a Dice of 0.999 would allow none."""


@dataclass(frozen=True)
class EngineAgreement:
    """Agreement of an engine with the plain network on some slices.

    ``difference`` is the largest absolute difference of calibrated probabilities; ``labels`` counts
    pixels with another label, ties aside; ``marked`` counts structure pixels of both, ``shared``
    those on which both agree.
    """

    difference: float
    labels: int
    marked: int = 0
    shared: int = 0

    @property
    def dice(self) -> float:
        """Dice of all structure pixels together; 1 if neither has any."""
        return 2 * self.shared / self.marked if self.marked else 1.0


def compare(found: Output, truth: Output, card: ModelCard) -> EngineAgreement:
    """Compare the outputs of an engine and of the plain network for the same slices."""
    ours, theirs = (as_probabilities(output.logits, card) for output in (found, truth))
    gap = float(np.abs(ours - theirs).max())
    if card.activation == "softmax":
        mine, plain = ours.argmax(1), theirs.argmax(1)
        best = np.partition(theirs, -2, axis=1)
        tie = (best[:, -1] - best[:, -2]) <= FLOAT32_TOLERANCE
    else:
        mine, plain = ours >= card.threshold, theirs >= card.threshold
        tie = np.abs(theirs - card.threshold) <= FLOAT32_TOLERANCE
    flipped = mine != plain
    marked = int((mine > 0).sum() + (plain > 0).sum())
    shared = int(((mine == plain) & (plain > 0)).sum())
    # NaN counts as a difference.
    gap = float("inf") if not np.isfinite(ours).all() else gap
    return EngineAgreement(gap, int((flipped & ~tie).sum()), marked, shared)


def check_agreement(
    kind: EngineKind, found: Output, truth: Output, card: ModelCard
) -> EngineAgreement:
    """Return the agreement of an engine with the plain network, or raise `EngineError`.

    ``found`` and ``truth`` are the outputs of both for the same slices.
    """
    if found.logits.shape != truth.logits.shape:
        shapes = f"{tuple(found.logits.shape)} instead of {tuple(truth.logits.shape)}"
        raise EngineError(f"its logits have the shape {shapes}")
    seen = compare(found, truth, card)
    if kind.precision == "float32":
        if not seen.difference < FLOAT32_TOLERANCE or seen.labels:
            raise EngineError(
                f"its probabilities are off by {seen.difference:.2g} and {seen.labels} labels "
                "differ"
            )
    elif not seen.difference < LOW_PRECISION_TOLERANCE or (
        seen.dice < MIN_DICE and seen.labels > MAX_DIFFERENT_PIXELS
    ):
        raise EngineError(
            f"its probabilities are off by {seen.difference:.2g}, the Dice of the labels is "
            f"{seen.dice:.4f}"
        )
    for name in found.maps.keys() & truth.maps.keys():
        gap = float(np.abs(found.maps[name] - truth.maps[name]).max())
        if not gap < (
            FLOAT32_TOLERANCE if kind.precision == "float32" else LOW_PRECISION_TOLERANCE
        ):
            raise EngineError(f"its map {name} is off by {gap:.2g}")
    return seen
