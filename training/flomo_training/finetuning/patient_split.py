"""Check whether there are enough corrections, and divide the patients for cross-validation."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from flomo_training.finetuning.dataset import CorrectionSet
from flomo_training.finetuning.settings import Settings


@dataclass(frozen=True)
class Readiness:
    """Whether there are enough corrections for training, as numbers and as a sentence.

    ``have`` and ``need`` are numbers of corrected slices, ``groups`` is that of patients.
    """

    ready: bool
    have: int
    need: int
    groups: int
    sentence: str


def readiness(corrected: CorrectionSet, settings: Settings) -> Readiness:
    """Return whether there are enough corrected slices."""
    have, need, groups = corrected.slices, settings.minimum_slices, len(corrected.groups)
    ready = have >= need
    if not ready:
        sentence = f"Not enough yet: {have} of {need} slices; accept {need - have} more."
    else:
        sentence = f"Ready: {_counted(have, 'slice')} of {_counted(groups, 'patient')}."
        if not folds(corrected, settings):
            why = "one patient" if groups == 1 else "patients that the model was trained on before"
            sentence = (
                f"Ready: {_counted(have, 'slice')}, but only of {why}, so none can be held out for "
                "evaluation; correct an image of another patient."
            )
    return Readiness(ready, have, need, groups, sentence)


def folds(corrected: CorrectionSet, settings: Settings) -> list[frozenset[str]]:
    """Return the patients that are held out in each fold; every patient is in one fold.

    The division is deterministic, with about as many slices in each fold. Patients that the model
    was trained on before are never held out. There are no folds if there is only one patient or the
    model was trained on all of them.
    """
    groups = corrected.groups
    free = set(groups) - corrected.trained
    if len(groups) < 2:
        return []
    sizes = {group: corrected.of((group,)).slices for group in free}
    parts: list[list[str]] = [[] for _ in range(min(settings.folds, len(free)))]
    # The largest patients first, each to the smallest fold; ties are resolved by a random order.
    for group in sorted(free, key=lambda one: (-sizes[one], _random_key(one, settings.seed))):
        min(parts, key=lambda part: sum(sizes[one] for one in part)).append(group)
    return [frozenset(part) for part in parts]


def _random_key(group: str, seed: int) -> str:
    return hashlib.sha256(f"{seed} {group}".encode()).hexdigest()


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
