"""Count the wrong pixels that are left in a study after some of its slices were corrected.

python training/benchmarks/study_adaptation.py --model MODEL --acdc DATA --fold 1
python training/benchmarks/study_adaptation.py --studies DATA/cases.csv --name NAME
python training/benchmarks/study_adaptation.py --cines DATA
python training/benchmarks/study_adaptation.py --page-only

A simulated reader corrects the k slices of a study that the review queue offers first, or one
phase of a cine. `flomo_training.finetuning.adapt_to_study` adapts the network to them, and all
other slices are segmented again. Wrong pixels are those that the reader would still have to change
there. Classical ways to carry a correction on are measured in the same way. Every study is a row of
``study_adaptation.csv``; existing rows are not measured again.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from page_writer import parser_of, write_page
from studies import Study, cases_of, read_cines, read_study
from study_carrying import carried
from study_results import LEARNT, Result, page, read_results, write_results

from flomo_training.finetuning import adapt_to_study, corrected_frame
from napari_flomo import DEFAULT_MODEL
from napari_flomo.models import load_network
from napari_flomo.segmentation import Segmenter

COUNTS = (2, 4, 8)


def main() -> None:
    """Measure, and write table and page."""
    parser = parser_of(__doc__, "study_adaptation.md")
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--acdc", type=Path, help="prepared ACDC folder")
    parser.add_argument("--fold", type=int, default=0, help="patients that the model never saw")
    parser.add_argument("--studies", type=Path, help="cases.csv beside images/ and labels/")
    parser.add_argument("--cines", type=Path, help="folder of acdc_cine/ and sunnybrook/")
    parser.add_argument("--name", default="ACDC", help="name of these studies on the page")
    parser.add_argument("--every", type=int, default=1, help="measure every n-th study")
    parser.add_argument("--start", type=int, default=0, help="first study")
    parser.add_argument("--page-only", action="store_true")
    options = parser.parse_args()
    results = read_results()
    if not options.page_only:
        segmenter = Segmenter(*load_network(options.model), "cpu")
        for study in studies(options, segmenter, results):
            done = kinds_of(results, study.data, study.name)
            if LEARNT not in done:
                results += learnt(study, segmenter)
            if "copied" not in done and len(study.found) == 2:
                results += carried(study)
            write_results(results)
            print(study.name, flush=True)
    write_page(options.out, page(results))


def studies(
    options: argparse.Namespace, segmenter: Segmenter, results: Sequence[Result]
) -> Iterator[Study]:
    """Read and segment the studies that were asked for and are not all measured."""
    if options.cines:
        yield from read_cines(options.cines, segmenter)
        return
    patients = None
    if options.acdc:
        patients = json.loads((options.acdc / "folds.json").read_text())["folds"][options.fold]
    source = options.acdc / "cases.csv" if options.acdc else options.studies
    cases = list(cases_of(source, patients).items())[options.start :: options.every]
    for name, files in cases:
        wanted = {LEARNT} if len(files) == 1 else {LEARNT, "copied"}
        if not wanted <= kinds_of(results, options.name, name):
            yield read_study(options.name, name, files, segmenter)


def kinds_of(results: Sequence[Result], data: str, study: str) -> set[str]:
    """Return what was measured of a study."""
    return {one.kind for one in results if (one.data, one.study) == (data, study)}


def learnt(study: Study, segmenter: Segmenter) -> Iterator[Result]:
    """Yield the results of the adapted network for several choices of corrected slices."""
    counts = () if study.between else COUNTS
    choices = {f"{k}": study.queue[:k] for k in counts if k < len(study.queue)}
    if len(study.found) == 2:
        choices["ED"] = [place for place in study.queue if place[0] == 0]
        choices["ES"] = [place for place in study.queue if place[0] == 1]
    labels, card = study.network(), segmenter.card
    for corrected, places in choices.items():
        begin = time.process_time()
        frames = []
        for number, image in enumerate(study.images):
            slices = sorted(s for f, s in places if f == number)
            drawn = labels[number].copy()
            for one in slices:
                drawn[one] = study.truth(drawn[one], (number, one))
            if slices:
                drawn_volume = study.found[number].labels.with_data(drawn)
                frames.append(corrected_frame(image, drawn_volume, slices, card))
        adaptation = adapt_to_study(segmenter.network, card, frames)
        adapted = Segmenter(adaptation.network, card, "cpu")
        others = [place for place in study.queue if place not in places]
        again = {f: adapted.segment(study.images[f]).labels.data for f in {f for f, _ in others}}
        spent = time.process_time() - begin
        now = [again.get(f, labels[f]) for f in range(len(labels))]
        before, tried = study.wrong(labels, others), study.wrong(now, others)
        after = tried if adaptation.helps else before
        yield Result(
            study.data, study.name, LEARNT, corrected, len(others), before, after, tried, spent
        )


if __name__ == "__main__":
    main()
