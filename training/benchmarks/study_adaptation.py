"""Count the wrong pixels that are left in a study after some of its slices were corrected.

python training/benchmarks/study_adaptation.py --model MODEL --acdc DATA --fold 1
python training/benchmarks/study_adaptation.py --studies DATA/cases.csv --name NAME
python training/benchmarks/study_adaptation.py --page-only

A simulated reader corrects the k slices of a study that the review queue offers first, or one
phase of a cine. `flomo_training.finetuning.adapt_to_study` adapts the network to them, and all
other slices are segmented again. Wrong pixels are those that the reader would still have to change
there. Classical ways to carry a correction on are measured in the same way. Every study is a row of
``study_adaptation.csv``; existing rows are not measured again.
"""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from page_writer import DOCS, document, parser_of, processor, table, write_page
from scipy.ndimage import gaussian_filter, map_coordinates
from skimage.registration import optical_flow_tvl1

from flomo_training.finetuning import adapt_to_study, corrected_frame
from flomo_training.simulated_reader import redraw
from napari_flomo import DEFAULT_MODEL
from napari_flomo.label_tools import fill_between
from napari_flomo.models import load_network
from napari_flomo.segmentation import Segmentation, Segmenter
from napari_flomo.volumes import Volume, read

TABLE = DOCS / "study_adaptation.csv"
COUNTS = (2, 4, 8)
LEARNT = "learnt"
Place = tuple[int, int]
"""Frame and slice of a study."""


@dataclass(frozen=True)
class Result:
    """Wrong pixels of one study.

    ``kind`` is how corrections are carried on, ``corrected`` how many slices the reader corrected
    (or which phase), ``left`` how many slices were measured. ``before`` and ``after`` are their
    wrong pixels, ``tried`` those of an adaptation that the cross-validation rejected or not.
    ``seconds`` is processor time.
    """

    data: str
    study: str
    kind: str
    corrected: str
    left: int
    before: int
    after: int
    tried: int
    seconds: float


@dataclass(frozen=True)
class Study:
    """The frames of one patient with references and the network's result."""

    data: str
    name: str
    images: list[Volume]
    references: list[Volume]
    found: list[Segmentation]

    @property
    def queue(self) -> list[Place]:
        """All slices, the most uncertain first."""
        scores = [np.atleast_2d(one.slice_scores)[0] for one in self.found]
        places = [(f, s) for f, row in enumerate(scores) for s in range(len(row))]
        return sorted(places, key=lambda place: (-scores[place[0]][place[1]], place))

    def truth(self, proposed: NDArray[np.integer], place: Place) -> NDArray[np.integer]:
        """Return a slice after correction by the reader."""
        frame, number = place
        reference = self.references[frame].data
        structures = [int(code) for code in np.unique(reference) if code]
        return redraw(proposed, reference[number], structures)

    def wrong(self, labels: Sequence[NDArray[np.integer]], places: Sequence[Place]) -> int:
        """Return how many pixels the reader changes in some slices."""
        return sum(int((labels[f][s] != self.truth(labels[f][s], (f, s))).sum()) for f, s in places)

    def network(self) -> list[NDArray[np.integer]]:
        """Return the labels of the network, by frame."""
        return [one.labels.data for one in self.found]


def main() -> None:
    """Measure, and write table and page."""
    parser = parser_of(__doc__, "study_adaptation.md")
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--acdc", type=Path, help="prepared ACDC folder")
    parser.add_argument("--fold", type=int, default=0, help="patients that the model never saw")
    parser.add_argument("--studies", type=Path, help="cases.csv beside images/ and labels/")
    parser.add_argument("--name", default="", help="name of these studies on the page")
    parser.add_argument("--every", type=int, default=1, help="measure every n-th study")
    parser.add_argument("--start", type=int, default=0, help="first study")
    parser.add_argument("--page-only", action="store_true")
    options = parser.parse_args()
    results = read_results()
    if not options.page_only:
        source = options.acdc / "cases.csv" if options.acdc else options.studies
        patients = None
        if options.acdc:
            patients = json.loads((options.acdc / "folds.json").read_text())["folds"][options.fold]
        segmenter = Segmenter(*load_network(options.model), "cpu")
        cases = list(cases_of(source, patients).items())[options.start :: options.every]
        for name, files in cases:
            data = options.name or "ACDC"
            if any((one.data, one.study) == (data, name) for one in results):
                continue
            study = read_study(data, name, files, segmenter)
            results += learnt(study, segmenter)
            if options.acdc:
                results += carried(study)
            write_results(results)
            print(name, flush=True)
    write_page(options.out, page(results))


