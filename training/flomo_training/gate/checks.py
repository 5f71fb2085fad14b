"""Checks of the gate, one for each rule, and the verdict that follows from them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from flomo_training.gate.report import Check, Verdict
from flomo_training.gate.rules import Rules
from flomo_training.gate.statistics import DataSetResult, MetricChange

TITLES = {"reference": "the reference set", "corrections": "the held-out corrections"}


def run_checks(
    reference: DataSetResult | None, corrections: DataSetResult | None, rules: Rules
) -> tuple[Check, ...]:
    """Apply the rules to the results on both data sets, which are None without any image."""
    return (*_on_reference(reference, rules), *_on_corrections(corrections, rules))


def decide(found: Sequence[Check]) -> Verdict:
    """Return ``"refused"`` if a check failed, otherwise ``"undecided"`` if one is undecided."""
    if any(check.passed is False for check in found):
        return "refused"
    return "undecided" if any(check.passed is None for check in found) else "passed"


def _on_reference(part: DataSetResult | None, rules: Rules) -> Iterator[Check]:
    if part is None:
        yield Check(
            "reference",
            None,
            "There is no reference set that neither model has seen, so it is unknown whether the "
            "base task got worse; give one with --reference.",
        )
        return
    if part.groups < rules.reference_groups:
        yield _too_few("reference", part, rules.reference_groups)
    dice = part.mean.dice
    yield Check(
        "reference_dice",
        None if dice.difference is None else dice.difference >= -rules.dice_margin,
        f"Mean Dice on the reference set {_moved(dice, part)}; it may fall by "
        f"{rules.dice_margin:g}.",
    )
    fallen = [
        structure
        for structure in part.structures
        if structure.dice.difference is not None
        and structure.dice.difference < -rules.structure_margin
    ]
    for structure in fallen:
        yield Check(
            "reference_structure",
            False,
            f"Dice of the {structure.name} on the reference set {_moved(structure.dice, part)}; it "
            f"may fall by {rules.structure_margin:g}.",
        )
    if not fallen:
        yield Check(
            "reference_structure",
            True,
            "No structure's Dice on the reference set fell by more than "
            f"{rules.structure_margin:g}.",
        )
    yield from _calibration("reference", part, rules)


def _on_corrections(part: DataSetResult | None, rules: Rules) -> Iterator[Check]:
    if part is None:
        yield Check(
            "corrections",
            None,
            "No corrections were held out of training, so it is unknown whether the candidate "
            "improves on other patients; correct images of at least two patients.",
        )
        return
    if part.groups < rules.correction_groups:
        yield _too_few("corrections", part, rules.correction_groups)
    yield _gain(part, rules)
    yield from _left_alone(part, rules)
    yield from _calibration("corrections", part, rules)


def _gain(part: DataSetResult, rules: Rules) -> Check:
    """Check the Dice of the new kind of images: it must rise, and its interval exclude zero."""
    dice = part.mean.dice
    least = f" by more than {rules.dice_gain:g}" if rules.dice_gain else ""
    sentence = f"Mean Dice on the held-out corrections {_moved(dice, part)}; it must rise{least}"
    if dice.difference is None:
        return Check("corrections_dice", None, f"{sentence}.")
    if dice.difference <= rules.dice_gain:
        return Check("corrections_dice", False, f"{sentence}.")
    if dice.low is None or dice.low <= 0:
        return Check(
            "corrections_dice",
            None,
            f"{sentence}, and its interval must be above 0: too few patients to tell.",
        )
    return Check("corrections_dice", True, f"{sentence}.")


def _left_alone(part: DataSetResult, rules: Rules) -> Iterator[Check]:
    """Check structures that the readers accepted unchanged."""
    for structure in part.left_alone:
        difference = structure.dice.difference
        if difference is not None:
            yield Check(
                "corrections_left_alone",
                difference >= -rules.left_alone_margin,
                f"Dice of the {structure.name} where readers accepted it unchanged "
                f"{_moved(structure.dice, part)}; it may fall by {rules.left_alone_margin:g}.",
            )


def _calibration(name: str, part: DataSetResult, rules: Rules) -> Iterator[Check]:
    ece = part.mean.ece
    if ece.difference is None:
        return
    yield Check(
        f"{name}_ece",
        ece.difference <= rules.ece_margin,
        f"Mean calibration error near the contours of {TITLES[name]} {_moved(ece, part)}; it may "
        f"rise by {rules.ece_margin:g}.",
    )


def _too_few(name: str, part: DataSetResult, wanted: int) -> Check:
    return Check(
        f"{name}_groups",
        None,
        f"Only {_patients(part)} could be evaluated in {TITLES[name]}: too few patients to tell; "
        f"the rules require {wanted}.",
    )


def _moved(figure: MetricChange, part: DataSetResult) -> str:
    """Describe a change: ``fell by 0.0400 (0.9000 to 0.8600, ...)``."""
    if figure.difference is None or figure.before is None or figure.after is None:
        return "could not be measured because no structure was edited"
    way = f"rose by {figure.difference:.4f}"
    if figure.difference < 0:
        way = f"fell by {-figure.difference:.4f}"
    elif figure.difference == 0:
        way = "did not change"
    interval = ""
    if figure.low is not None and figure.high is not None:
        interval = f", 95 % interval {figure.low:+.4f} to {figure.high:+.4f}"
    kept = f"; {part.to_parent} of {part.images} images go to the parent" if part.to_parent else ""
    numbers = f"{figure.before:.4f} to {figure.after:.4f}{interval}"
    return f"{way} ({numbers}, {_patients(part)}{kept})"


def _patients(part: DataSetResult) -> str:
    return f"{part.groups} patient{'s' * (part.groups != 1)}"
