"""Labels that contradict anatomy are flagged, drawn hearts are not."""

from __future__ import annotations

import numpy as np
import pytest

from napari_flomo.measures import HeartCodes, HeartFlags, HeartMeasures, Ventricle
from napari_flomo.measures.slice_shape import base_first

CODES = HeartCodes(left_ventricle=3, right_ventricle=1, myocardium=2)


def heart() -> np.ndarray:
    """Eight slices that narrow to the last one, the apex; the first is open at the valve."""
    row, column = np.indices((64, 64)).astype(float)
    stack = np.zeros((8, 64, 64), np.uint8)
    for number, pixels in enumerate(stack):
        radius = np.hypot(row - 32, column - 36)
        pixels[np.hypot(row - 32, column - 18) < 14 - number] = 1
        pixels[radius <= 18 - number] = 2
        pixels[radius <= 12 - number] = 3
    stack[0][stack[0] == 2] = 0
    return stack


def flags_of(stack, measures=None):
    flags = HeartFlags(CODES)
    for number, pixels in enumerate(stack):
        flags.update(0, number, pixels)
    return {(flag.rule, flag.slice) for flag in flags.flags(measures)}


def island(stack):
    stack[3, 2:5, 2:5] = 1


def missing_wall(stack):
    stack[3][(stack[3] == 2) & (np.arange(64) > 44)] = 0


def missing_ventricle(stack):
    stack[4][stack[4] == 1] = 0


def small_cavity(stack):
    row, column = np.indices((64, 64))
    stack[4][(stack[4] == 3) & (np.hypot(row - 32, column - 36) > 4)] = 2


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda stack: None, set()),
        (island, {("pieces", 3)}),
        (missing_wall, {("open cavity", 3)}),
        (missing_ventricle, {("gap", 4)}),
        (small_cavity, {("area jump", 4)}),
    ],
)
@pytest.mark.parametrize("from_apex", [False, True])
def test_each_rule_flags_its_fault_only(change, found, from_apex):
    stack = heart()
    change(stack)
    if from_apex:
        stack, found = stack[::-1], {(rule, 7 - number) for rule, number in found}
    assert flags_of(stack) == found


def test_labels_of_the_cavity_alone_are_not_flagged():
    stack = heart()
    stack[stack == 2] = 0
    assert flags_of(stack) == set()


def test_a_corrected_slice_loses_its_flag():
    stack = heart()
    flags = HeartFlags(CODES)
    island(stack)
    for number, pixels in enumerate(stack):
        flags.update(0, number, pixels)
    assert flags.flags()
    stack[3, 2:5, 2:5] = 0
    flags.update(0, 3, stack[3])
    assert not flags.flags()


@pytest.mark.parametrize(
    ("right", "flagged"), [(Ventricle(150, 70), False), (Ventricle(150, 110), True)]
)
def test_stroke_volumes_of_both_ventricles_agree(right, flagged):
    measures = HeartMeasures(Ventricle(140, 60), right, None, None)
    assert (("stroke volumes", None) in flags_of(heart(), measures)) == flagged


@pytest.mark.parametrize(
    ("areas", "first"),
    [
        ([40, 36, 33, 28, 20], True),
        ([4, 40, 36, 33, 28, 20], True),  # most of the basal slice is not labelled
        ([20, 28, 33, 36, 40], False),
        ([20, 28, 33, 36, 40, 5], False),
        ([30], True),
    ],
)
def test_the_base_is_where_the_slices_are_larger(areas, first):
    stack = [{"left_ventricle": area, "right_ventricle": area} for area in areas]
    assert base_first(stack) is first
