"""Measure what a model learns from corrections of images from an unseen scanner.

    python training/benchmarks/correction_loop.py --acdc ACDC --target SUNNYBROOK --work DIR
    python training/benchmarks/correction_loop.py --page-only

In each of three target domains (`correction_domains`) a simulated reader
(`flomo_training.simulated_reader`) corrects the k most uncertain slices of some patients from the
reference labels, and the function behind `flomo finetune` learns from that store. Then the Dice is
measured on other patients of the target domain and on patients of the base task, for

- ``none``: the unchanged model,
- ``norms``: batch norm statistics adapted to the images of the store, without labels,
- ``tuned``: fine-tuned with the default settings, without any data of the base task,
- ``weights``: the same with unchanged batch norm statistics,
- ``replay``: the same with data of the base task,
- ``scratch``: a new network, trained on the same slices for as many steps.

Every run is a row of ``correction_loop.csv``. Existing rows are not run again, so the experiment
can be interrupted. The page and the picture are made from that table alone. Trials of other
settings (``--domain trial --settings FILE --label NAME``) go to ``correction_trial.csv``;
``--between RUN 0.25 0.5`` measures interpolations between the weights of the base model and those
of a run.
"""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from correction_domains import DOMAINS, Domain, PatientSplit, target_dice
from correction_loop_page import write_results
from correction_results import RunResult, read_table, write_table
from page_writer import DOCS, parser_of

from flomo_training.bootstrap import Sample, estimate
from flomo_training.cases import Case, read_case
from flomo_training.evaluate import evaluate
from flomo_training.finetuning import Settings, finetune, read_settings
from flomo_training.finetuning.batchnorm import adapt_statistics
from flomo_training.finetuning.dataset import gather
from flomo_training.finetuning.module import interpolate_weights
from flomo_training.metrics_table import StructureMetrics
from flomo_training.simulated_reader import ScoredSlice, corrected, most_uncertain
from napari_flomo.corrections import Correction, CorrectionStore, ModelReference
from napari_flomo.jobs import FinetuneConfig
from napari_flomo.models import build_network, load_card, load_network, save_model
from napari_flomo.segmentation import Segmentation, Segmenter
from napari_flomo.volumes import Volume

TABLE, TRIALS = DOCS / "correction_loop.csv", DOCS / "correction_trial.csv"
BASE = "flomo-b0-acdc"
COUNTS = (5, 10, 20, 40)
ARMS = ("norms", "tuned", "weights", "replay", "scratch")
NAN = float("nan")


@dataclass(frozen=True)
class TargetVolume:
    """A labelled volume of the target data, and its segmentation by the base model."""

    case: Case
    image: Volume
    reference: Volume
    found: Segmentation
    slices: list[int]

    @property
    def structures(self) -> list[int]:
        """Codes that the reference contains."""
        return [int(code) for code in np.unique(self.reference.data) if code]


def segment_cases(
    cases: Sequence[Case], segmenter: Segmenter, domain: Domain
) -> list[TargetVolume]:
    """Segment volumes of the target data."""
    found = []
    for case in cases:
        image, reference = read_case(case)
        slices = domain.slices(reference)
        found.append(TargetVolume(case, image, reference, segmenter.segment(image), slices))
    return found


def fill_store(folder: Path, pool: Sequence[TargetVolume], count: int) -> int:
    """Add corrections of the most uncertain slices to a store; return their number."""
    scored = [
        ScoredSlice(number, index, float(one.found.slice_scores[0, index]))
        for number, one in enumerate(pool)
        for index in one.slices
    ]
    chosen = most_uncertain(scored, count)
    store = CorrectionStore.open(folder, create=True)
    for number, one in enumerate(pool):
        slices = [one.slice for one in chosen if one.case == number]
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


def base_dice(rows: Sequence[StructureMetrics], names: set[str]) -> float:
    """Return the mean Dice of the named structures on the base task."""
    chosen = [row for row in rows if row.structure in names]
    sample = Sample(
        [row.dice for row in chosen],
        [row.patient for row in chosen],
        [row.structure for row in chosen],
    )
    return estimate(sample).value


