"""Statistics with known results: calibration, runs of slices, absent structures, rules."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from flomo_training.gate.cases import EvaluationImage
from flomo_training.gate.checks import decide, run_checks
from flomo_training.gate.comparison import (
    ImageComparison,
    Scores,
    StructureComparison,
    compare_models,
    paired,
)
from flomo_training.gate.rules import Rules, read_rules
from flomo_training.gate.statistics import DataSetResult, summarise
from flomo_training.metrics import compare_slices
from flomo_training.uncertainty.band import foreground_band
from napari_flomo.errors import FlomoError
from napari_flomo.segmentation import Segmenter
from napari_flomo.volumes import Geometry, Volume

NAN = float("nan")


def test_calibration_error_of_a_structure(card):
    """A network with full confidence that predicts a square two columns too wide."""
    truth = np.zeros((2, 60, 60), np.uint8)
    truth[:, 20:40, 20:40] = 5
    grid = Geometry((1.0, 1.0, 8.0))
    labels = Volume(truth, grid)

    def model(columns):
        class Sure(torch.nn.Module):
            def forward(self, images):
                logits = torch.zeros(len(images), 3, 60, 60)
                logits[:, 0] = 50
                logits[:, 2, 20:40, columns] = 100
                return SimpleNamespace(logits=logits)

        steps = replace(card.preprocessing, pixel_mm=None)
        return Segmenter(Sure(), replace(card, preprocessing=steps), "cpu")

    noise = np.random.default_rng(0).integers(0, 99, truth.shape).astype(np.int16)
    image = EvaluationImage("x", "x", lambda: (Volume(noise, grid), labels), (0, 1), (5,))
    evaluated, _ = compare_models(image, model(slice(20, 40)), model(slice(20, 42)), lambda _: None)
    (row,) = evaluated.rows
    assert (row.before.dice, row.before.ece) == pytest.approx((1, 0))
    assert row.after.dice == pytest.approx(2 * 400 / (400 + 440))
    either = (truth > 0).astype(np.uint8)
    either[:, 20:40, 40:42] = 2
    band = foreground_band(either, truth, (1.0, 1.0))
    assert row.after.ece == pytest.approx(2 * 40 / band.sum()), "wrong pixels of all in the band"


def test_distances_are_not_measured_across_gaps():
    truth = np.zeros((4, 30, 30), bool)
    truth[:, 10:20, 10:20] = True
    found = truth.copy()
    found[2:] = np.roll(found[2:], 3, axis=2)
    spacing = (10.0, 1.0, 1.0)
    together = compare_slices(truth, found, (0, 1, 2, 3), spacing)
    apart = compare_slices(truth, found, (0, 1, 5, 6), spacing)
    assert together.dice == apart.dice == pytest.approx((20 + 14) / 40)
    assert apart.hd95_mm == pytest.approx(1.5), "0 mm in the first run, 3 mm in the second"
    assert together.hd95_mm != apart.hd95_mm
    assert math.isnan(compare_slices(truth, found, (0, 1, 5, 6), None).hd95_mm)


def test_false_alarm_of_one_model():
    nothing, wrong = Scores(NAN, NAN, 0.1), Scores(0.0, 200.0, 0.4)
    assert paired(nothing, wrong, True) == (Scores(1.0, 0.0, 0.1), wrong)
    assert paired(wrong, nothing, True) == (wrong, Scores(1.0, 0.0, 0.1))
    assert math.isnan(paired(nothing, wrong, False)[0].hd95_mm)
    both = Scores()
    assert paired(both, both, True) == (both, both)


def part(*values: tuple[str, float, float], ece: tuple[float, float] = (0.1, 0.1)) -> DataSetResult:
    """Return results with one image and patient for each structure."""
    evaluated = []
    for number, (structure, before, after) in enumerate(values):
        image = EvaluationImage(f"image {number}", f"p{number}", lambda: None, (0, 1), (1,))
        scores = Scores(before, 5.0, ece[0]), Scores(after, 4.0, ece[1])
        row = StructureComparison(image.name, image.group, structure, *scores)
        evaluated.append(ImageComparison(image, (row,)))
    return summarise(evaluated, ["wall", "cavity", "other"], "data", "0" * 64)


def test_figures_are_means_over_structures_of_means_over_images():
    found = part(("cavity", 0.9, 0.8), ("wall", 0.5, 0.6), ("wall", 0.7, 0.7), ("wall", NAN, NAN))
    assert [structure.name for structure in found.structures] == ["wall", "cavity"]
    assert found.mean.dice.before == pytest.approx((0.9 + 0.6) / 2)
    assert found.mean.dice.difference == pytest.approx((-0.1 + 0.05) / 2)
    assert found.structures[0].dice.difference == pytest.approx(0.05)
    assert found.mean.hd95_mm.difference == -1
    assert (found.groups, found.images, found.slices) == (4, 4, 8)
    assert found.mean.dice.low < found.mean.dice.difference < (found.mean.dice.high or -1)
    alone = part(("wall", 0.5, 0.6))
    assert (alone.mean.dice.low, alone.mean.dice.high) == (None, None), "no interval for one"
    assert part(("wall", NAN, NAN)).mean.dice.difference is None


def test_unedited_structures_are_not_in_the_mean():
    image = EvaluationImage("x", "x", lambda: None, (0,), (1, 2), (1,))
    drawn = StructureComparison("x", "x", "wall", Scores(0.5, 1, 0.1), Scores(0.6, 1, 0.1))
    left = StructureComparison(
        "x", "x", "cavity", Scores(1.0, 0, 0.1), Scores(0.7, 9, 0.1), drawn=False
    )
    evaluated = ImageComparison(image, (drawn, left))
    assert evaluated.dice == (0.5, 0.6)
    found = summarise([evaluated], ["wall", "cavity"], "data", "0" * 64)
    assert found.mean.dice.difference == pytest.approx(0.1)
    assert [structure.name for structure in found.structures] == ["wall"]
    assert [structure.name for structure in found.left_alone] == ["cavity"]
    assert found.left_alone[0].dice.difference == pytest.approx(-0.3)
    untouched = summarise([ImageComparison(image, (left,))], ["wall", "cavity"], "data", "0" * 64)
    assert untouched.mean.dice.difference is None
    assert decide(run_checks(SAME, untouched, Rules(left_alone_margin=0.5))) == "undecided"


def with_left_alone(found: DataSetResult, before: float, after: float) -> DataSetResult:
    """Return results with an additional unedited structure."""
    return replace(found, left_alone=part(("other", before, after)).structures)


BETTER = part(
    ("wall", 0.7, 0.709), ("wall", 0.7, 0.711), ("cavity", 0.9, 0.909), ("cavity", 0.9, 0.911)
)
UNSURE = part(("wall", 0.7, 0.75), ("wall", 0.7, 0.69), ("cavity", 0.9, 0.92))
SAME = part(("wall", 0.7, 0.7), ("cavity", 0.9, 0.9))
WORSE = part(("wall", 0.7, 0.69))
WORSE_CAVITY = part(("wall", 0.7, 0.72), ("cavity", 0.9, 0.879))


@pytest.mark.parametrize(
    ("reference", "corrections", "verdict", "message"),
    [
        (SAME, BETTER, "passed", "corrections rose by 0.0100 (0.8000 to 0.8100, 95 % interval"),
        (SAME, SAME, "refused", "corrections did not change (0.8000 to 0.8000"),
        (SAME, WORSE, "refused", "fell by 0.0100 (0.7000 to 0.6900, 1 patient)"),
        (
            SAME,
            UNSURE,
            "undecided",
            "its interval must be above 0: too few patients to tell",
        ),
        (SAME, part(("wall", 0.7, 0.9)), "undecided", "Only 1 patient could be evaluated"),
        (part(("wall", 0.7, 0.697)), BETTER, "passed", ""),
        (part(("wall", 0.7, 0.696)), BETTER, "refused", "fell by 0.0040"),
        (WORSE_CAVITY, BETTER, "refused", "Dice of the cavity on the reference set fell by 0.0210"),
        (part(("wall", 0.7, 0.7), ece=(0.1, 0.12)), BETTER, "refused", "rose by 0.0200 (0.1000"),
        (SAME, part(("wall", 0.7, 0.8), ece=(0.1, 0.12)), "refused", "contours of the held-out"),
        (SAME, with_left_alone(BETTER, 1, 0.91), "passed", "accepted it unchanged fell by"),
        (SAME, with_left_alone(BETTER, 1, 0.89), "refused", "fell by 0.1100 (1.0000 to 0.8900"),
        (SAME, with_left_alone(SAME, 0.9, 1), "refused", "did not change"),
        (None, BETTER, "undecided", "no reference set"),
        (SAME, None, "undecided", "No corrections were held out of training"),
        (None, SAME, "refused", "did not change"),
        (part(("wall", NAN, NAN)), BETTER, "undecided", "no structure was edited"),
    ],
)
def test_rules(reference, corrections, verdict, message):
    found = run_checks(reference, corrections, Rules())
    assert decide(found) == verdict
    against = " ".join(check.sentence for check in found if not check.passed or verdict == "passed")
    assert message in against
    assert all(check.sentence.endswith(".") for check in found)


def test_stricter_rules():
    strict = Rules(dice_gain=0.02, reference_groups=3)
    found = {check.name: check for check in run_checks(SAME, BETTER, strict)}
    assert found["reference_groups"].passed is None
    assert "the rules require 3" in found["reference_groups"].sentence
    assert found["corrections_dice"].passed is False
    assert "it must rise by more than 0.02" in found["corrections_dice"].sentence


def test_rules_from_a_file(tmp_path):
    file = tmp_path / "rules.yaml"
    file.write_text("dice_margin: 0.01\n")
    assert read_rules(file) == Rules(dice_margin=0.01)
    for content, message in (
        ("dice_magrin: 0.01", "'dice_magrin' is unknown"),
        ("dice_margin: -1", "0 to 1"),
        ("- 1", "must be an object"),
        ("a: [", "cannot be used"),
    ):
        file.write_text(content)
        with pytest.raises(FlomoError, match=message):
            read_rules(file)
    with pytest.raises(FlomoError, match="cannot be used"):
        read_rules(tmp_path / "nowhere.yaml")
