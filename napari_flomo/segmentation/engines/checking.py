"""Whether an engine says what the plain network says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_flomo.models.card import ModelCard
from napari_flomo.segmentation.engines.engine import EngineFault
from napari_flomo.segmentation.engines.registry import EngineKind
from napari_flomo.segmentation.prediction import as_probabilities

if TYPE_CHECKING:
    from torch import Tensor

    from napari_flomo.networks import Output

EXACT = 1e-3
"""Largest difference of probabilities, or of the network's own maps, in float32."""

NEAR = 0.1
"""Largest difference of probabilities where an engine computes in fewer bits."""

NEAR_LABELS = 0.999
"""Least Dice of the structures where it does, unless `FEW_LABELS` are all that differ."""

FEW_LABELS = 8
"""Pixels at contours; on a few slices a Dice of 0.999 would leave none."""

ENOUGH = 20_000
"""Pixels of structures on which an engine of fewer bits is compared, about a short-axis stack.

How far rounding moves labels depends on the processor, and a slice or two do not tell it.
"""


@dataclass(frozen=True)
class Agreement:
    """How far an engine is from the plain network on some slices.

    Attributes
    ----------
    difference
        Largest absolute difference of calibrated probabilities.
    labels
        Pixels whose label differs, where it is not a tie.
    marked, shared
        Pixels of structures, those of the engine and those of the plain network added up; and
        those on which both agree.
    """

    difference: float
    labels: int
    marked: int = 0
    shared: int = 0

    @property
    def dice(self) -> float:
        """Dice of the structures' pixels, all taken together; 1 where neither found any."""
        return 2 * self.shared / self.marked if self.marked else 1.0

    @property
    def suffices(self) -> bool:
        """Whether it was seen on enough of a heart to be relied on."""
        return self.marked >= 2 * ENOUGH

    def __add__(self, other: Agreement) -> Agreement:
        return Agreement(
            max(self.difference, other.difference),
            self.labels + other.labels,
            self.marked + other.marked,
            self.shared + other.shared,
        )


def compare(found: Output, truth: Output, card: ModelCard) -> Agreement:
    """Compare what an engine and the plain network say of the same slices."""
    import torch

    ours, theirs = (as_probabilities(output.logits, card) for output in (found, truth))
    gap = float((ours - theirs).abs().max())
    if card.activation == "softmax":
        mine, plain = ours.argmax(1, keepdim=True), theirs.argmax(1, keepdim=True)
        best = theirs.topk(2, 1).values
        tie = (best[:, :1] - best[:, 1:]) <= EXACT
    else:
        mine, plain = ours >= card.threshold, theirs >= card.threshold
        tie = (theirs - card.threshold).abs() <= EXACT
    flipped = mine != plain
    marked = int((mine > 0).sum() + (plain > 0).sum())
    shared = int(((mine == plain) & (plain > 0)).sum())
    # NaN must count as a difference.
    gap = float("inf") if not torch.isfinite(ours).all() else gap
    return Agreement(gap, int((flipped & ~tie).sum()), marked, shared)


def demand_agreement(
    kind: EngineKind,
    found: Output,
    truth: Output,
    card: ModelCard,
    before: Agreement | None = None,
) -> Agreement:
    """Return how far an engine is from the plain network.

    Parameters
    ----------
    kind
        Which one it is.
    found, truth
        What it and the plain network say of the same slices.
    card
        Says how logits become labels.
    before
        What was seen on other slices; counts as well.

    Raises
    ------
    EngineFault
        If that is too far: the reason is in the message.
    """
    if found.logits.shape != truth.logits.shape:
        shapes = f"{tuple(found.logits.shape)} instead of {tuple(truth.logits.shape)}"
        raise EngineFault(f"its logits have the shape {shapes}")
    seen = compare(found, truth, card)
    if before is not None:
        seen += before
    if kind.precision == "float32":
        if not seen.difference < EXACT or seen.labels:
            raise EngineFault(
                f"its probabilities are off by {seen.difference:.2g} and {seen.labels} labels are "
                "other ones"
            )
    elif not seen.difference < NEAR or (seen.dice < NEAR_LABELS and seen.labels > FEW_LABELS):
        raise EngineFault(
            f"its probabilities are off by {seen.difference:.2g}, the Dice of the labels is "
            f"{seen.dice:.4f}"
        )
    for name in found.maps.keys() & truth.maps.keys():
        gap = _gap(found.maps[name], truth.maps[name])
        if not gap < (EXACT if kind.precision == "float32" else NEAR):
            raise EngineFault(f"its map {name} is off by {gap:.2g}")
    return seen


def _gap(first: Tensor, second: Tensor) -> float:
    return float((first.float() - second.float()).abs().max())
