"""Results of the correction experiment, and their tables in CSV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from flomo_training.metrics_table import read_rows, write_rows


@dataclass(frozen=True)
class RunResult:
    """One run and its results.

    Attributes
    ----------
    slices, learnt
        Slices that the reader corrected, and those of them that were trained on; the others were
        held out for early stopping.
    target, target_rv, target_myocardium, target_lv
        Mean 3-D Dice on the test patients, over structures and of each; NaN where the reference has
        none.
    base, base_same
        Mean 3-D Dice on the base task, of all structures and of those of the target's labels.
    seconds
        Of fine-tuning.
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
    return read_rows(RunResult, path) if path.is_file() else []


def write_table(path: Path, rows: Sequence[RunResult]) -> None:
    """Write all rows."""
    write_rows(rows, RunResult, path)
