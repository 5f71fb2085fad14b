"""Measure what a model learns from corrections of images that it was not trained on.

    python training/benchmarks/correction_loop.py --acdc ACDC --myops MYOPS --sunnybrook DIR
        --work DIR [--domains lge t2] [--arms queue all] [--counts 20] [--seeds 1]
    python training/benchmarks/correction_loop.py --remeasure --acdc ACDC ... --work DIR
    python training/benchmarks/correction_loop.py --page-only

In each target domain (`correction_domains`) a simulated reader corrects slices of some patients
from the reference labels (`flomo_training.simulated_reader`), and the function behind ``flomo
finetune`` learns from that store. Then the Dice is measured on other patients of the domain and on
images of the base task; every image chooses the parent or the tuned model by its signature, as in
use. What is corrected and how it is learnt:

- ``none``: nothing,
- ``queue``: the k slices that the review list offers first, default settings,
- ``patients``: whole patients until there are k slices, default settings,
- ``all``: every slice, default settings,
- ``cautious``: as ``queue`` with the settings that were the defaults before,
- ``scratch``: as ``queue``, but a new network instead of the trained one.

Every run is a row of ``correction_loop.csv``. Existing rows are not run again, so the experiment
can be interrupted. ``--remeasure`` trains nothing: rows whose model is still in the folder of runs
are measured again, after a change of the router for example. The page and the picture are made from
that table alone.
"""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from correction_domains import DOMAINS, FOLD, Domain, PatientSplit, case_dice, mean_dice
from correction_loop_page import write_results
from correction_results import RunResult, read_table, write_table
from page_writer import DOCS, parser_of

from flomo_training.cases import Case, list_cases, read_case
from flomo_training.finetuning import Settings, finetune, read_settings
from flomo_training.simulated_reader import ScoredSlice, corrected, most_uncertain
from flomo_training.uncertainty.band import foreground_band
from flomo_training.uncertainty.reliability import Reliability
from napari_flomo.corrections import Correction, CorrectionStore, ModelReference
from napari_flomo.jobs import FinetuneConfig
from napari_flomo.models import CARD_FILE, build_network, load_card, save_model
from napari_flomo.segmentation import Segmentation, Segmenter, image_signature, route
from napari_flomo.volumes import Volume

TABLE = DOCS / "correction_loop.csv"
CAUTIOUS = Path(__file__).with_name("cautious_settings.yaml")
BASE = "flomo-b0-acdc"
COUNTS = (20, 40, 10, 5)
ARMS = ("none", "queue", "all", "patients", "cautious", "scratch")
SEEDS = (2026, 2027)
EVERYTHING = 999
NAN = float("nan")


@dataclass(frozen=True)
class TargetVolume:
    """A labelled volume of the pool, and its segmentation by the base model."""

    case: Case
    image: Volume
    reference: Volume
    found: Segmentation
    slices: list[int]


class Family:
    """The base model and, if one was made, the tuned model; each image chooses one of them."""

    def __init__(self, base: Segmenter, tuned: Segmenter | None, *, choose: bool = True) -> None:
        self.base, self.tuned, self.choose = base, tuned, choose
        self.chosen: list[bool] = []

    def segmenter_of(self, image: Volume) -> Segmenter:
        """Return the model for an image, and note which one it was."""
        if not self.choose:
            return self.tuned or self.base
        specialist = None
        if self.tuned is not None and self.tuned.card.signature is not None:
            vector = image_signature(image, self.base.card)
            known = {"tuned": self.tuned.card.signature}
            specialist = route(vector, self.base.card.signature, known).name
        self.chosen.append(specialist is not None)
        return self.base if specialist is None or self.tuned is None else self.tuned


