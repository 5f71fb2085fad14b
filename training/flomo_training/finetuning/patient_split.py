"""Check whether there are enough corrections, and hold out some patients."""

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
        if not split(corrected, settings)[1].frames:
            why = "one patient" if groups == 1 else "patients that the model was trained on before"
            sentence = (
                f"Ready: {_counted(have, 'slice')}, but only of {why}, so none can be held out for "
                "evaluation; correct an image of another patient."
            )
    return Readiness(ready, have, need, groups, sentence)


def split(corrected: CorrectionSet, settings: Settings) -> tuple[CorrectionSet, CorrectionSet]:
    """Hold out some patients; return the training set and the held-out set.

    The split is deterministic. Patients that the model was trained on before are never held out. At
    least one patient is held out, with about the requested fraction of slices; none if there is
    only one patient or the model was trained on all of them.
    """
    sizes = {group: corrected.of((group,)).slices for group in corrected.groups}
    wanted = settings.held_out * corrected.slices
    free = sorted(
        set(sizes) - corrected.trained, key=lambda group: _random_key(group, settings.seed)
    )
    chosen: list[str] = []
    while free and len(chosen) < len(sizes) - 1:
        missing = wanted - sum(sizes[group] for group in chosen)
        # Ties are resolved by the random order.
        best = min(free, key=lambda group: abs(sizes[group] - missing))
        if chosen and abs(sizes[best] - missing) >= abs(missing):
            break
        chosen.append(best)
        free.remove(best)
    trained = [group for group in sizes if group not in chosen]
    return corrected.of(trained), corrected.of(chosen)


def _random_key(group: str, seed: int) -> str:
    return hashlib.sha256(f"{seed} {group}".encode()).hexdigest()


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
