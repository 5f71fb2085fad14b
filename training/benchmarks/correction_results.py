"""Results of the correction experiment, and their table in CSV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from flomo_training.metrics_table import NAN, read_rows, write_rows


@dataclass(frozen=True)
class RunResult:
    """One run and its results.

    Attributes
    ----------
    domain, split, seed, arm
        What was measured, see ``correction_loop.py``.
    count
        Slices that the reader was asked to correct.
    slices, patients
        What was corrected.
    target, target_rv, target_myocardium, target_lv
        Mean 3-D Dice on the test patients, with the model that each image chooses: over structures
        and of each; NaN where the reference has none.
    alone
        The same as ``target`` with the specialist for every image.
    routed
        Share of the test images that chose the specialist.
    base, base_routed
        Mean Dice on images of the base task with the model that each image chooses, and the share
        of them that chose the specialist.
    ece
        Expected calibration error of the specialist on the test patients, near the structures.
    share
        Of the way from the parent to the trained weights; 0 if nothing was learnt.
    seconds
        Of training.
    """

    domain: str
    split: str
    seed: int
    arm: str
    count: int
    slices: int = 0
    patients: int = 0
    target: float = NAN
    target_rv: float = NAN
    target_myocardium: float = NAN
    target_lv: float = NAN
    alone: float = NAN
    routed: float = 0.0
    base: float = NAN
    base_routed: float = 0.0
    ece: float = NAN
    share: float = 0.0
    seconds: float = 0.0
    hardware: str = ""

    @property
    def key(self) -> tuple[str, str, int, str, int]:
        """Identifies the run."""
        return self.domain, self.split, self.seed, self.arm, self.count


def read_table(path: Path) -> list[RunResult]:
    """Return the rows of a table; none if the file does not exist."""
    return read_rows(RunResult, path) if path.is_file() else []


def write_table(path: Path, rows: Sequence[RunResult]) -> None:
    """Write all rows."""
    write_rows(rows, RunResult, path)
