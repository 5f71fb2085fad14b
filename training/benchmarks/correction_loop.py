"""What corrections teach: a model meets a scanner it has not seen, and a reader corrects it.

    python training/benchmarks/correction_loop.py --target SUNNYBROOK --base-data ACDC --work DIR
    python training/benchmarks/correction_loop.py --page-only

One patient of the target data after the other is kept for the test. On the others the model marks
its most doubtful slices; a simulated reader (`flomo_training.simulated_reader`) corrects the first
k of them from the reference labels; `flomo finetune`'s own function learns from that store. Then
the Dice on the test patient and on the held-out fold of the base data is measured, for

- ``none``: the model as it is,
- ``tuned``: fine-tuned with the settings of the package, without any data of the base task,
- ``replay``: the same with data of the base task at hand,
- ``scratch``: a new network, trained on the same slices for as many steps.

Every run is a row of ``correction_loop.csv``; rows that are there already are not run again, so the
experiment can be interrupted. The page and the picture are made from that table alone.
"""

from __future__ import annotations

import argparse
import csv
import platform
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from statistics import fmean

import numpy as np
import torch

from flomo_training.agreement import Agreement
from flomo_training.bootstrap import Sample, estimate
from flomo_training.cases import Case, case_of, list_cases, read_case, read_rows
from flomo_training.evaluate import evaluate
from flomo_training.finetuning import Settings, finetune, read_settings
from flomo_training.metrics import compare
from flomo_training.simulated_reader import Doubt, corrected, most_doubtful
from napari_flomo.corrections import Correction, CorrectionStore, ModelReference
from napari_flomo.files import atomic_write
from napari_flomo.models import build_network, load_card, save_model
from napari_flomo.segmentation import Segmentation, Segmenter
from napari_flomo.volumes import Volume

DOCS = Path(__file__).resolve().parents[2] / "docs" / "benchmarks"
TABLE = DOCS / "correction_loop.csv"
BASE = "flomo-b0-acdc"
FOLD = 0
COUNTS = (5, 10, 20, 40)
ARMS = ("tuned", "replay", "scratch")

Run = tuple[str, str, int]
"""Way of learning, patient of the test, number of corrected slices."""


@dataclass(frozen=True)
class Row:
    """One run and what came of it.

    Attributes
    ----------
    arm, slices
        Way of learning, and how many slices the reader corrected (those kept out of training
        included).
    patient
        The one kept for the test.
    learnt
        Slices that were trained on; the rest was held out to know when to stop.
    target
        Mean Dice of the structures on the test patient's labelled slices: ED and ES volumes.
    target_lv, target_myocardium
        Of each structure; the myocardium is labelled at ED only.
    base
        Mean 3-D Dice on the held-out fold of the base data, all structures.
    base_same
        The same of the structures that the target's labels hold.
    seconds
        Of fine-tuning.
    hardware
        That it ran on.
    """

    arm: str
    slices: int
    patient: str
    learnt: int
    target: float
    target_lv: float
    target_myocardium: float
    base: float
    base_same: float
    seconds: float
    hardware: str

    @property
    def key(self) -> tuple[str, int, str]:
        """What tells runs apart."""
        return self.arm, self.slices, self.patient


@dataclass(frozen=True)
class Examination:
    """A labelled volume of the target data, as the base model sees it."""

    case: Case
    image: Volume
    reference: Volume
    found: Segmentation

    @property
    def structures(self) -> list[int]:
        """Codes that the reference holds."""
        return [int(code) for code in np.unique(self.reference.data) if code]

    @property
    def labelled(self) -> list[int]:
        """Slices that the reference holds contours of; others may show a heart all the same."""
        return [int(i) for i in np.flatnonzero(self.reference.data.any((1, 2)))]


def examine(cases: Sequence[Case], segmenter: Segmenter) -> list[Examination]:
    """Segment the volumes of the target data."""
    found = []
    for case in cases:
        image, reference = read_case(case)
        found.append(Examination(case, image, reference, segmenter.segment(image)))
    return found


