"""Progress, evaluation and cancellation of a fine-tuning run."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

import lightning
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from flomo_training.finetuning.share import PatientDice, Point
from flomo_training.progress_logger import ProgressLogger
from napari_flomo.errors import Cancelled, FlomoError
from napari_flomo.files import atomic_write
from napari_flomo.progress import Progress, ProgressCallback

HELD_OUT = "held_out/dice"

STOPPED = "The training was cancelled; it can be resumed."


@dataclass
class RunProgress:
    """Progress of all folds together.

    Attributes
    ----------
    report, cancelled
        Called at every step; checked before every batch.
    total
        Number of steps of all folds.
    parent
        Dice of the parent on each held-out patient.
    gains
        Gain of the patients that were evaluated so far, at the best share of the way.
    """

    report: ProgressCallback
    cancelled: Callable[[], bool]
    total: int
    parent: PatientDice
    gains: dict[str, float] = field(default_factory=dict)
    _began: tuple[float, int] | None = None

    @property
    def dice(self) -> float | None:
        """Estimated mean Dice of all held-out patients; of the parent at the beginning."""
        if not self.parent:
            return None
        gain = fmean(self.gains.values()) if self.gains else 0.0
        return fmean(self.parent.values()) + gain

    def step(self, done: int, data: Mapping[str, Any] | None = None) -> None:
        """Report that steps are done, with the seconds left at the speed so far."""
        now = time.monotonic()
        if self._began is None:
            self._began = now, done
        began, first = self._began
        left = None
        if done > first:
            left = (now - began) / (done - first) * max(0, self.total - done)
        self.report(Progress(done, self.total, "Training", left, data))

    def stop_if_cancelled(self) -> None:
        """Raise `Cancelled` if the run was cancelled."""
        if self.cancelled():
            raise Cancelled(STOPPED)


class FinetuneLogger(ProgressLogger):
    """A progress logger of one fold that keeps the evaluated weights and their Dice.

    ``done_before`` is the number of steps of earlier folds. ``dice`` has the Dice of each held-out
    patient at each step and share.
    """

    columns = (*ProgressLogger.columns, HELD_OUT)
    quiet = True  # `RunProgress` reports

    def __init__(self, out: Path, run: RunProgress, done_before: int) -> None:
        super().__init__(out)
        self.run = run
        self.done_before = done_before
        self.dice: dict[Point, dict[str, float]] = {}

    def on_train_start(self, trainer: lightning.Trainer, module: Any) -> None:
        """Report the first point of the curves."""
        super().on_train_start(trainer, module)
        self._count_gains()
        first = None
        if not self.done_before and not self.rows:
            first = {"step": 0, "loss": None, "dice": self.run.dice}
        self.run.step(self.done_before + trainer.global_step, first)

    def on_train_batch_start(self, *_: Any) -> None:
        """Stop if the run was cancelled."""
        self.run.stop_if_cancelled()

    def on_validation_batch_start(self, *_: Any) -> None:
        """Stop if the run was cancelled."""
        self.run.stop_if_cancelled()

    def on_train_batch_end(self, trainer: lightning.Trainer, *others: Any) -> None:
        """Report the step."""
        super().on_train_batch_end(trainer, *others)
        self.run.step(self.done_before + trainer.global_step)

    def on_validation_epoch_end(self, trainer: lightning.Trainer, module: Any) -> None:
        """Record the Dice at every share and save the averaged weights of this step."""
        step = trainer.global_step
        for share, dice in module.validation_dice.items():
            self.dice[step, share] = dice.by_patient()
        save_weights(module.network, self.out / weights_file(step))
        self._count_gains()

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: Any) -> None:
        """Record the row and report the point of the curves."""
        super().on_train_epoch_end(trainer, module)
        loss = self.rows[-1]["train/loss"]
        if not math.isfinite(loss):
            raise FlomoError(
                "The training diverged: the loss is not finite; use a lower learning rate."
            )
        step = self.done_before + trainer.global_step
        self.run.step(step, {"step": step, "loss": loss, "dice": self.run.dice})

    def row(self, trainer: lightning.Trainer, seconds: float) -> dict[str, float]:
        """Return the row of an epoch, with the Dice of the fold's patients at the best share."""
        here = [dice for (step, _), dice in self.dice.items() if step == trainer.global_step]
        best = max((fmean(dice.values()) for dice in here if dice), default=float("nan"))
        return super().row(trainer, seconds) | {HELD_OUT: best}

    def state_dict(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""
        dice = [[step, share, found] for (step, share), found in self.dice.items()]
        return super().state_dict() | {"dice": dice}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state from a checkpoint."""
        super().load_state_dict(state_dict)
        self.dice = {(step, share): found for step, share, found in state_dict["dice"]}

    def _count_gains(self) -> None:
        """Add the patients of this fold to the gains of the run."""
        found = [dice for dice in self.dice.values() if dice]
        if found:
            best = max(found, key=lambda dice: fmean(dice.values()))
            parent = self.run.parent
            self.run.gains |= {patient: value - parent[patient] for patient, value in best.items()}


def weights_file(step: int) -> str:
    """Return the name of the file, in the folder of a fold, with the averaged weights of a step."""
    return f"step-{step:04}.safetensors"


def save_weights(network: nn.Module, path: Path) -> None:
    """Write the weights of a network atomically."""
    tensors = {
        name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()
    }
    with atomic_write(path) as temporary:
        save_file(tensors, temporary)


def load_weights(path: Path) -> dict[str, Tensor]:
    """Read what `save_weights` wrote."""
    return load_file(path)
