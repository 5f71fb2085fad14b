"""Target domains of the correction experiment: data that the model was not trained on.

``protocol``: the held-out fold of ACDC, blurred and with another contrast, like another imaging
protocol. ``scanner``: the same patients at half the resolution with noise, where detail is lost.
``sunnybrook``: three real patients of another hospital, scanner and reader. ``trial`` is for
choosing the settings of fine-tuning: the change of ``protocol`` on patients that the model *was*
trained on, so that no reported patient influenced a choice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

import numpy as np

from flomo_training.cases import Case, case_from_row, list_cases, read_case, read_case_rows
from flomo_training.metrics import compare
from flomo_training.uncertainty.degradations import degrade
from napari_flomo.models import ModelCard
from napari_flomo.segmentation import Segmenter
from napari_flomo.volumes import Volume, write

FOLD = 0
"""Fold of ACDC that the model was not trained on."""

CHANGES = {
    "protocol": (("blur", "mild"), ("contrast", "strong")),
    "scanner": (("low resolution", "mild"), ("noise", "mild")),
    "trial": (("blur", "mild"), ("contrast", "strong")),
}
"""Degradations of `flomo_training.uncertainty.degradations`, one after the other."""

TRIAL_PATIENTS = 12
SEED = 2026


@dataclass(frozen=True)
class PatientSplit:
    """One split of the target data into corrected and test patients.

    Attributes
    ----------
    pool, test
        Cases that the reader corrects, and cases of other patients.
    base
        Cases of the base task, without patients of the pool.
    """

    name: str
    pool: tuple[Case, ...]
    test: tuple[Case, ...]
    base: tuple[Case, ...]


@dataclass(frozen=True)
class Domain:
    """A target domain with its patient splits.

    Unless the ``whole`` volumes are labelled, only slices with contours are corrected and counted.
    """

    name: str
    splits: tuple[PatientSplit, ...]
    whole: bool

    def slices(self, reference: Volume) -> list[int]:
        """Return the labelled slices of a reference."""
        if self.whole:
            return list(range(len(reference.data)))
        return [int(index) for index in np.flatnonzero(reference.data.any((1, 2)))]


def sunnybrook(source: Path, acdc: Path) -> Domain:
    """Return the real scanner; each patient in turn is the test set."""
    cases = [case_from_row(source, row) for row in read_case_rows(source)]
    base = tuple(list_cases(acdc, FOLD, "validation"))
    splits = [
        PatientSplit(
            f"patient {number}",
            tuple(case for case in cases if case.patient != patient),
            tuple(case for case in cases if case.patient == patient),
            base,
        )
        for number, patient in enumerate(sorted({case.patient for case in cases}), start=1)
    ]
    return Domain("sunnybrook", tuple(splits), whole=False)


def simulated(name: str, acdc: Path, work: Path, card: ModelCard) -> Domain:
    """Return a simulated scanner: half of the patients are corrected, the others are the test set.

    ``name`` is a key of `CHANGES`; ``"trial"`` uses patients that the model was trained on, and one
    split. The changed images are written to ``work``.
    """
    trial = name == "trial"
    cases = list_cases(acdc, FOLD, "training" if trial else "validation")
    order = np.random.default_rng(SEED).permutation(sorted({case.patient for case in cases}))
    patients = [str(one) for one in order[: TRIAL_PATIENTS if trial else None]]
    chosen = [case for case in cases if case.patient in patients]
    changed = {case.name: change(case, CHANGES[name], work / name, card) for case in chosen}
    middle = len(patients) // 2
    halves = (set(patients[:middle]), set(patients[middle:]))
    splits = [
        PatientSplit(
            f"half {number}",
            tuple(changed[case.name] for case in chosen if case.patient not in half),
            tuple(changed[case.name] for case in chosen if case.patient in half),
            tuple(case for case in chosen if case.patient in half),
        )
        for number, half in enumerate(halves, start=1)
    ]
    return Domain(name, tuple(splits[: 1 if trial else 2]), whole=True)


def change(case: Case, changes: Sequence[tuple[str, str]], folder: Path, card: ModelCard) -> Case:
    """Write the degraded image of a case; its labels stay the same."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{case.name}.nii.gz"
    if not path.is_file():
        image, _ = read_case(case)
        # Python's hash differs between processes.
        seed = SEED + sum(case.name.encode())
        for kind, grade in changes:
            image = degrade(image, kind, grade, card, seed)
        write(image, path)
    return replace(case, image=path)


def target_dice(segmenter: Segmenter, cases: Sequence[Case], domain: Domain) -> dict[str, float]:
    """Return the mean 3-D Dice of each structure over volumes, in the slices that are labelled."""
    names = {label.code: label.name for label in segmenter.card.labels[1:]}
    values: dict[str, list[float]] = {}
    for case in cases:
        image, reference = read_case(case)
        slices = domain.slices(reference)
        truth = reference.data[slices]
        labels = segmenter.segment(image, keep_probabilities=False).labels.data[slices]
        for code, name in names.items():
            if (truth == code).any():
                agreement = compare(truth == code, labels == code, None)
                values.setdefault(name, []).append(agreement.dice)
    return {name: fmean(dice) for name, dice in values.items()}


DOMAINS: dict[str, Callable[[Path, Path, Path, ModelCard], Domain]] = {
    "protocol": lambda _target, acdc, work, card: simulated("protocol", acdc, work, card),
    "scanner": lambda _target, acdc, work, card: simulated("scanner", acdc, work, card),
    "sunnybrook": lambda target, acdc, _work, _card: sunnybrook(target, acdc),
    "trial": lambda _target, acdc, work, card: simulated("trial", acdc, work, card),
}
