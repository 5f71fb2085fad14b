"""Detect contradictory pairs of mean Dice and mean IoU.

For one image, Dice is ``2 IoU / (1 + IoU)``, a concave function. By Jensen's inequality the mean
Dice over any images is at most this function of their mean IoU. A pair above this limit was not
averaged over the same images in the same way.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class DiceIouPair:
    """Mean Dice and mean IoU reported for the same images, both 0 to 1 or both in percent.

    ``step`` is the rounding step in the same units: 0.01 for 92.70.
    """

    name: str
    dice: float
    iou: float
    step: float = 0.0


@dataclass(frozen=True)
class ImpossiblePair:
    """A contradictory pair, and the largest Dice that its IoU allows."""

    pair: DiceIouPair
    largest_dice: float

    def __str__(self) -> str:
        return (
            f"{self.pair.name}: Dice {self.pair.dice:g} with IoU {self.pair.iou:g} is impossible "
            f"over the same images, at most {self.largest_dice:.4g}"
        )


def largest_dice(iou: float) -> float:
    """Return the largest mean Dice for a mean IoU, both 0 to 1."""
    return 2 * iou / (1 + iou)


def check_pairs(pairs: Iterable[DiceIouPair], *, percent: bool = False) -> list[ImpossiblePair]:
    """Find the pairs with a Dice above ``2 IoU / (1 + IoU)``, allowing for rounding.

    NaN is ignored. Raises a `ValueError` if a value is outside 0..1 (0..100 in percent).
    """
    unit = 100.0 if percent else 1.0
    found = []
    for pair in pairs:
        for name, figure in (("Dice", pair.dice), ("IoU", pair.iou)):
            if figure < 0 or figure > unit:
                raise ValueError(f"{pair.name}: {name} {figure:g} lies outside 0 to {unit:g}")
        half = pair.step / 2
        most = largest_dice(min((pair.iou + half) / unit, 1.0))
        # 1e-6: for a single image in single precision the equality holds only approximately.
        if (pair.dice - half) / unit > most + 1e-6:
            found.append(ImpossiblePair(pair, unit * largest_dice(pair.iou / unit)))
    return found
