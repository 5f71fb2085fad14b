"""Whether there is enough to learn from, and what of it is kept out of training."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from flomo_training.finetuning.gathering import Corrected
from flomo_training.finetuning.settings import Settings


@dataclass(frozen=True)
class Readiness:
    """Whether a training may begin.

    Attributes
    ----------
    ready
        Whether it may.
    have, need
        Corrected slices, and how many there must be at least.
    groups
        Patients that they are of.
    sentence
        The same for people.
    """

    ready: bool
    have: int
    need: int
    groups: int
    sentence: str


def readiness(corrected: Corrected, settings: Settings) -> Readiness:
    """Tell whether there are slices enough.

    Parameters
    ----------
    corrected
        From `gather`.
    settings
        With the number that is needed.
    """
    have, need, groups = corrected.slices, settings.minimum_slices, len(corrected.groups)
    ready = have >= need
    if not ready:
        sentence = f"Not enough yet: {have} of {need} slices; accept {need - have} more."
    else:
        sentence = f"Ready: {_counted(have, 'slice')} of {_counted(groups, 'patient')}."
        if not split(corrected, settings)[1].frames:
            why = "one patient" if groups == 1 else "patients that the model has learnt from before"
            sentence = (
                f"Ready: {_counted(have, 'slice')}, but only of {why}, so none can be kept out of "
                "training to judge the result by; correct an image of another patient."
            )
    return Readiness(ready, have, need, groups, sentence)


def split(corrected: Corrected, settings: Settings) -> tuple[Corrected, Corrected]:
    """Keep some patients out of training.

    The same corrections and settings give the same split. Patients that the model has learnt from
    before always go to training: they could not judge it.

    Parameters
    ----------
    corrected
        From `gather`.
    settings
        With the share and the seed.

    Returns
    -------
    training, held_out
        No patient is in both. Held out is at least one patient, and near the share that is asked
        for; nothing at all, if only one patient is left or all have been learnt from.
    """
    sizes = {group: corrected.of((group,)).slices for group in corrected.groups}
    wanted = settings.held_out * corrected.slices
    free = sorted(set(sizes) - corrected.learnt, key=lambda group: _ticket(group, settings.seed))
    chosen: list[str] = []
    while free and len(chosen) < len(sizes) - 1:
        missing = wanted - sum(sizes[group] for group in chosen)
        # The first of equals is the one that the seed drew.
        best = min(free, key=lambda group: abs(sizes[group] - missing))
        if chosen and abs(sizes[best] - missing) >= abs(missing):
            break
        chosen.append(best)
        free.remove(best)
    taught = [group for group in sizes if group not in chosen]
    return corrected.of(taught), corrected.of(chosen)


def _ticket(group: str, seed: int) -> str:
    return hashlib.sha256(f"{seed} {group}".encode()).hexdigest()


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