def fill_store(folder: Path, pool: Sequence[Examination], count: int) -> int:
    """Let the reader correct the most doubtful slices; return how many there were."""
    doubts = [
        Doubt(number, index, float(one.found.slice_scores[0, index]))
        for number, one in enumerate(pool)
        for index in one.labelled
    ]
    chosen = most_doubtful(doubts, count)
    store = CorrectionStore.open(folder, create=True)
    for number, one in enumerate(pool):
        slices = [doubt.slice for doubt in chosen if doubt.case == number]
        if not slices:
            continue
        card = one.found.card
        store.add(
            Correction(
                one.image,
                corrected(one.found.labels, one.reference, slices, one.structures),
                {label.code: label.name for label in card.labels[1:]},
                one.found.labels,
                seen=[(0, index) for index in slices],
                state="accepted",
                reader="simulated",
                model=ModelReference.of(card),
                group=store.group_id(one.case.patient),
            )
        )
    return len(chosen)


def target_dice(segmenter: Segmenter, tests: Sequence[Examination]) -> dict[int, float]:
    """Return the mean 3-D Dice of each structure over volumes, labelled slices only."""
    values: dict[int, list[float]] = {}
    for one in tests:
        labels = segmenter.segment(one.image, keep_probabilities=False).labels.data[one.labelled]
        reference = one.reference.data[one.labelled]
        for code in one.structures:
            agreement = compare(reference == code, labels == code, None)
            values.setdefault(code, []).append(agreement.dice)
    return {code: fmean(dice) for code, dice in values.items()}


def base_dice(rows: Sequence[Agreement], names: set[str]) -> tuple[float, float]:
    """Return the mean Dice of all structures, and of some, on the base task."""

    def mean(structures: set[str]) -> float:
        chosen = [row for row in rows if row.structure in structures]
        sample = Sample(
            [row.dice for row in chosen],
            [row.patient for row in chosen],
            [row.structure for row in chosen],
        )
        return estimate(sample).value

    return mean({row.structure for row in rows}), mean(names)


class Experiment:
    """The data, the base model and the table that fills up."""

    def __init__(self, target: Path, base_data: Path, work: Path, settings: Settings) -> None:
        self.segmenter = Segmenter.from_pretrained(BASE)
        self.base_data, self.work, self.settings = base_data, work, settings
        self.held_out = list_cases(base_data, FOLD, "validation")
        cases = [case_of(target, row) for row in read_rows(target)]
        self.examinations = examine(cases, self.segmenter)
        self.rows = read_table()

    @cached_property
    def base_rows(self) -> list[Agreement]:
        """What the model as it is finds on the base task; the same whoever is the test patient."""
        return evaluate(self.held_out, self.segmenter)

    @property
    def patients(self) -> list[str]:
        """Of the target data."""
        return sorted({one.case.patient for one in self.examinations})

    def measure(self, run: Run, learnt: int, seconds: float, segmenter: Segmenter) -> None:
        """Measure what came of a run and keep the row."""
        arm, patient, count = run
        tests = [one for one in self.examinations if one.case.patient == patient]
        names = {label.code: label.name for label in segmenter.card.labels}
        codes = {label.name: label.code for label in segmenter.card.labels}
        dice = target_dice(segmenter, tests)
        unchanged = segmenter is self.segmenter
        rows = self.base_rows if unchanged else evaluate(self.held_out, segmenter)
        base, same = base_dice(rows, {names[code] for code in dice})
        row = Row(
            arm,
            count,
            anonymous(patient, self.patients),
            learnt,
            round(fmean(dice.values()), 4),
            round(dice[codes["left ventricle"]], 4),
            round(dice[codes["left ventricular myocardium"]], 4),
            round(base, 4),
            round(same, 4),
            round(seconds, 1),
            f"{platform.machine()}, {torch.get_num_threads()} threads",
        )
        self.rows.append(row)
        write_table(self.rows)
        print(row, file=sys.stderr, flush=True)

    def run(self, arm: str, patient: str, count: int) -> None:
        """Correct, learn, measure; nothing if the row is there."""
        key = (arm, count, anonymous(patient, self.patients))
        if key in {row.key for row in self.rows}:
            return
        if arm == "none":
            self.measure((arm, patient, 0), 0, 0.0, self.segmenter)
            return
        folder = self.work / f"{key[2]}-{arm}-{count}"
        shutil.rmtree(folder, ignore_errors=True)
        pool = [one for one in self.examinations if one.case.patient != patient]
        there = fill_store(folder / "store", pool, count)
        base, settings = self.start(arm, folder)
        replay = self.base_data if arm == "replay" else None
        tuned = finetune(
            base, folder / "store", folder / "run", replay=replay, settings=settings, device="cpu"
        )
        kept_out = sum(len(one.slices) for one in tuned.held_out)
        segmenter = Segmenter.from_pretrained(tuned.folder, "cpu")
        self.measure((arm, patient, count), there - kept_out, tuned.seconds, segmenter)
        shutil.rmtree(folder)

    def start(self, arm: str, folder: Path) -> tuple[str | Path, Settings]:
        """Return what a way of learning starts from, and its settings."""
        if arm != "scratch":
            return BASE, self.settings
        card = replace(load_card(BASE), name="newborn", trained_on=(), metrics={}, history=())
        torch.manual_seed(self.settings.seed)
        save_model(folder / "newborn", build_network(card), card)
        # A new network has nothing to keep: no teacher, statistics of its own, the recipe's rate.
        return folder / "newborn", replace(
            self.settings,
            freeze_statistics=False,
            learning_rate=4e-3,
            distillation=replace(self.settings.distillation, weight=0.0, unseen=0.0),
        )


