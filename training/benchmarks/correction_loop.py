"""What corrections teach: a model meets a scanner it has not seen, and a reader corrects it.

    python training/benchmarks/correction_loop.py --acdc ACDC --target SUNNYBROOK --work DIR
    python training/benchmarks/correction_loop.py --page-only

In each of three target domains (`correction_domains`) the model marks the most uncertain slices of
some patients; a simulated reader (`flomo_training.simulated_reader`) corrects the first k of them
from the reference labels; `flomo finetune`'s own function learns from that store. Then the Dice is
measured on other patients of the target domain and on patients of the base task, for

- ``none``: the model as it is,
- ``norms``: with batch norms that have met the images of the store, but no label,
- ``tuned``: fine-tuned with the settings of the package, without any data of the base task,
- ``weights``: the same with the norms' statistics as they were,
- ``replay``: the same with data of the base task at hand,
- ``scratch``: a new network, trained on the same slices for as many steps.

Every run is a row of ``correction_loop.csv``; rows that are there already are not run again, so the
experiment can be interrupted. The page and the picture are made from that table alone. Trials of
other settings (``--domain trial --settings FILE --label NAME``) go to ``correction_trial.csv``;
``--between RUN 0.25 0.5`` measures weights between the base model and what a run has learnt.
"""

from __future__ import annotations

import argparse
import csv
import platform
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from correction_domains import DOMAINS, Domain, Question, target_dice

from flomo_training.agreement import Agreement
from flomo_training.bootstrap import Sample, estimate
from flomo_training.cases import Case, read_case
from flomo_training.evaluate import evaluate
from flomo_training.finetuning import Settings, finetune, read_settings
from flomo_training.finetuning.adapting import adapt_statistics
from flomo_training.finetuning.gathering import gather
from flomo_training.finetuning.module import between
from flomo_training.finetuning.splitting import split
from flomo_training.simulated_reader import Uncertainty, corrected, most_uncertain
from napari_flomo.corrections import Correction, CorrectionStore, ModelReference
from napari_flomo.files import atomic_write
from napari_flomo.jobs import FinetuneConfig
from napari_flomo.models import build_network, load_card, load_network, save_model
from napari_flomo.segmentation import Segmentation, Segmenter
from napari_flomo.volumes import Volume

DOCS = Path(__file__).resolve().parents[2] / "docs" / "benchmarks"
TABLE, TRIALS = DOCS / "correction_loop.csv", DOCS / "correction_trial.csv"
BASE = "flomo-b0-acdc"
COUNTS = (5, 10, 20, 40)
ARMS = ("norms", "tuned", "weights", "replay", "scratch")
NAN = float("nan")


@dataclass(frozen=True)
class Row:
    """One run and what came of it.

    Attributes
    ----------
    domain, question
        Target data, and which split of it.
    arm, slices
        Way of learning, and how many slices the reader corrected (those kept out of training
        included).
    learnt
        Slices that were trained on; the rest was held out to know when to stop.
    target
        Mean over structures of the mean 3-D Dice on the test patients.
    target_rv, target_myocardium, target_lv
        Of each structure; NaN where the reference has none.
    base
        Mean 3-D Dice on the base task, all structures.
    base_same
        The same of the structures that the target's labels hold.
    seconds
        Of fine-tuning.
    hardware
        That it ran on.
    """

    domain: str
    question: str
    arm: str
    slices: int
    learnt: int
    target: float
    target_rv: float
    target_myocardium: float
    target_lv: float
    base: float
    base_same: float
    seconds: float
    hardware: str

    @property
    def key(self) -> tuple[str, str, str, int]:
        """What tells runs apart."""
        return self.domain, self.question, self.arm, self.slices


@dataclass(frozen=True)
class Examination:
    """A labelled volume of the target data, as the base model sees it."""

    case: Case
    image: Volume
    reference: Volume
    found: Segmentation
    slices: list[int]

    @property
    def structures(self) -> list[int]:
        """Codes that the reference holds."""
        return [int(code) for code in np.unique(self.reference.data) if code]


def examine(cases: Sequence[Case], segmenter: Segmenter, domain: Domain) -> list[Examination]:
    """Segment some volumes of the target data."""
    found = []
    for case in cases:
        image, reference = read_case(case)
        slices = domain.slices(reference)
        found.append(Examination(case, image, reference, segmenter.segment(image), slices))
    return found


