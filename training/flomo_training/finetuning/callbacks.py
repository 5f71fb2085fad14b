"""Progress, early stopping and cancellation of a fine-tuning run."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.trainer.states import TrainerFn
from safetensors.torch import load_file, save_file
from torch import nn

from flomo_training.finetuning.settings import Settings
from flomo_training.progress_logger import ProgressLogger
from napari_flomo.errors import Cancelled, FlomoError
from napari_flomo.files import atomic_write
from napari_flomo.progress import Progress, ProgressCallback

BEST = "best.safetensors"
"""File in a run folder with the weights of the best Dice on the held-out slices."""

HELD_OUT = "held_out/dice"

STOPPED = "The training was cancelled; it can be resumed."


class FinetuneLogger(ProgressLogger):
    """A progress logger that keeps the best weights and stops early.

    ``report`` is called at every step, ``cancelled`` checked before every batch. ``baseline`` is
    the Dice of the parent on the held-out slices, None without any.
    """

    columns = (*ProgressLogger.columns, HELD_OUT)

    def __init__(
        self,
        out: Path,
        settings: Settings,
        report: ProgressCallback,
        cancelled: Callable[[], bool],
        baseline: float | None = None,
    ) -> None:
        super().__init__(out)
        self.settings = settings
        self.report = report
        self.cancelled = cancelled
        self.baseline = baseline
        self.best: float | None = None
        self.best_step = 0
        self.waited = 0
        self.latest: float | None = None
        self._began = (0.0, 0)

    @property
    def total(self) -> int:
        """Number of steps without early stopping."""
        return self.settings.evaluations * self.settings.evaluate_every

    @property
    def ended(self) -> bool:
        """Whether to stop early."""
        return self.waited >= self.settings.patience

    def on_train_start(self, trainer: lightning.Trainer, module: Any) -> None:
        """Open the progress bar; stop a resumed run that has already ended."""
        super().on_train_start(trainer, module)
        trainer.should_stop = self.ended
        self._began = (time.monotonic(), trainer.global_step)
        if not self.rows:
            point = {"step": 0, "loss": None, "dice": self.baseline}
            self.report(Progress(0, self.total, "Training", data=point))

    def on_train_batch_start(self, *_: Any) -> None:
        """Stop if the run was cancelled."""
        if self.cancelled():
            raise Cancelled(STOPPED)

    def on_validation_batch_start(self, *_: Any) -> None:
        """Stop if the run was cancelled."""
        self.on_train_batch_start()

    def on_train_batch_end(self, trainer: lightning.Trainer, *others: Any) -> None:
        """Report the step."""
        super().on_train_batch_end(trainer, *others)
        self.report(
            Progress(trainer.global_step, self.total, "Training", self._seconds_left(trainer))
        )

    def on_validation_epoch_end(self, trainer: lightning.Trainer, module: Any) -> None:
        """Record the Dice of the candidate; save its weights if it is the best."""
        if trainer.state.fn != TrainerFn.FITTING:
            return  # evaluation of the parent
        self.latest = module.validation_dice.mean()
        if self.latest is None:
            return
        if self.best is None or self.latest > self.best:
            self.best, self.best_step, self.waited = self.latest, trainer.global_step, 0
            save_weights(module.candidate.network, self.out / BEST)
        else:
            self.waited += 1

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: Any) -> None:
        """Record the row and report the point of the curves."""
        super().on_train_epoch_end(trainer, module)
        loss = self.rows[-1]["train/loss"]
        if not math.isfinite(loss):
            raise FlomoError(
                "The training diverged: the loss is not finite; use a lower learning rate."
            )
        step = trainer.global_step
        point = {"step": step, "loss": loss, "dice": self.latest}
        self.report(Progress(step, self.total, "Training", self._seconds_left(trainer), point))
        trainer.should_stop = trainer.should_stop or self.ended

    def row(self, trainer: lightning.Trainer, seconds: float) -> dict[str, float]:
        """Return the row of an epoch, with the Dice of the held-out slices."""
        dice = float("nan") if self.latest is None else self.latest
        return super().row(trainer, seconds) | {HELD_OUT: dice}

    def state_dict(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""
        own = {"best": self.best, "best_step": self.best_step, "waited": self.waited}
        return super().state_dict() | own

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state from a checkpoint."""
        super().load_state_dict(state_dict)
        self.best = state_dict["best"]
        self.best_step = int(state_dict["best_step"])
        self.waited = int(state_dict["waited"])

    def _seconds_left(self, trainer: lightning.Trainer) -> float | None:
        """Return the estimated remaining seconds, including evaluations."""
        began, first = self._began
        done = trainer.global_step - first
        if not done:
            return None
        return (time.monotonic() - began) / done * max(0, self.total - trainer.global_step)


def save_weights(network: nn.Module, path: Path) -> None:
    """Write the weights of a network atomically."""
    tensors = {
        name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()
    }
    with atomic_write(path) as temporary:
        save_file(tensors, temporary)


def load_weights(network: nn.Module, path: Path) -> None:
    """Read what `save_weights` wrote."""
    network.load_state_dict(load_file(path))