def cases_of(
    table_file: Path, patients: Sequence[str] | None
) -> dict[str, list[tuple[Path, Path]]]:
    """Return image and label files by patient, in the order of phases."""
    found: dict[str, list[tuple[Path, Path]]] = {}
    with table_file.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if patients is None or row["patient"] in patients:
                image = table_file.parent / "images" / f"{row['case']}.nii.gz"
                labels = table_file.parent / "labels" / f"{row['case']}_gt.nii.gz"
                found.setdefault(row["patient"], []).append((image, labels))
    return found


def read_study(
    data: str, name: str, files: Sequence[tuple[Path, Path]], segmenter: Segmenter
) -> Study:
    """Read the frames of a patient and segment them."""
    images = [read(image) for image, _ in files]
    found = [segmenter.segment(image) for image in images]
    return Study(data, name, images, [read(labels) for _, labels in files], found)


def learnt(study: Study, segmenter: Segmenter) -> Iterator[Result]:
    """Yield the results of the adapted network for several choices of corrected slices."""
    choices = {f"{k}": study.queue[:k] for k in COUNTS if k < len(study.queue)}
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


def carried(study: Study) -> Iterator[Result]:
    """Yield the results of classical ways to carry a correction on."""
    labels = study.network()
    for source, target in ((0, 1), (1, 0)):
        places = [(target, number) for number in range(len(labels[target]))]
        before = study.wrong(labels, places)
        copied, flowed, begin = list(labels), list(labels), time.process_time()
        copied[target] = study.references[source].data
        flowed[target] = with_flow(study, source, target)
        spent = time.process_time() - begin
        for kind, now in (("copied", copied), ("registered", flowed)):
            after = study.wrong(now, places)
            phase = ("ED", "ES")[source]
            yield Result(
                study.data, study.name, kind, phase, len(places), before, after, after, spent
            )
    yield interpolated(study)


def with_flow(study: Study, source: int, target: int) -> NDArray[np.integer]:
    """Move the reference of one phase to the other by optical flow, fused with the network.

    The flow is that between the network's probabilities, weighted by structure; both sources have
    the same weight in the geometric mean.
    """
    codes = [label.code for label in study.found[0].card.labels]
    shares = [probabilities(study.found[frame]) for frame in (target, source)]
    heart = [study.references[source].data, study.network()[target]]
    rows, columns = (
        slice(max(int(places.min()) - 16, 0), int(places.max()) + 17)
        for places in np.nonzero(np.any([h.any(0) for h in heart], 0))
    )
    result = study.network()[target].copy()
    for number in range(len(result)):
        reference = study.references[source].data[number, rows, columns]
        here, there = (share[:, number, rows, columns] for share in shares)
        flow = optical_flow_tvl1(_expected(here), _expected(there), num_warp=5)
        where = np.indices(reference.shape) + flow
        moved = np.stack(
            [map_coordinates((reference == code).astype(float), where, order=1) for code in codes]
        )
        smooth = np.stack([gaussian_filter(one, 1.5) for one in moved]) + 1e-3
        fused = np.log(here + 1e-4) + np.log(smooth)
        result[number, rows, columns] = np.asarray(codes)[fused.argmax(0)]
    return result


