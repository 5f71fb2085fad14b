"""Results of the correction experiment, and their tables in CSV."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from napari_flomo.files import atomic_write


@dataclass(frozen=True)
class RunResult:
    """One run and its results.

    Attributes
    ----------
    domain, split
        Target data and patient split.
    arm, slices
        Kind of training, and how many slices the reader corrected, including held-out ones.
    learnt
        Slices that were trained on; the others were held out for early stopping.
    target
        Mean over structures of the mean 3-D Dice on the test patients.
    target_rv, target_myocardium, target_lv
        Of each structure; NaN where the reference has none.
    base
        Mean 3-D Dice on the base task, all structures.
    base_same
        The same for the structures that the target's labels contain.
    seconds
        Of fine-tuning.
    hardware
        Of the run.
    """

    domain: str
    split: str
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
        """Identifies the run."""
        return self.domain, self.split, self.arm, self.slices


def read_table(path: Path) -> list[RunResult]:
    """Return the rows of a table; none if the file does not exist."""
    if not path.is_file():
        return []
    kinds = {field.name: {"str": str, "int": int, "float": float}[str(field.type)]
             for field in fields(RunResult)}  # fmt: skip
    with path.open(newline="", encoding="utf-8") as file:
        return [
            RunResult(**{name: kinds[name](value) for name, value in row.items()})
            for row in csv.DictReader(file)
        ]


def write_table(path: Path, rows: Sequence[RunResult]) -> None:
    """Write all rows."""
    with atomic_write(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as f:
        writer = csv.DictWriter(f, [field.name for field in fields(RunResult)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
