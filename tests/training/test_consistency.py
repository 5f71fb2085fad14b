"""Contradictory pairs of Dice and IoU."""

from __future__ import annotations

import numpy as np
import pytest

from flomo_training.consistency import DiceIouPair, check_pairs, largest_dice

# As printed by publications, in percent.
PRINTED = [
    ("polyps", 96.02, 92.16, False),
    ("ultrasound", 93.96, 88.92, True),
    ("chest", 98.31, 96.70, True),
    ("heart", 92.70, 85.68, False),
    ("other polyps", 97.38, 92.96, False),
    ("skin", 90.2, 83.7, True),
]


@pytest.mark.parametrize("unit", [1, 100])
def test_contradictory_pairs_are_found(unit):
    pairs = [DiceIouPair(n, dice / unit, iou / unit, 0.01 / unit) for n, dice, iou, _ in PRINTED]
    faults = {fault.pair.name: str(fault) for fault in check_pairs(pairs, percent=unit == 1)}
    assert set(faults) == {name for name, *_, possible in PRINTED if not possible}
    assert "heart: " in faults["heart"]
    assert ("92.29" if unit == 1 else "0.9229") in faults["heart"]


def test_rounded_pairs_are_accepted():
    iou = 0.8567
    assert not check_pairs([DiceIouPair("x", round(largest_dice(iou), 2), 0.86, 0.01)])
    pair = DiceIouPair("x", 0.923, 0.857, 0.001)
    assert not check_pairs([pair])
    assert check_pairs([DiceIouPair("x", 0.923, 0.857)])  # unrounded it would be impossible


@pytest.mark.parametrize("seed", range(20))
def test_no_mean_of_real_images_is_ever_flagged(seed):
    rng = np.random.default_rng(seed)
    iou = rng.beta(*rng.uniform(0.3, 5, 2), 50)
    weights = rng.dirichlet(np.ones(50))
    dice = 2 * iou / (1 + iou)
    assert not check_pairs([DiceIouPair("mean", float(dice @ weights), float(iou @ weights))])
    # Figures over different images are detected if they differ enough.
    assert check_pairs([DiceIouPair("mixed", float(dice.max()), float(iou @ weights))])


def test_wrong_units_are_rejected_and_nan_is_ignored():
    with pytest.raises(ValueError, match="outside 0 to 1"):
        check_pairs([DiceIouPair("x", 92.7, 85.7)])
    assert not check_pairs([DiceIouPair("x", 0.9, float("nan"))])
