"""Count how often labels are flagged: false alarms on references, hits on errors of the network.

python training/benchmarks/flags.py data/acdc data/acdc_test20
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from page_writer import document, parser_of, table, write_page

from napari_flomo import DEFAULT_MODEL
from napari_flomo.measures import HeartCodes, HeartFlags
from napari_flomo.segmentation import Segmenter
from napari_flomo.volumes import Volume, read

FOLD = 0
"""Patients that the bundled model was not trained on."""

BAD, GOOD = 0.25, 0.10
"""Wrong pixels of a slice, relative to those labelled by network or reader: a bad slice has more
than the first, a good one less than the second."""

RULES = ("open cavity", "pieces", "gap", "area jump")


@dataclass
class Counts:
    """Slices, and those that each rule flags."""

    slices: int = 0
    flagged: int = 0
    rules: Counter[str] = field(default_factory=Counter)

    def add(self, rules: set[str]) -> None:
        """Count a slice."""
        self.slices += 1
        self.flagged += bool(rules)
        self.rules.update(rules)

    def row(self, title: str) -> list[object]:
        """Return the row of a table."""
        share = f"{100 * self.flagged / self.slices:.1f} %" if self.slices else "–"
        return [title, self.slices, *(self.rules[rule] for rule in RULES), self.flagged, share]


def main() -> None:
    """Count and write the page."""
    parser = parser_of(__doc__, "flags.md")
    parser.add_argument("data", type=Path, help="ACDC as `flomo data prepare acdc` writes it")
    parser.add_argument("other", type=Path, help="further patients; only their labels are used")
    options = parser.parse_args()
    segmenter = Segmenter.from_pretrained(DEFAULT_MODEL, device="cpu")
    codes = HeartCodes.of(segmenter.card.labels)
    assert codes is not None
    references = {"ACDC, 80 patients": Counts(), "ACDC, 20 further patients": Counts()}
    for counts, folder in zip(references.values(), (options.data, options.other), strict=True):
        for case, _patient in cases(folder):
            for rules in flagged_slices(read(label_file(folder, case)), codes):
                counts.add(rules)
    held_out = json.loads((options.data / "folds.json").read_text())["folds"][FOLD]
    bad, good, between = Counts(), Counts(), Counts()
    for case, patient in cases(options.data):
        if patient not in held_out:
            continue
        reference = read(label_file(options.data, case)).data
        labels = segmenter.segment(read(options.data / "images" / f"{case}.nii.gz")).labels
        for number, rules in enumerate(flagged_slices(labels, codes)):
            share = wrong_share(labels.data[number], reference[number])
            (bad if share > BAD else good if share < GOOD else between).add(rules)
    write_page(options.out, page(references, bad, between, good))


def cases(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield case and patient of every volume."""
    with (folder / "cases.csv").open(newline="") as stream:
        for row in csv.DictReader(stream):
            yield row["case"], row["patient"]


def label_file(folder: Path, case: str) -> Path:
    """Return the reference labels of a case."""
    return folder / "labels" / f"{case}_gt.nii.gz"


def flagged_slices(labels: Volume, codes: HeartCodes) -> list[set[str]]:
    """Return the rules that flag each slice of a stack."""
    flags = HeartFlags(codes)
    for number, pixels in enumerate(labels.data):
        flags.update(0, number, pixels)
    found: list[set[str]] = [set() for _ in labels.data]
    for flag in flags.flags():
        if flag.slice is not None:
            found[flag.slice].add(flag.rule)
    return found


def wrong_share(labels: NDArray[np.integer], reference: NDArray[np.integer]) -> float:
    """Return the wrong pixels of a slice relative to those that either labels."""
    wrong, labelled = (
        np.count_nonzero(one) for one in (labels != reference, (labels > 0) | (reference > 0))
    )
    return wrong / labelled if labelled else 0.0


def page(references: dict[str, Counts], bad: Counts, between: Counts, good: Counts) -> str:
    """Return the page."""
    head = ["slices of", "number", *RULES, "flagged", "share"]
    return document(
        "# Flags for labels that contradict anatomy",
        "Written by `training/benchmarks/flags.py`. The rules are in [measures](../measures.md). "
        "Thresholds were chosen on the references of the 80 patients and on the errors of another "
        "network on fold 1; neither the 20 further patients nor the predictions below were used.",
        "## False alarms: reference labels\n\n"
        + table(head, [counts.row(title) for title, counts in references.items()]),
        f"## Hits: `{DEFAULT_MODEL}` on the 16 patients of fold {FOLD}\n\n"
        "A *bad* slice has more wrong pixels than "
        f"{100 * BAD:.0f} % of those that network or reader labelled, a *good* one fewer than "
        f"{100 * GOOD:.0f} %.\n\n"
        + table(
            head,
            [bad.row("bad"), between.row("between"), good.row("good")],
        ),
        "Most bad slices have one smooth piece at the wrong place or of the wrong size, which no "
        "rule of this kind sees; the uncertainty of the slices ranks those. A flag is rare and "
        "worth a look.",
    )


if __name__ == "__main__":
    main()