def _expected(shares: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return one picture in which all structures of ACDC differ."""
    return 0.6 * shares[1] - 0.6 * shares[2] + shares[3]


def probabilities(found: Segmentation) -> NDArray[np.float32]:
    """Return probabilities as ``(classes, slices, rows, columns)``."""
    volume = found.probabilities
    assert volume is not None
    return np.moveaxis(volume.data, volume.axes.index("classes"), 0).astype(np.float32)


def interpolated(study: Study) -> Result:
    """Leave out every second slice that both neighbours surround, and interpolate it."""
    now, places = [labels.copy() for labels in study.network()], []
    begin = time.process_time()
    for frame, reference in enumerate(study.references):
        spacing = reference.geometry.spacing
        present = np.flatnonzero(reference.data.any((1, 2)))
        for number in present[1:-1:2]:
            filled = fill_between(reference.data, (spacing[1], spacing[0]), slices=[int(number)])
            now[frame][number] = filled[number]
            places.append((frame, int(number)))
    before, after = study.wrong(study.network(), places), study.wrong(now, places)
    spent = time.process_time() - begin
    return Result(
        study.data,
        study.name,
        "interpolated",
        "neighbours",
        len(places),
        before,
        after,
        after,
        spent,
    )


def read_results() -> list[Result]:
    """Read the table of earlier runs."""
    if not TABLE.is_file():
        return []
    kinds = {"left": int, "before": int, "after": int, "tried": int, "seconds": float}
    with TABLE.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [
        Result(**{key: kinds.get(key, str)(value) for key, value in row.items()}) for row in rows
    ]


def write_results(results: Sequence[Result]) -> None:
    """Write the table."""
    with TABLE.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [one.name for one in fields(Result)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(one) | {"seconds": round(one.seconds, 2)} for one in results)


def page(results: Sequence[Result]) -> str:
    """Return the text of the page."""
    classical = [one for one in results if one.kind != LEARNT]
    return document(
        "# Learning from the open study",
        f"""Written by `training/benchmarks/study_adaptation.py` on {processor()[0]}, one thread;
seconds are processor time. How it works is in [fine-tuning](../finetuning.md#open-study).""",
        PROTOCOL,
        "## Learnt from corrected slices",
        HOW_TO_READ,
        table(HEAD, _rows([one for one in results if one.kind == LEARNT])),
        "## Copied, registered and interpolated",
        CLASSICAL,
        table(HEAD, _rows(classical)),
        CONCLUSION,
    )


HEAD = (
    "data", "corrected", "studies", "slices left", "before", "after", "ratio", "worst study",
    "better / unchanged / worse", "without the check", "seconds",
)  # fmt: skip

PROTOCOL = """\
Wrong pixels that are left in the slices that nobody corrected, before and after. A simulated
reader corrects the k slices that the review queue offers first, or all slices of one phase (ED,
ES). MyoPS (bSSFP, LGE and T2 of another hospital) and Sunnybrook: the bundled model, which has
seen neither. ACDC: patients of fold 1, with a model that was trained without them. Settings
were chosen on other studies: among the first five of each MyoPS contrast, and the patients 001
and 004 of ACDC. To save time, few studies were measured (every sixth of the others in MyoPS and
ACDC); nothing is random. MyoPS studies have 2 to 6 slices, of which few are left. Read the
ratios as an order of magnitude."""

HOW_TO_READ = """\
*After* is what a user sees: where the cross-validation over the corrected slices finds no gain,
nothing is suggested, and the study counts as unchanged. *Without the check* is the ratio if
suggestions were always shown."""

CLASSICAL = """\
*Copied*: the reader's labels of one phase on the other. *Registered*: moved by the optical flow
(TV-L1) between the network's probabilities of both phases, and fused with the network's
probabilities of the target. *Interpolated*: every second slice left out and interpolated by
shape between the reader's labels of its neighbours."""

CONCLUSION = """\
Copying and interpolating leave more to correct than the network's own labels, so they are not
offered as suggestions (to fill slices without any labels, interpolation is among the tools).
Registration helps in most studies from ED to ES, but from ES to ED it makes some much worse:
where the network misses a structure in one phase, there is nothing to register. It is not
offered either; what is learnt from the corrected frame is used on the other frames instead."""


def _rows(results: Sequence[Result]) -> Iterator[list[object]]:
    groups: dict[tuple[str, str], list[Result]] = {}
    for one in results:
        what = one.corrected if one.kind == LEARNT else f"{one.kind} from {one.corrected}"
        groups.setdefault((one.data, what), []).append(one)
    for (data, what), members in groups.items():
        before, after, tried = (
            sum(getattr(one, name) for one in members) for name in ("before", "after", "tried")
        )
        changes = [np.sign(one.after - one.before) for one in members]
        worst = max(one.after / max(one.before, 1) for one in members)
        yield [
            data,
            what,
            len(members),
            sum(one.left for one in members),
            before,
            after,
            f"**{after / max(before, 1):.2f}**",
            f"{worst:.2f}",
            " / ".join(str(changes.count(sign)) for sign in (-1, 0, 1)),
            f"{tried / max(before, 1):.2f}",
            f"{max(one.seconds for one in members):.0f}",
        ]


if __name__ == "__main__":
    main()
