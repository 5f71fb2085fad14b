"""Train a network by a recipe with Lightning: data, checkpoints and export."""

from __future__ import annotations

import argparse
import shutil
import sys
from dataclasses import fields, replace
from pathlib import Path

import lightning
import torch
from lightning.pytorch.callbacks import (
    Callback,
    EarlyStopping,
    EMAWeightAveraging,
    ModelCheckpoint,
)
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from torch.utils.data import DataLoader

from flomo_training.export import export_model
from flomo_training.lineage import check_parent, check_teachers, trained_on
from flomo_training.module import SegmentationModule
from flomo_training.pack import load_training_volumes
from flomo_training.precision import choose_precision
from flomo_training.progress_logger import ProgressLogger
from flomo_training.quiet import quiet_lightning
from flomo_training.recipe import Hardware, Recipe, locate_recipe, read_recipe
from flomo_training.slices import EpochSampler, SliceDataset
from flomo_training.targets import target_maker
from napari_flomo.errors import FlomoError
from napari_flomo.files import atomic_write
from napari_flomo.schema import encode

LAST = "last.ckpt"
"""Checkpoint in a run folder from which an interrupted run is resumed."""


def find_checkpoint(out: Path, resume: bool) -> Path | None:
    """Return the checkpoint to resume from, or None for a new run.

    Raises a `FlomoError` if it is missing, or exists although a new run is requested.
    """
    checkpoint = out / LAST
    if resume and not checkpoint.is_file():
        raise FlomoError(f"There is no checkpoint {checkpoint}; train without --resume.")
    if checkpoint.exists() and not resume:
        raise FlomoError(f"{out} already contains a run; add --resume, or choose another --out.")
    return checkpoint if resume else None


def train(recipe: Recipe, source: Path, out: Path, *, resume: bool = False) -> Path:
    """Train by a recipe and write the model.

    Parameters
    ----------
    recipe
        Training recipe.
    source
        Data folder, see `flomo_training.cases.list_cases`, or a packed file of it.
    out
        Run folder for checkpoints, curves and the model folder ``model/``.
    resume
        Resume from the last checkpoint of ``out``.

    Returns
    -------
    Path
        The model folder.

    Raises
    ------
    FlomoError
        If the data is incomplete, or the checkpoint does not fit ``resume``, see `find_checkpoint`.
    """
    checkpoint = find_checkpoint(out, resume)
    out.mkdir(parents=True, exist_ok=True)

    parent = check_parent(recipe, source)
    teachers = check_teachers(recipe, source)
    ancestors = [*teachers] if parent is None else [parent, *teachers]
    volumes = load_training_volumes(source, recipe.model, recipe.data.fold)
    targets = target_maker(recipe.loss, recipe.model)
    slices = SliceDataset(volumes, recipe.crops, recipe.augmentation, recipe.seed, targets)
    loader = DataLoader(
        slices,
        batch_size=recipe.batch_size,
        sampler=EpochSampler(len(slices), recipe.seed),
        num_workers=recipe.workers,
        persistent_workers=recipe.workers > 0,
        drop_last=True,
    )
    # Seed just before the weights are initialised, since imports may draw random numbers.
    lightning.seed_everything(recipe.seed, workers=True, verbose=False)
    module = SegmentationModule(recipe)
    logger = ProgressLogger(out)
    with quiet_lightning():
        trainer = make_trainer(recipe, out, logger)
        # weights_only: never unpickle objects from a checkpoint.
        trainer.fit(module, loader, ckpt_path=checkpoint, weights_only=True)
    if trainer.interrupted:
        raise FlomoError(f"Training was interrupted; resume with --resume (run folder {out}).")
    model = out / "model"
    if trainer.is_global_zero:
        # The checkpoint contains the averaged weights. It also covers a run that was interrupted
        # after its last epoch and is resumed here without training.
        finished = torch.load(out / LAST, map_location="cpu", weights_only=True)
        module.load_state_dict(finished["state_dict"])
        facts = {
            "cases": len(volumes),
            "parent": None if parent is None else f"{parent.name} {parent.sha256}",
            "teachers": [f"{card.name} {card.sha256}" for card in teachers],
            "trained_on": trained_on(ancestors, (volume.fingerprint for volume in volumes)),
            "slices": len(slices),
            "epochs": len(logger.rows),
            "training_hours": round(logger.seconds / 3600, 2),
            **logger.provenance,
            "recipe": encode(recipe),
        }
        export_model(module.network, recipe, model, facts)
    return model