class Experiment:
    """A target domain, the base model and the table of results."""

    def __init__(self, domain: Domain, acdc: Path, work: Path) -> None:
        self.base = Segmenter.from_pretrained(BASE, "cpu")
        self.domain, self.work = domain, work
        self.home = list_cases(acdc, FOLD, "validation")
        self.rows = read_table(TABLE)
        # The parent segments the same images again and again.
        self.by_base = lru_cache(maxsize=None)(self._by_base)

    def _by_base(self, image: Path, labels: Path) -> dict[str, float]:
        return case_dice(self.base.segment, replace(self.home[0], image=image, labels=labels),
                         self.domain)  # fmt: skip

    def run(self, split: PatientSplit, seed: int, arm: str, count: int) -> None:
        """Correct, train and measure, unless the row exists."""
        if (self.domain.name, split.name, seed, arm, count) in {row.key for row in self.rows}:
            return
        hardware = f"{platform.machine()}, {torch.get_num_threads()} threads"
        row = RunResult(self.domain.name, split.name, seed, arm, count, hardware=hardware)
        tuned = None
        if arm != "none":
            row, tuned = self.learn(row, split)
        self.keep(self.measured(row, split, tuned))

    def remeasure(self, split: PatientSplit, seed: int, arm: str, count: int) -> None:
        """Measure a row again if its model is still there; nothing is trained."""
        key = (self.domain.name, split.name, seed, arm, count)
        row = next((row for row in self.rows if row.key == key), None)
        if row is None:
            return
        folder = self.folder_of(row) / "run" / "model"
        if not (folder / CARD_FILE).is_file():
            print(f"{folder}: no model, the row stays as it is", file=sys.stderr, flush=True)
            return
        self.keep(self.measured(row, split, Segmenter.from_pretrained(folder, "cpu")))

    def keep(self, row: RunResult) -> None:
        """Write a row to the table, in place of the one with its key."""
        rows = read_table(TABLE)  # another process may have added some
        keys = [one.key for one in rows]
        if row.key in keys:
            rows[keys.index(row.key)] = row
        else:
            rows.append(row)
        self.rows = rows
        write_table(TABLE, rows)
        print(row, file=sys.stderr, flush=True)

    def folder_of(self, row: RunResult) -> Path:
        """Return the folder of a run."""
        name = f"{row.domain}-{row.split}-{row.arm}-{row.count}-{row.seed}"
        return self.work / name.replace(" ", "_")

    def learn(self, row: RunResult, split: PatientSplit) -> tuple[RunResult, Segmenter | None]:
        """Correct some slices and learn from them."""
        folder = self.folder_of(row)
        shutil.rmtree(folder, ignore_errors=True)
        pool = [self.segmented(case) for case in split.pool]
        chosen = choose_slices(pool, row.arm, row.count)
        fill_store(folder / "store", pool, chosen)
        settings = read_settings(CAUTIOUS if row.arm == "cautious" else None)
        settings = replace(settings, seed=row.seed)
        base: str | Path = BASE
        if row.arm == "scratch":
            base, settings = untrained(folder / "untrained", settings)
        config = FinetuneConfig(str(base), str(folder / "store"), device="cpu")
        tuned = finetune(config, folder / "run", settings=settings)
        made = None
        if tuned.card is not None:
            made = Segmenter.from_pretrained(tuned.folder, "cpu")
        patients = len({pool[one.case].case.patient for one in chosen})
        row = replace(row, slices=len(chosen), patients=patients, share=tuned.way.share,
                      seconds=round(tuned.seconds, 1))  # fmt: skip
        shutil.rmtree(folder / "store")
        return row, made

    def segmented(self, case: Case) -> TargetVolume:
        """Segment a volume of the pool with the base model."""
        image, reference = read_case(case)
        slices = self.domain.slices(reference)
        return TargetVolume(case, image, reference, self.base.segment(image), slices)

    def measured(self, row: RunResult, split: PatientSplit, tuned: Segmenter | None) -> RunResult:
        """Return the row with the results on the test patients and on the base task."""
        # A new network is no member of the family.
        there = Family(self.base, tuned, choose=row.arm != "scratch")
        home = Family(self.base, tuned)
        target = self.dice(split.test, there)
        base = self.dice(self.home, home)
        alone = target
        if tuned is not None:
            alone = mean_dice(case_dice(tuned.segment, case, self.domain) for case in split.test)
        return replace(
            row,
            target=mean(target.values()),
            target_rv=round(target.get("right ventricle", NAN), 4),
            target_myocardium=round(target.get("left ventricular myocardium", NAN), 4),
            target_lv=round(target.get("left ventricle", NAN), 4),
            alone=mean(alone.values()),
            routed=mean(there.chosen or [False]),
            base=mean(base.values()),
            base_routed=mean(home.chosen or [False]),
            ece=round(calibration_error(tuned or self.base, split.test, self.domain), 4),
        )

    def dice(self, cases: Sequence[Case], family: Family) -> dict[str, float]:
        """Return the mean Dice of each structure, each image with the model that it chooses."""

        def one(case: Case) -> dict[str, float]:
            segmenter = family.segmenter_of(read_case(case)[0])
            if segmenter is self.base:
                return self.by_base(case.image, case.labels)
            return case_dice(segmenter.segment, case, self.domain)

        return mean_dice(one(case) for case in cases)