class Experiment:
    """A target domain, the base model and the table of results."""

    def __init__(self, domain: Domain, acdc: Path, work: Path, settings: Settings) -> None:
        self.segmenter = Segmenter.from_pretrained(BASE)
        self.domain, self.acdc, self.work, self.settings = domain, acdc, work, settings
        self.table = TRIALS if domain.name == "trial" else TABLE
        self.rows = read_table(self.table)

    def measure(
        self, split: PatientSplit, arm: str, slices: tuple[int, int], seconds: float,
        segmenter: Segmenter,
    ) -> None:  # fmt: skip
        """Measure a model and keep the row; ``slices`` were corrected and trained on."""
        dice = target_dice(segmenter, split.test, self.domain)
        rows = evaluate(split.base, segmenter)
        every = {row.structure for row in rows}
        row = RunResult(
            self.domain.name,
            split.name,
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

    def run(self, split: PatientSplit, arm: str, count: int, label: str) -> None:
        """Correct, train and measure, unless the row exists."""
        if (self.domain.name, split.name, label, count) in {row.key for row in self.rows}:
            return
        if arm == "none":
            self.measure(split, arm, (0, 0), 0.0, self.segmenter)
            return
        folder = self.work / f"{self.domain.name}-{split.name}-{label}-{count}".replace(" ", "_")
        shutil.rmtree(folder, ignore_errors=True)
        pool = segment_cases(split.pool, self.segmenter, self.domain)
        there = fill_store(folder / "store", pool, count)
        if arm == "norms":
            self.measure(split, label, (count, 0), 0.0, self.with_adapted_norms(folder / "store"))
            return
        base, settings = self.start(arm, folder)
        replay = self.acdc if arm == "replay" else None
        store = str(folder / "store")
        config = FinetuneConfig(
            str(base), store, replay=str(replay) if replay else None, device="cpu"
        )
        tuned = finetune(config, folder / "run", settings=settings)
        model = base if tuned.card is None else tuned.folder
        segmenter = Segmenter.from_pretrained(model, "cpu")
        self.measure(split, label, (count, there), tuned.seconds, segmenter)
        shutil.rmtree(folder / "store")

    def with_adapted_norms(self, store: Path) -> Segmenter:
        """Return the base model with batch norms adapted to the images of a store."""
        network, card = load_network(BASE)
        corrected = gather(CorrectionStore.open(store), card, [])
        adapt_statistics(network, corrected.frames, card, 0.5, self.settings.seed)
        return Segmenter(network, card, "cpu")

    def between(self, learnt: Path, shares: Sequence[float], label: str) -> None:
        """Measure interpolations between the weights of the base model and those of a run.

        The model must have been trained with all of the way (``shares: [1.0]``); ``shares`` are its
        weights.
        """
        parent = load_network(BASE)[0]
        for share in shares:
            network, card = load_network(learnt)
            network.load_state_dict(interpolate_weights(parent, [network.state_dict()], share))
            segmenter = Segmenter(network, card, "cpu")
            for split in self.domain.splits:
                self.measure(split, f"{label}, {share:g} of the way", (0, 0), 0.0, segmenter)

    def start(self, arm: str, folder: Path) -> tuple[str | Path, Settings]:
        """Return the start model of an arm, and its settings."""
        if arm == "weights":
            return BASE, replace(self.settings, adapt_statistics=0.0)
        if arm != "scratch":
            return BASE, self.settings
        card = replace(load_card(BASE), name="untrained", trained_on=(), metrics={}, history=())
        torch.manual_seed(self.settings.seed)
        save_model(folder / "untrained", build_network(card), card)
        # A new network has nothing to retain: no distillation, the learning rate of the recipe.
        return folder / "untrained", replace(
            self.settings,
            adapt_statistics=0.0,
            freeze_statistics=False,
            shares=(1.0,),
            learning_rate=4e-3,
            distillation=replace(self.settings.distillation, weight=0.0, unseen=0.0),
        )


def plan(
    splits: Sequence[PatientSplit], counts: Sequence[int], arms: Sequence[str]
) -> Iterator[tuple[PatientSplit, str, int]]:
    """Yield the runs, the most informative first."""
    yield from ((split, "none", 0) for split in splits)
    for arm in arms:
        for count in sorted(counts, key=lambda count: abs(count - 20)):
            yield from ((split, arm, count) for split in splits)


def main() -> None:
    """Run the missing experiments, then write the page."""
    parser = parser_of(__doc__)
    parser.add_argument("--acdc", type=Path, help="ACDC, prepared by flomo data prepare")
    parser.add_argument("--target", type=Path, help="Sunnybrook: cases.csv, images/, labels/")
    parser.add_argument("--work", type=Path, help="folder for runs")
    parser.add_argument("--domain", default="protocol", choices=DOMAINS)
    parser.add_argument("--counts", type=int, nargs="+", default=COUNTS)
    parser.add_argument("--arms", nargs="+", default=ARMS, choices=ARMS)
    parser.add_argument(
        "--splits", "--questions", type=int, help="number of splits of the domain to run"
    )
    parser.add_argument("--settings", type=Path, help="fine-tuning settings for a trial")
    parser.add_argument("--label", help="name of the trial in the table, instead of its arm")
    parser.add_argument("--between", nargs="+", metavar=("MODEL", "SHARE"), help="see above")
    parser.add_argument("--page-only", action="store_true")
    args = parser.parse_args()
    if (args.settings or args.label) and args.domain != "trial":
        parser.error("--settings and --label need --domain trial")
    if not args.page_only:
        domain = DOMAINS[args.domain](args.target, args.acdc, args.work, load_card(BASE))
        experiment = Experiment(domain, args.acdc, args.work, read_settings(args.settings))
        if args.between:
            folder, shares = Path(args.between[0]), [float(share) for share in args.between[1:]]
            experiment.between(folder, shares, args.label or "tuned")
            return
        for split, arm, count in plan(domain.splits[: args.splits], args.counts, args.arms):
            label = args.label if args.label and arm != "none" else arm
            experiment.run(split, arm, count, label)
    write_results(read_table(TABLE), read_table(TRIALS))


if __name__ == "__main__":
    main()
