"""Write ``review.csv``: the slices of all studies, ordered by the expected number of wrong voxels.

Of the orders that were compared on a whole data set, this one found most of the wrong voxels first,
see ``docs/benchmarks/uncertainty.md``.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from napari_flomo.cohorts.study_result import StudyResult
from napari_flomo.cohorts.table import csv_writer

REVIEW = "review.csv"

_COLUMNS = (
    "rank",
    "study",
    "frame",
    "slice",
    "expected_wrong_voxels",
    "expected_wrong_ml",
    "expected_dice_min",
    "share_so_far",
)


class _ReviewQueue:
    """All slices while they are sorted, at 20 bytes each."""

    def __init__(self) -> None:
        self.studies: list[str] = []
        self.voxel_ml: list[float | None] = []
        self.study, self.frame, self.number = array("I"), array("i"), array("i")
        self.voxels, self.dice = array("f"), array("f")

    def add(self, result: StudyResult) -> None:
        """Add the segmented slices of a study."""
        self.studies.append(result.study)
        self.voxel_ml.append(_voxel_ml(result))
        dice = result.expected_dice
        for frame, scores in enumerate(result.expected_voxels):
            for number, voxels in enumerate(scores):
                if voxels is None:
                    continue
                known = dice[frame][number] if frame < len(dice) else None
                self.study.append(len(self.studies) - 1)
                self.frame.append(frame)
                self.number.append(number)
                self.voxels.append(voxels)
                self.dice.append(math.nan if known is None else known)

    def lines(self) -> Iterator[list[Any]]:
        """Yield the rows of the table, in the order of review."""
        voxels = np.frombuffer(self.voxels, np.float32)
        # Stable: ties stay in the order of studies, frames and slices.
        order = np.argsort(-voxels, kind="stable")
        total, so_far = float(voxels.sum(dtype=np.float64)), 0.0
        for rank, index in enumerate(order, start=1):  # a list would take five times the memory
            study = self.study[index]
            wrong, dice, each = self.voxels[index], self.dice[index], self.voxel_ml[study]
            so_far += wrong
            yield [
                rank,
                self.studies[study],
                self.frame[index],
                self.number[index],
                f"{wrong:.5g}",
                "" if each is None else f"{wrong * each:.5g}",
                "" if math.isnan(dice) else f"{dice:.4f}",
                f"{so_far / total:.6f}" if total else "",
            ]


def write_review(out: Path, results: Iterable[StudyResult]) -> int:
    """Write the review queue of a results folder.

    The order of the results decides ties. Returns the number of studies that are done but not in
    the queue, because they were written by an older version without expected errors.
    """
    slices, silent = _ReviewQueue(), 0
    for result in results:
        if result.state == "done" and result.expected_voxels:
            slices.add(result)
        else:
            silent += result.state == "done"
    with csv_writer(out / REVIEW) as writer:
        writer.writerow(_COLUMNS)
        writer.writerows(slices.lines())
    return silent


def _voxel_ml(result: StudyResult) -> float | None:
    """Return the volume of a voxel of a study; None if it is unknown."""
    image = result.manifest.get("input", {})
    if not image.get("spacing_known") or len(image.get("spacing_mm", ())) != 3:
        return None
    return math.prod(image["spacing_mm"]) / 1000