def choose_slices(pool: Sequence[TargetVolume], arm: str, count: int) -> list[ScoredSlice]:
    """Return the slices that the reader corrects."""
    scored = [
        ScoredSlice(number, index, float(one.found.slice_scores[0, index]))
        for number, one in enumerate(pool)
        for index in one.slices
    ]
    if arm == "all":
        return scored
    if arm != "patients":
        return most_uncertain(scored, count)
    chosen: list[ScoredSlice] = []
    for number, _one in enumerate(pool):
        if len(chosen) < count:
            chosen += [one for one in scored if one.case == number]
    return chosen


def fill_store(folder: Path, pool: Sequence[TargetVolume], chosen: Sequence[ScoredSlice]) -> None:
    """Add corrections of some slices to a store."""
    store = CorrectionStore.open(folder, create=True)
    for number, one in enumerate(pool):
        slices = [each.slice for each in chosen if each.case == number]
        if not slices:
            continue
        card = one.found.card
        structures = [int(code) for code in np.unique(one.reference.data) if code]
        store.add(
            Correction(
                one.image,
                corrected(one.found.labels, one.reference, slices, structures),
                {label.code: label.name for label in card.labels[1:]},
                one.found.labels,
                seen=[(0, index) for index in slices],
                state="accepted",
                reader="simulated",
                model=ModelReference.of(card),
                group=store.group_id(one.case.patient),
            )
        )


def untrained(folder: Path, settings: Settings) -> tuple[Path, Settings]:
    """Return a model with random weights, and settings without a parent to stay near."""
    card = replace(load_card(BASE), name="untrained", trained_on=(), metrics={}, history=())
    torch.manual_seed(settings.seed)
    save_model(folder, build_network(card), card)
    return folder, replace(settings, shares=(1.0,), learning_rate=4e-3)


def calibration_error(segmenter: Segmenter, cases: Sequence[Case], domain: Domain) -> float:
    """Return the expected calibration error within 5 mm of the contours, over all cases."""
    counts: list[Reliability] = []
    for case in cases:
        image, reference = read_case(case)
        slices = domain.slices(reference)
        found = segmenter.segment(image, keep_probabilities=True)
        assert found.probabilities is not None
        probabilities = found.probabilities.data[:, slices]
        codes = np.array([label.code for label in found.card.classes])
        winner = codes[probabilities.argmax(0)]
        truth = reference.data[slices]
        band = foreground_band(winner, truth, image.in_plane_spacing)
        right = (winner == truth)[band]
        counts.append(Reliability.of(probabilities.max(0)[band], right, 0.0))
    together = Reliability(np.sum([one.counts for one in counts], axis=0), np.zeros(()))
    return float(together.ece())


def mean(values: Iterable[float]) -> float:
    """Return a mean for the table."""
    return round(fmean(values), 4)


def plan(
    domains: Sequence[Callable[[], Domain]],
    arms: Sequence[str],
    counts: Sequence[int],
    seeds: Sequence[int],
) -> Iterator[tuple[Domain, PatientSplit, int, str, int]]:
    """Yield the runs, the most informative first."""
    made = [domain() for domain in domains]
    for seed in seeds:
        for arm in arms:
            asked = {"none": (0,), "all": (EVERYTHING,), "queue": counts}.get(arm, counts[:1])
            for count in asked:
                for domain in made:
                    for split in domain.splits:
                        if arm != "none" or seed == seeds[0]:
                            yield domain, split, seed, arm, count


def main() -> None:
    """Run the missing experiments, then write the page."""
    parser = parser_of(__doc__)
    parser.add_argument("--acdc", type=Path, help="ACDC, prepared by flomo data prepare")
    parser.add_argument("--myops", type=Path, help="MyoPS: a folder for each contrast")
    parser.add_argument("--sunnybrook", type=Path, help="Sunnybrook: cases.csv, images/, labels/")
    parser.add_argument("--work", type=Path, help="folder for runs")
    parser.add_argument("--domains", nargs="+", default=DOMAINS, choices=DOMAINS)
    parser.add_argument("--arms", nargs="+", default=ARMS, choices=ARMS)
    parser.add_argument("--counts", type=int, nargs="+", default=COUNTS)
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--remeasure", action="store_true", help="train nothing")
    parser.add_argument("--page-only", action="store_true")
    args = parser.parse_args()
    if not args.page_only:
        makers = [lambda name=name: DOMAINS[name](args, load_card(BASE)) for name in args.domains]
        experiments: dict[str, Experiment] = {}
        for domain, split, seed, arm, count in plan(makers, args.arms, args.counts, args.seeds):
            if domain.name not in experiments:
                experiments[domain.name] = Experiment(domain, args.acdc, args.work)
            experiment = experiments[domain.name]
            (experiment.remeasure if args.remeasure else experiment.run)(split, seed, arm, count)
    write_results(read_table(TABLE))


if __name__ == "__main__":
    main()