def fill_store(folder: Path, pool: Sequence[Examination], count: int) -> int:
    """Let the reader correct the most uncertain slices; return how many there were."""
    uncertainties = [
        Uncertainty(number, index, float(one.found.slice_scores[0, index]))
        for number, one in enumerate(pool)
        for index in one.slices
    ]
    chosen = most_uncertain(uncertainties, count)
    store = CorrectionStore.open(folder, create=True)
    for number, one in enumerate(pool):
        slices = [uncertainty.slice for uncertainty in chosen if uncertainty.case == number]
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


def base_dice(rows: Sequence[Agreement], names: set[str]) -> float:
    """Return the mean Dice of some structures on the base task."""
    chosen = [row for row in rows if row.structure in names]
    sample = Sample(
        [row.dice for row in chosen],
        [row.patient for row in chosen],
        [row.structure for row in chosen],
    )
    return estimate(sample).value


class Experiment:
    """A target domain, the base model and the table that fills up."""

    def __init__(self, domain: Domain, acdc: Path, work: Path, settings: Settings) -> None:
        self.segmenter = Segmenter.from_pretrained(BASE)
        self.domain, self.acdc, self.work, self.settings = domain, acdc, work, settings
        self.table = TRIALS if domain.name == "trial" else TABLE
        self.rows = read_table(self.table)

    def measure(
        self, question: Question, arm: str, slices: tuple[int, int], seconds: float,
        segmenter: Segmenter,
    ) -> None:  # fmt: skip
        """Measure what came of a run and keep the row; ``slices`` were corrected and learnt."""
        dice = target_dice(segmenter, question.test, self.domain)
        rows = evaluate(question.base, segmenter)
        every = {row.structure for row in rows}
        row = Row(
            self.domain.name,
            question.name,
            arm,
            slices[0],
            slices[1],
            round(fmean(dice.values()), 4),
            round(dice.get("right ventricle", NAN), 4),
            round(dice.get("left ventricular myocardium", NAN), 4),
            round(dice.get("left ventricle", NAN), 4),
            round(base_dice(rows, every), 4),
            round(base_dice(rows, set(dice)), 4),
            round(seconds, 1),
            f"{platform.machine()}, {torch.get_num_threads()} threads",
        )
        self.rows.append(row)
        write_table(self.table, self.rows)
        print(row, file=sys.stderr, flush=True)

    def run(self, question: Question, arm: str, count: int, label: str) -> None:
        """Correct, learn, measure; nothing if the row is there."""
        if (self.domain.name, question.name, label, count) in {row.key for row in self.rows}:
            return
        if arm == "none":
            self.measure(question, arm, (0, 0), 0.0, self.segmenter)
            return
        folder = self.work / f"{self.domain.name}-{question.name}-{label}-{count}".replace(" ", "_")
        shutil.rmtree(folder, ignore_errors=True)
        pool = examine(question.pool, self.segmenter, self.domain)
        there = fill_store(folder / "store", pool, count)
        if arm == "norms":
            self.measure(question, label, (count, 0), 0.0, self.acquainted(folder / "store"))
            return
        base, settings = self.start(arm, folder)
        replay = self.acdc if arm == "replay" else None
        store = str(folder / "store")
        config = FinetuneConfig(
            str(base), store, replay=str(replay) if replay else None, device="cpu"
        )
        tuned = finetune(config, folder / "run", settings=settings)
        kept_out = sum(len(one.slices) for one in tuned.held_out)
        segmenter = Segmenter.from_pretrained(tuned.folder, "cpu")
        self.measure(question, label, (count, there - kept_out), tuned.seconds, segmenter)
        shutil.rmtree(folder / "store")

    def acquainted(self, store: Path) -> Segmenter:
        """Return the base model with norms that have met the images of a store."""
        network, card = load_network(BASE)
        training, _ = split(gather(CorrectionStore.open(store), card, []), self.settings)
        rule = self.settings
        adapt_statistics(network, training.frames, card, rule.adapt_statistics, rule.seed)
        return Segmenter(network, card, "cpu")

    def between(self, learnt: Path, shares: Sequence[float], label: str) -> None:
        """Measure weights on the way from the base model to those that a run has learnt.

        Parameters
        ----------
        learnt
            Folder of a model that was made with an interpolation of 1.
        shares
            Of the way.
        label
            Of the rows.
        """
        parent = load_network(BASE)[0]
        for share in shares:
            network, card = load_network(learnt)
            network.load_state_dict(between(parent, network, share))
            segmenter = Segmenter(network, card, "cpu")
            for question in self.domain.questions:
                self.measure(question, f"{label}, {share:g} of the way", (0, 0), 0.0, segmenter)

    def start(self, arm: str, folder: Path) -> tuple[str | Path, Settings]:
        """Return what a way of learning starts from, and its settings."""
        if arm == "weights":
            return BASE, replace(self.settings, adapt_statistics=0.0)
        if arm != "scratch":
            return BASE, self.settings
        card = replace(load_card(BASE), name="newborn", trained_on=(), metrics={}, history=())
        torch.manual_seed(self.settings.seed)
        save_model(folder / "newborn", build_network(card), card)
        # A new network has nothing to keep: no teacher, statistics of its own, the recipe's rate.
        return folder / "newborn", replace(
            self.settings,
            adapt_statistics=0.0,
            freeze_statistics=False,
            interpolation=1.0,
            learning_rate=4e-3,
            distillation=replace(self.settings.distillation, weight=0.0, unseen=0.0),
        )