def make_trainer(
    recipe: Recipe, out: Path, logger: ProgressLogger, devices: list[int] | None = None
) -> lightning.Trainer:
    """Return the Trainer for a recipe, with checkpoints and curves in ``out``.

    ``devices`` selects specific devices instead of the recipe's number of devices.
    """
    callbacks: list[Callback] = [
        ModelCheckpoint(out, filename=Path(LAST).stem, enable_version_counter=False),
        logger,
    ]
    if recipe.average is not None:
        # Batch norm statistics are not averaged, since they depend on the crop size of the epoch.
        callbacks.append(EMAWeightAveraging(decay=recipe.average, use_buffers=False))
    if recipe.optimiser.stop_patience is not None:
        callbacks.append(
            EarlyStopping(
                "train/loss",
                patience=recipe.optimiser.stop_patience,
                check_on_train_epoch_end=True,
            )
        )
    hardware = recipe.hardware
    mixed = choose_precision(recipe.precision, hardware.accelerator) == "bf16"
    return lightning.Trainer(
        max_epochs=recipe.epochs,
        accelerator=hardware.accelerator,
        devices=hardware.devices if devices is None else devices,
        num_nodes=hardware.num_nodes,
        strategy=hardware.strategy,
        precision="bf16-mixed" if mixed else "32-true",
        accumulate_grad_batches=recipe.accumulate,
        gradient_clip_val=recipe.optimiser.clip,
        callbacks=callbacks,
        logger=TensorBoardLogger(out, name="", version="tensorboard"),
        enable_progress_bar=False,  # the logger has one for the whole run
        enable_model_summary=False,
        num_sanity_val_steps=0,
        log_every_n_steps=10,
        use_distributed_sampler=False,  # EpochSampler distributes the slices itself
    )


def override_hardware(hardware: Hardware, args: argparse.Namespace) -> Hardware:
    """Return a recipe's hardware with the overrides of the command line."""
    given = {field.name: getattr(args, field.name, None) for field in fields(Hardware)}
    return replace(hardware, **{name: value for name, value in given.items() if value is not None})


def is_global_zero_process() -> bool:
    """Return True in the process of rank 0, which writes files and messages."""
    return bool(getattr(rank_zero_only, "rank", 0) == 0)


def save_recipe(recipe: Path, out: Path) -> None:
    """Copy the recipe file to the run folder."""
    recipe = locate_recipe(recipe)
    with atomic_write(out / "recipe.yaml") as temporary:
        shutil.copyfile(recipe, temporary)


def run_training(args: argparse.Namespace) -> int:
    """Run ``flomo train``."""
    recipe = read_recipe(args.recipe)
    if args.fold is not None:
        fold = None if args.fold == "none" else args.fold
        recipe = replace(recipe, data=replace(recipe.data, fold=fold))
    recipe = replace(recipe, hardware=override_hardware(recipe.hardware, args))
    source = Path(args.data or recipe.data.source)
    name = f"{recipe.model.name}-fold{recipe.data.fold_name}"
    out = Path(args.out) if args.out else Path("runs") / name
    find_checkpoint(out, args.resume)
    out.mkdir(parents=True, exist_ok=True)
    if is_global_zero_process():
        save_recipe(args.recipe, out)
    model = train(recipe, source, out, resume=args.resume)
    if is_global_zero_process():
        print(f"Model: {model}", file=sys.stderr)
        if recipe.data.fold is None:
            print("No fold was held out, so the model is not evaluated.", file=sys.stderr)
        elif args.report and source.is_file():
            print(
                "Evaluation needs the data folder, not a packed file; use flomo evaluate.",
                file=sys.stderr,
            )
        elif args.report:
            from flomo_training.reports import write_reports

            report = write_reports(out, recipe, source)
            print(f"Mean Dice on the held-out fold: {report['mean_dice']}.", file=sys.stderr)
    return 0
