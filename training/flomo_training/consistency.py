"""Figures that cannot both be true: a Dice too high for the IoU printed beside it.

For one image Dice is ``2 IoU / (1 + IoU)``, a concave function, so that by Jensen's inequality the
mean Dice of any images is at most that function of their mean IoU, however they are distributed and
weighted. A pair above it was not averaged over the same images, or not the same way.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class DiceIouPair:
    """Mean Dice and mean IoU that are said to be of the same images.

    Attributes
    ----------
    name
        Where they stand.
    dice, iou
        In the same units, both 0 to 1 or both in percent.
    step
        Last digit that is printed, in the same units: 0.01 for 92.70. Rounding moves each figure by
        up to half of it.
    """

    name: str
    dice: float
    iou: float
    step: float = 0.0


@dataclass(frozen=True)
class ImpossiblePair:
    """A pair that cannot be, and the largest Dice that its IoU leaves room for."""

    pair: DiceIouPair
    largest_dice: float

    def __str__(self) -> str:
        return (
            f"{self.pair.name}: Dice {self.pair.dice:g} beside IoU {self.pair.iou:g} is impossible "
            f"over the same images, at most {self.largest_dice:.4g}"
        )


def largest_dice(iou: float) -> float:
    """Return the largest mean Dice beside a mean IoU, both 0 to 1."""
    return 2 * iou / (1 + iou)


def check_pairs(pairs: Iterable[DiceIouPair], *, percent: bool = False) -> list[ImpossiblePair]:
    """Find the pairs with a Dice above ``2 IoU / (1 + IoU)``, whatever was rounded.

    Parameters
    ----------
    pairs
        Of one table; NaN is passed over.
    percent
        Whether the figures are in percent.

    Raises
    ------
    ValueError
        If a figure lies outside 0..1 (0..100 in percent): then the units are not what was said.
    """
    unit = 100.0 if percent else 1.0
    found = []
    for pair in pairs:
        for name, figure in (("Dice", pair.dice), ("IoU", pair.iou)):
            if figure < 0 or figure > unit:
                raise ValueError(f"{pair.name}: {name} {figure:g} lies outside 0 to {unit:g}")
        half = pair.step / 2
        most = largest_dice(min((pair.iou + half) / unit, 1.0))
        # 1e-6: figures of single precision, with which the equality of one image holds only nearly.
        if (pair.dice - half) / unit > most + 1e-6:
            found.append(ImpossiblePair(pair, unit * largest_dice(pair.iou / unit)))
    return found
