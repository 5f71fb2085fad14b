"""What a fine-tuning tells while it goes on, and when it ends."""

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
from flomo_training.progress_logger import Diary
from napari_flomo.errors import Cancelled, FlomoError
from napari_flomo.files import atomic_write
from napari_flomo.progress import Progress, ProgressCallback

BEST = "best.safetensors"
"""Where a run folder keeps the weights with the best Dice on the held-out slices."""

HELD_OUT = "held_out/dice"

STOPPED = "The training was cancelled; it can go on where it was."


class Watch(Diary):
    """A diary that looks at held-out slices, keeps the best weights and ends in time.

    Parameters
    ----------
    out
        Run folder.
    settings
        With the number of steps and the patience.
    report
        Is told every step.
    cancelled
        Asked before every batch.
    baseline
        Dice of the parent on the held-out slices; None without any.
    """

    columns = (*Diary.columns, HELD_OUT)

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
        """Steps, when nothing ends the training early."""
        return self.settings.evaluations * self.settings.evaluate_every

    @property
    def ended(self) -> bool:
        """Whether patience is at its end."""
        return self.waited >= self.settings.patience

    def on_train_start(self, trainer: lightning.Trainer, module: Any) -> None:
        """Open the bar; a run that had ended when it was cut off does not go on."""
        super().on_train_start(trainer, module)
        trainer.should_stop = self.ended
        self._began = (time.monotonic(), trainer.global_step)
        if not self.rows:
            point = self._point(0, None, self.baseline)
            self.report(Progress(0, self.total, "Training", data=point))

    def on_train_batch_start(self, *_: Any) -> None:
        """Stop where someone asked for it."""
        self._listen()

    def on_validation_batch_start(self, *_: Any) -> None:
        """Stop where someone asked for it."""
        self._listen()

    def on_train_batch_end(self, trainer: lightning.Trainer, *others: Any) -> None:
        """Tell the step."""
        super().on_train_batch_end(trainer, *others)
        left = self._left(trainer)
        self.report(Progress(trainer.global_step, self.total, "Training", left))

    def on_validation_epoch_end(self, trainer: lightning.Trainer, module: Any) -> None:
        """Take the Dice of the candidate; keep its weights if it is the best."""
        if trainer.state.fn != TrainerFn.FITTING:
            return  # the parent was looked at
        self.latest = module.tally.dice()
        if self.latest is None:
            return
        if self.best is None or self.latest > self.best:
            self.best, self.best_step, self.waited = self.latest, trainer.global_step, 0
            keep_weights(module.candidate.network, self.out / BEST)
        else:
            self.waited += 1

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: Any) -> None:
        """Write the row and tell the point of the curves."""
        super().on_train_epoch_end(trainer, module)
        loss = self.rows[-1]["train/loss"]
        if not math.isfinite(loss):
            raise FlomoError(
                "The training went wrong: its loss is no number any more; lower the learning rate."
            )
        step = trainer.global_step
        point = self._point(step, loss, self.latest)
        self.report(Progress(step, self.total, "Training", self._left(trainer), point))
        trainer.should_stop = trainer.should_stop or self.ended

    def row(self, trainer: lightning.Trainer, seconds: float) -> dict[str, float]:
        """Return the row of an epoch, with the Dice of the held-out slices."""
        dice = float("nan") if self.latest is None else self.latest
        return super().row(trainer, seconds) | {HELD_OUT: dice}

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return super().state_dict() | {
            "best": self.best,
            "best_step": self.best_step,
            "waited": self.waited,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take what a checkpoint kept."""
        super().load_state_dict(state_dict)
        self.best = state_dict["best"]
        self.best_step = int(state_dict["best_step"])
        self.waited = int(state_dict["waited"])

    def _listen(self) -> None:
        if self.cancelled():
            raise Cancelled(STOPPED)

    def _left(self, trainer: lightning.Trainer) -> float | None:
        """Return the seconds that are left, the looks at held-out slices included."""
        began, first = self._began
        done = trainer.global_step - first
        if not done:
            return None
        return (time.monotonic() - began) / done * max(0, self.total - trainer.global_step)

    def _point(self, step: int, loss: float | None, dice: float | None) -> dict[str, Any]:
        return {"step": step, "loss": loss, "dice": dice}


def keep_weights(network: nn.Module, path: Path) -> None:
    """Write the weights of a network, whole or not at all."""
    tensors = {
        name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()
    }
    with atomic_write(path) as temporary:
        save_file(tensors, temporary)


def take_weights(network: nn.Module, path: Path) -> None:
    """Read what `keep_weights` wrote."""
    network.load_state_dict(load_file(path))
