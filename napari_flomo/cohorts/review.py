"""``review.csv``: the slices of all studies in one queue, the most wrong voxels first.

The order is that of the voxels that are expected to be wrong. Of the orders that were compared for
all volumes of a data set in one queue, it found most of them: ``docs/benchmarks/uncertainty.md``.
"""

from __future__ import annotations

import csv
import math
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from napari_flomo.cohorts.row import Row
from napari_flomo.files import atomic_write

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


class _Slices:
    """What is kept of all slices while they are put in order: 20 bytes of each."""

    def __init__(self) -> None:
        self.studies: list[str] = []
        self.voxel_ml: list[float | None] = []
        self.study, self.frame, self.number = array("I"), array("i"), array("i")
        self.voxels, self.dice = array("f"), array("f")

    def add(self, row: Row) -> None:
        """Take in the slices of a study; those that were not segmented are left out."""
        self.studies.append(row.study)
        self.voxel_ml.append(_voxel_ml(row))
        dice = row.expected_dice
        for frame, scores in enumerate(row.expected_voxels):
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
        """Yield the lines of the table, in the order of review."""
        voxels = np.frombuffer(self.voxels, np.float32)
        # Rows come in the order of studies, frames and slices, which holds among equals.
        order = np.argsort(-voxels, kind="stable")
        total, so_far = float(voxels.sum(dtype=np.float64)), 0.0
        for rank, index in enumerate(order, start=1):  # as a list it would take five times as much
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


def write_review(out: Path, rows: Iterable[Row]) -> int:
    """Write the queue of a results folder.

    Parameters
    ----------
    out
        The results folder.
    rows
        In the order of their studies, which decides among equals.

    Returns
    -------
    int
        Studies that are done but hold no expected errors, as lines of older versions; they are not
        in the queue.

    Raises
    ------
    FlomoError
        If it cannot be written.
    """
    slices, silent = _Slices(), 0
    for row in rows:
        if row.state == "done" and row.expected_voxels:
            slices.add(row)
        else:
            silent += row.state == "done"
    with (
        atomic_write(out / REVIEW) as temporary,
        # A name of a file that is no valid text must not end the run.
        temporary.open("w", newline="", encoding="utf-8", errors="backslashreplace") as stream,
    ):
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(_COLUMNS)
        writer.writerows(slices.lines())
    return silent


def _voxel_ml(row: Row) -> float | None:
    """Return the volume of a voxel of a study; None where it is unknown."""
    image = row.manifest.get("input", {})
    if not image.get("spacing_known") or len(image.get("spacing_mm", ())) != 3:
        return None
    return math.prod(image["spacing_mm"]) / 1000