def read_table(path: Path) -> list[Row]:
    """Return the rows that were measured before."""
    if not path.is_file():
        return []
    kinds = {field.name: {"str": str, "int": int, "float": float}[str(field.type)]
             for field in fields(Row)}  # fmt: skip
    with path.open(newline="", encoding="utf-8") as file:
        return [
            Row(**{name: kinds[name](value) for name, value in row.items()})
            for row in csv.DictReader(file)
        ]


def write_table(path: Path, rows: Sequence[Row]) -> None:
    """Write all rows."""
    with atomic_write(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as f:
        writer = csv.DictWriter(f, [field.name for field in fields(Row)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


def plan(
    questions: Sequence[Question], counts: Sequence[int], arms: Sequence[str]
) -> Iterator[tuple[Question, str, int]]:
    """Yield the runs, the most telling first."""
    yield from ((question, "none", 0) for question in questions)
    for arm in arms:
        for count in sorted(counts, key=lambda count: abs(count - 20)):
            yield from ((question, arm, count) for question in questions)


def main() -> None:
    """Run what is missing, then write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--acdc", type=Path, help="ACDC, as flomo data prepare leaves it")
    parser.add_argument("--target", type=Path, help="Sunnybrook: cases.csv, images/, labels/")
    parser.add_argument("--work", type=Path, help="folder for runs")
    parser.add_argument("--domain", default="protocol", choices=DOMAINS)
    parser.add_argument("--counts", type=int, nargs="+", default=COUNTS)
    parser.add_argument("--arms", nargs="+", default=ARMS, choices=ARMS)
    parser.add_argument("--questions", type=int, help="only so many splits of the domain")
    parser.add_argument("--settings", type=Path, help="settings of fine-tuning, for a trial")
    parser.add_argument("--label", help="what the table calls a trial, instead of its arm")
    parser.add_argument("--between", nargs="+", metavar=("MODEL", "SHARE"), help="see above")
    parser.add_argument("--page-only", action="store_true")
    args = parser.parse_args()
    if (args.settings or args.label) and args.domain != "trial":
        parser.error("other settings are tried on the trial domain only")
    if not args.page_only:
        domain = DOMAINS[args.domain](args.target, args.acdc, args.work, load_card(BASE))
        experiment = Experiment(domain, args.acdc, args.work, read_settings(args.settings))
        if args.between:
            folder, shares = Path(args.between[0]), [float(share) for share in args.between[1:]]
            experiment.between(folder, shares, args.label or "tuned")
            return
        for question, arm, count in plan(
            domain.questions[: args.questions], args.counts, args.arms
        ):
            label = args.label if args.label and arm != "none" else arm
            experiment.run(question, arm, count, label)
    from correction_loop_page import write_page

    write_page(read_table(TABLE), read_table(TRIALS))


if __name__ == "__main__":
    main()
