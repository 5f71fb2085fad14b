"""The network, its loss and its optimiser, as Lightning drives them."""

from __future__ import annotations

import math
from typing import Any

import lightning
import torch
from torch import Tensor, nn

from flomo_training.depthwise import accelerate
from flomo_training.encoder import load_encoder_weights
from flomo_training.losses import DistillationLoss, make_loss
from flomo_training.recipe import Recipe
from flomo_training.teachers import Teachers
from napari_flomo.errors import FlomoError
from napari_flomo.models import load_network
from napari_flomo.networks import build


class SegmentationModule(lightning.LightningModule):
    """Training of one network by one recipe.

    Parameters
    ----------
    recipe
        Every number of the run.
    """

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.recipe = recipe
        card = recipe.model
        self.network: nn.Module = build(
            card.network,
            in_channels=card.in_channels,
            num_classes=card.num_classes,
            **card.network_arguments,
        )
        if recipe.encoder is not None:
            load_encoder_weights(self.network, recipe.encoder)
        if recipe.parent:
            load_parent_weights(
                self.network, recipe.parent, widen=card.preprocessing.neighbours > 0
            )
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.loss = make_loss(recipe.loss, card.activation)
        self.distillation = DistillationLoss(recipe.loss) if recipe.distillation else None
        self.teachers: Teachers | None = None

    def setup(self, stage: str) -> None:
        """Choose fast gradients where the run is on a CPU, and load the teachers."""
        if stage != "fit":
            return
        device = self.trainer.strategy.root_device
        if device.type == "cpu":
            accelerate(self.network)
        if self.recipe.distillation is not None:
            self.teachers = Teachers(self.recipe.teachers, self.recipe.model, device)

    def training_step(self, batch: dict[str, Tensor], _index: int) -> Tensor:
        """Return the loss of a batch."""
        images = batch["image"].contiguous(memory_format=torch.channels_last)
        targets = (batch[name] for name in self.loss.targets)
        output = self.network(images)
        loss: Tensor = self.loss(output, batch["classes"], *targets)
        if self.teachers is not None and self.distillation is not None:
            assert self.recipe.distillation is not None
            share = self.recipe.distillation.share
            soft = self.distillation(output.logits, self.teachers(images))
            loss = (1 - share) * loss + share * soft
        self.log(
            "train/loss",
            loss,
            on_step=False,
            on_epoch=True,
            batch_size=len(images),
            sync_dist=self.trainer.world_size > 1,
        )
        return loss

    def configure_optimizers(self) -> Any:
        """Return Nadam and its schedule."""
        o = self.recipe.optimiser
        # These arguments make PyTorch's NAdam equal to Keras'; its own defaults do not.
        optimiser = torch.optim.NAdam(
            (p for p in self.network.parameters() if p.requires_grad),
            lr=o.learning_rate,
            eps=1e-7,
            momentum_decay=1.0,
            weight_decay=o.weight_decay,
            decoupled_weight_decay=True,
        )
        if o.schedule == "plateau":
            plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
                optimiser, factor=o.plateau_factor, patience=o.plateau_patience
            )
            scheduler: dict[str, Any] = {"scheduler": plateau, "monitor": "train/loss"}
        else:
            total = int(self.trainer.estimated_stepping_batches)
            warm_up = o.warm_up * total / self.recipe.epochs
            cosine = torch.optim.lr_scheduler.LambdaLR(
                optimiser, lambda step: cosine_with_warm_up(step, warm_up, total)
            )
            scheduler = {"scheduler": cosine, "interval": "step"}
        return {"optimizer": optimiser, "lr_scheduler": scheduler}


def load_parent_weights(network: nn.Module, name: str, *, widen: bool = False) -> None:
    """Copy the weights of a model into a network of the same layout.

    Parameters
    ----------
    network
        Changed in place. Heads that only help the training and that the model lacks keep theirs.
    name
        Of a model on the shelf, or its folder.
    widen
        Whether the network may see neighbouring slices that the model does not: it starts by
        passing over them, with the very logits of the model.

    Raises
    ------
    FlomoError
        If the model is missing, or its layout is another.
    """
    weights, own = load_network(name)[0].state_dict(), network.state_dict()
    if widen:
        weights = {
            key: widen_input(value, own[key].shape) if key in own else value
            for key, value in weights.items()
        }
    alike = all(key in own and own[key].shape == value.shape for key, value in weights.items())
    if not alike:
        raise FlomoError(
            f"The weights of {name} do not fit the network of the recipe; give 'start_from' a "
            "model of the same network and labels."
        )
    network.load_state_dict({**own, **weights})


def widen_input(weights: Tensor, shape: torch.Size) -> Tensor:
    """Return weights of a layer that sees one slice, for one that sees its neighbours as well.

    Layers that work on each channel of their own do the same for every slice; those that mix
    channels begin with 0 for all but the slice in the middle. Weights of other shapes than an input
    of one channel explains are returned as they are.

    Parameters
    ----------
    weights
        ``(1, ...)`` for each channel of its own, ``(out, 1, ...)`` mixing.
    shape
        Of the weights that are wanted.
    """
    if weights.ndim != len(shape):
        return weights
    sides = zip(weights.shape, shape, strict=True)
    grown = [axis for axis, (old, new) in enumerate(sides) if old != new]
    if len(grown) != 1 or grown[0] > 1 or weights.shape[grown[0]] != 1 or shape[grown[0]] % 2 == 0:
        return weights
    if grown == [0]:
        return weights.expand(shape).clone()
    result = weights.new_zeros(shape)
    result[:, shape[1] // 2] = weights[:, 0]
    return result


def cosine_with_warm_up(step: int, warm_up: float, total: int) -> float:
    """Return the share of the learning rate that holds at a step."""
    if step < warm_up:
        return (step + 1) / (warm_up + 1)
    return 0.5 + 0.5 * math.cos(math.pi * min(1.0, (step - warm_up) / max(1.0, total - warm_up)))
