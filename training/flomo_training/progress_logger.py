"""Progress of a training run: a line per epoch, a progress bar, and curves."""

from __future__ import annotations

import csv
import sys
import time
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback
from tqdm import tqdm

from flomo_training.provenance import provenance
from napari_flomo.files import atomic_write

CURVES = Path("curves") / "metrics.csv"
"""Table of the curves in a run folder."""

Row = dict[str, float]


class ProgressLogger(Callback):
    """Records a row per epoch, also across interruptions, and shows the progress.

    The rows are part of the checkpoint, so that a resumed run continues the curves, without epochs
    that were lost. Hardware and versions of the last epoch are stored as well, so that resuming a
    finished run on another machine does not change them.
    """

    columns: tuple[str, ...] = ("epoch", "train/loss", "learning_rate", "slices", "seconds")
    """Columns of the table."""

    quiet = False
    """Whether nothing is printed."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.rows: list[Row] = []
        self.here: dict[str, Any] = {}
        self.provenance: dict[str, Any] = {}
        self.started = 0.0
        self.bar: tqdm[Any] | None = None

    @property
    def state_key(self) -> str:
        """Name of its rows in a checkpoint, the same for subclasses."""
        return "ProgressLogger"

    @property
    def seconds(self) -> float:
        """Time of all finished epochs."""
        return sum(row["seconds"] for row in self.rows)

    def setup(self, trainer: lightning.Trainer, *_: Any, **_stage: Any) -> None:
        """Record hardware and versions; a checkpoint that is loaded later may replace them."""
        self.here = self.provenance = provenance(trainer)

    def on_train_start(self, trainer: lightning.Trainer, _module: Any) -> None:
        """Open the progress bar in a terminal."""
        if not self.quiet and sys.stderr.isatty() and trainer.is_global_zero:
            steps = int(trainer.num_training_batches)
            self.bar = tqdm(
                total=steps * (trainer.max_epochs or 0),
                initial=steps * trainer.current_epoch,
                unit="step",
                dynamic_ncols=True,
            )

    def on_train_epoch_start(self, _trainer: lightning.Trainer, _module: Any) -> None:
        """Start the clock."""
        self.started = time.monotonic()

    def on_train_batch_end(self, *_: Any) -> None:
        """Update the progress bar."""
        if self.bar is not None:
            self.bar.update()

    def on_train_epoch_end(self, trainer: lightning.Trainer, _module: Any) -> None:
        """Record and print the row."""
        row = self.row(trainer, time.monotonic() - self.started)
        self.rows.append(row)
        self.provenance = self.here
        if not trainer.is_global_zero:
            return
        self.write()
        if self.quiet:
            return
        line = describe(row, trainer.max_epochs or 0)
        if self.bar is not None:
            self.bar.set_description(f"loss {row['train/loss']:.4f}")
            self.bar.write(line, file=sys.stderr)
        else:
            print(line, file=sys.stderr, flush=True)

    def row(self, trainer: lightning.Trainer, seconds: float) -> Row:
        """Return the row of an epoch."""
        loader: Any = trainer.train_dataloader
        return {
            "epoch": trainer.current_epoch,
            "train/loss": float(trainer.callback_metrics.get("train/loss", float("nan"))),
            "learning_rate": float(trainer.optimizers[0].param_groups[0]["lr"]),
            "slices": len(loader) * loader.batch_size * trainer.world_size,
            "seconds": round(seconds, 3),
        }

    def on_train_end(self, *_: Any) -> None:
        """Close the progress bar."""
        if self.bar is not None:
            self.bar.close()

    def on_exception(self, *_: Any) -> None:
        """Close the progress bar."""
        self.on_train_end()

    def write(self) -> None:
        """Write all rows to the run folder."""
        path = self.out / CURVES
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as temporary, temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, self.columns)
            writer.writeheader()
            writer.writerows(self.rows)

    def state_dict(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""
        return {"rows": self.rows, "provenance": self.provenance}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state from a checkpoint."""
        self.rows = list(state_dict["rows"])
        # Old checkpoints have no provenance.
        self.provenance = state_dict.get("provenance") or self.provenance


def describe(row: Row, epochs: int) -> str:
    """Return a line of text for a row, with the estimated remaining time."""
    done = int(row["epoch"]) + 1
    minutes = (epochs - done) * row["seconds"] / 60
    return (
        f"epoch {done}/{epochs}  loss {row['train/loss']:.4f}  "
        f"{row['slices'] / max(row['seconds'], 1e-9):.1f} slices/s  {row['seconds']:.0f} s  "
        f"{minutes:.0f} min left"
    )