def anonymous(patient: str, patients: Sequence[str]) -> str:
    """Return how the table calls a patient."""
    return f"patient {patients.index(patient) + 1}"


def read_table() -> list[Row]:
    """Return the rows that were measured before."""
    if not TABLE.is_file():
        return []
    kinds = {field.name: {"str": str, "int": int, "float": float}[str(field.type)]
             for field in fields(Row)}  # fmt: skip
    with TABLE.open(newline="", encoding="utf-8") as file:
        return [
            Row(**{name: kinds[name](value) for name, value in row.items()})
            for row in csv.DictReader(file)
        ]


def write_table(rows: Sequence[Row]) -> None:
    """Write all rows."""
    with atomic_write(TABLE) as temporary, temporary.open("w", newline="", encoding="utf-8") as f:
        writer = csv.DictWriter(f, [field.name for field in fields(Row)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


def plan(patients: Sequence[str], counts: Sequence[int], arms: Sequence[str]) -> Iterator[Run]:
    """Yield the runs, the most telling first."""
    yield from (("none", patient, 0) for patient in patients)
    for arm in arms:
        for count in sorted(counts, key=lambda count: abs(count - 20)):
            yield from ((arm, patient, count) for patient in patients)


def main() -> None:
    """Run what is missing, then write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--target", type=Path, help="data folder: cases.csv, images/, labels/")
    parser.add_argument("--base-data", type=Path, help="ACDC, as flomo data prepare leaves it")
    parser.add_argument("--work", type=Path, help="folder for runs, emptied as they end")
    parser.add_argument("--counts", type=int, nargs="+", default=COUNTS)
    parser.add_argument("--arms", nargs="+", default=ARMS, choices=ARMS)
    parser.add_argument("--settings", type=Path, help="settings of fine-tuning, for a trial")
    parser.add_argument("--page-only", action="store_true")
    args = parser.parse_args()
    if not args.page_only:
        settings = read_settings(args.settings)
        experiment = Experiment(args.target, args.base_data, args.work, settings)
        for arm, patient, count in plan(experiment.patients, args.counts, args.arms):
            experiment.run(arm, patient, count)
    from correction_loop_page import write_page

    write_page(read_table())


if __name__ == "__main__":
    main()
