"""Target domains of the correction experiment: images that the base model was not trained on.

``c0``, ``lge`` and ``t2``: 30 patients of MyoPS in three contrasts, from another hospital.
``sunnybrook``: three patients of another hospital, scanner and reader. ``mild``: the 16 patients of
ACDC fold 0 with slightly more noise and another contrast, where a model has little to learn.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

import numpy as np

from flomo_training.cases import Case, case_from_row, list_cases, read_case, read_case_rows
from flomo_training.metrics import compare
from flomo_training.uncertainty.degradations import degrade
from napari_flomo.models import ModelCard
from napari_flomo.segmentation import Segmentation
from napari_flomo.volumes import Volume, write

FOLD = 0
"""Fold of ACDC from which the images of ``mild`` and of the base task are taken."""

CORRECTED_PATIENTS = 10
"""Patients of MyoPS that are corrected in each half; the others are the test set."""

MILD = (("noise", "mild"), ("contrast", "mild"))
"""Degradations of `flomo_training.uncertainty.degradations`, one after the other."""

SEED = 2026


@dataclass(frozen=True)
class PatientSplit:
    """One split of the target data into corrected and test patients.

    Attributes
    ----------
    pool, test
        Cases that the reader corrects, and cases of other patients.
    """

    name: str
    pool: tuple[Case, ...]
    test: tuple[Case, ...]


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


def myops(name: str, source: Path) -> Domain:
    """Return a contrast of MyoPS: the first ten patients are corrected, then the last ten."""
    cases = [case_from_row(source / name, row) for row in read_case_rows(source / name)]
    cases.sort(key=lambda case: case.patient)
    pools = cases[:CORRECTED_PATIENTS], cases[-CORRECTED_PATIENTS:]
    splits = [
        PatientSplit(
            f"half {number}",
            tuple(pool),
            tuple(case for case in cases if case not in pool),
        )
        for number, pool in enumerate(pools, start=1)
    ]
    return Domain(name, tuple(splits), whole=True)


def sunnybrook(source: Path) -> Domain:
    """Return the data of another reader; each patient in turn is the test set."""
    cases = [case_from_row(source, row) for row in read_case_rows(source)]
    splits = [
        PatientSplit(
            f"patient {number}",
            tuple(case for case in cases if case.patient != patient),
            tuple(case for case in cases if case.patient == patient),
        )
        for number, patient in enumerate(sorted({case.patient for case in cases}), start=1)
    ]
    return Domain("sunnybrook", tuple(splits), whole=False)


def mild(acdc: Path, work: Path, card: ModelCard) -> Domain:
    """Return slightly changed images of the base task in two halves, written to ``work``."""
    cases = list_cases(acdc, FOLD, "validation")
    order = np.random.default_rng(SEED).permutation(sorted({case.patient for case in cases}))
    changed = [change(case, MILD, work / "mild", card) for case in cases]
    halves = (set(order[: len(order) // 2]), set(order[len(order) // 2 :]))
    splits = [
        PatientSplit(
            f"half {number}",
            tuple(case for case in changed if case.patient in half),
            tuple(case for case in changed if case.patient not in half),
        )
        for number, half in enumerate(halves, start=1)
    ]
    return Domain("mild", tuple(splits), whole=True)


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


def case_dice(
    segment: Callable[[Volume], Segmentation], case: Case, domain: Domain
) -> dict[str, float]:
    """Return the 3-D Dice of each structure of a volume, in the slices that are labelled."""
    image, reference = read_case(case)
    slices = domain.slices(reference)
    found = segment(image)
    labels, truth = found.labels.data[slices], reference.data[slices]
    return {
        label.name: compare(truth == label.code, labels == label.code, None).dice
        for label in found.card.labels[1:]
        if (truth == label.code).any()
    }


def target_dice(
    segment: Callable[[Volume], Segmentation], cases: Sequence[Case], domain: Domain
) -> dict[str, float]:
    """Return the mean 3-D Dice of each structure over volumes, in the slices that are labelled."""
    return mean_dice(case_dice(segment, case, domain) for case in cases)


def mean_dice(cases: Iterable[dict[str, float]]) -> dict[str, float]:
    """Return the mean of each structure over the cases that have it."""
    values: dict[str, list[float]] = {}
    for case in cases:
        for name, dice in case.items():
            values.setdefault(name, []).append(dice)
    return {name: fmean(dice) for name, dice in values.items()}


DOMAINS: dict[str, Callable[[Namespace, ModelCard], Domain]] = {
    "lge": lambda args, _card: myops("lge", args.myops),
    "t2": lambda args, _card: myops("t2", args.myops),
    "c0": lambda args, _card: myops("c0", args.myops),
    "sunnybrook": lambda args, _card: sunnybrook(args.sunnybrook),
    "mild": lambda args, card: mild(args.acdc, args.work, card),
}
