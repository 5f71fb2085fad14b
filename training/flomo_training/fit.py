"""Run a recipe: read the cases, train, keep checkpoints, export the model."""

from __future__ import annotations

import argparse
import platform
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback, EMAWeightAveraging, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader

from flomo_training.cases import list_cases, prepare_case
from flomo_training.export import export_model
from flomo_training.module import SegmentationModule
from flomo_training.recipe import Recipe, read_recipe
from flomo_training.slices import EpochSampler, SliceDataset
from napari_flomo import __version__
from napari_flomo.errors import FlomoError
from napari_flomo.files import atomic_write


class Diary(Callback):
    """One line an epoch on stderr: loss, speed, time left."""

    def __init__(self) -> None:
        self.started = 0.0

    def on_train_epoch_start(self, _trainer: lightning.Trainer, _module: Any) -> None:
        """Start the clock."""
        self.started = time.monotonic()

    def on_train_epoch_end(self, trainer: lightning.Trainer, _module: Any) -> None:
        """Print the line."""
        seconds = time.monotonic() - self.started
        done, total = trainer.current_epoch + 1, trainer.max_epochs or 0
        loader: Any = trainer.train_dataloader
        slices = len(loader) * loader.batch_size
        loss = float(trainer.callback_metrics.get("train/loss", float("nan")))
        print(
            f"epoch {done}/{total}  loss {loss:.4f}  {slices / seconds:.1f} slices/s  "
            f"{seconds:.0f} s",
            file=sys.stderr,
            flush=True,
        )


def check_run(out: Path, resume: bool) -> Path | None:
    """Return the checkpoint to go on from, or None for a new run.

    Raises
    ------
    FlomoError
        If there is none to go on from, or one is in the way of a new run.
    """
    checkpoint = out / "last.ckpt"
    if resume and not checkpoint.is_file():
        raise FlomoError(f"There is no checkpoint {checkpoint} to resume from; train without it.")
    if checkpoint.exists() and not resume:
        raise FlomoError(f"{out} holds a run already; add --resume, or choose another --out.")
    return checkpoint if resume else None


def train(recipe: Recipe, source: Path, out: Path, *, resume: bool = False) -> Path:
    """Train by a recipe and write the model.

    Parameters
    ----------
    recipe
        Every number of the run.
    source
        Data folder, see `flomo_training.cases.list_cases`.
    out
        Run folder: checkpoints, curves, and the model folder ``model/`` at the end.
    resume
        Go on from the last checkpoint of ``out``.

    Returns
    -------
    Path
        The model folder.

    Raises
    ------
    FlomoError
        If the data is not complete, or there is no checkpoint to go on from, or one is in the way.
    """
    checkpoint = check_run(out, resume)
    out.mkdir(parents=True, exist_ok=True)
    lightning.seed_everything(recipe.seed, workers=True, verbose=False)

    cases = list_cases(source, recipe.data.fold, "training")
    volumes = [prepare_case(case, recipe.model) for case in cases]
    slices = SliceDataset(volumes, recipe.crops, recipe.augmentation, recipe.seed)
    loader = DataLoader(
        slices,
        batch_size=recipe.batch_size,
        sampler=EpochSampler(len(slices), recipe.seed),
        num_workers=recipe.workers,
        persistent_workers=recipe.workers > 0,
        drop_last=True,
    )
    module = SegmentationModule(recipe, len(loader))
    trainer = lightning.Trainer(
        max_epochs=recipe.epochs,
        accelerator="auto",
        devices=1,
        precision="bf16-mixed" if recipe.precision == "bf16" else "32-true",
        gradient_clip_val=recipe.optimiser.clip,
        callbacks=[
            ModelCheckpoint(out, filename="last", enable_version_counter=False),
            Diary(),
            *([EMAWeightAveraging(decay=recipe.average)] if recipe.average else []),
        ],
        logger=CSVLogger(out, name="", version="curves"),
        enable_progress_bar=sys.stderr.isatty(),
        enable_model_summary=False,
        log_every_n_steps=10,
        use_distributed_sampler=False,
    )
    started = time.monotonic()
    # Only tensors and numbers are ever read from a checkpoint, never a pickled object.
    trainer.fit(module, loader, ckpt_path=checkpoint, weights_only=True)
    if trainer.interrupted:
        raise FlomoError(f"Training was interrupted; go on with --resume (run folder {out}).")
    return export_model(
        module.network,
        recipe,
        out / "model",
        {
            "cases": len(cases),
            "slices": len(slices),
            "epochs": recipe.epochs,
            # Of the last start only: what an interrupted run took before is not known here.
            "training_hours": round((time.monotonic() - started) / 3600, 2),
            "hardware": describe_device(trainer),
            "versions": {
                "napari_flomo": __version__,
                "torch": torch.__version__,
                "lightning": lightning.__version__,
                "python": platform.python_version(),
                "commit": git_commit(),
            },
        },
    )


def describe_device(trainer: lightning.Trainer) -> str:
    """Return what the run computed on."""
    if trainer.strategy.root_device.type == "cuda":
        return torch.cuda.get_device_name()
    return f"CPU, {torch.get_num_threads()} threads"


def git_commit() -> str | None:
    """Return the commit of the code that runs, or None outside a checkout."""
    git = shutil.which("git")
    if git is None:
        return None
    done = subprocess.run(
        [git, "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or None


def run_training(args: argparse.Namespace) -> int:
    """Serve ``flomo train``."""
    recipe = read_recipe(args.recipe)
    if args.fold is not None:
        recipe = replace(recipe, data=replace(recipe.data, fold=args.fold))
    source = Path(args.data or recipe.data.source)
    name = f"{recipe.model.name}-fold{recipe.data.fold}"
    out = Path(args.out) if args.out else Path("runs") / name
    check_run(out, args.resume)
    out.mkdir(parents=True, exist_ok=True)
    with atomic_write(out / "recipe.yaml") as temporary:
        shutil.copyfile(args.recipe, temporary)
    model = train(recipe, source, out, resume=args.resume)
    print(f"The model is in {model}.", file=sys.stderr)
    return 0
