"""Lightning module of the training: network, loss and optimiser."""

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
    """Training of a network by a recipe."""

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
        """Use fast gradients on the CPU, and load the teachers."""
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
        """Return the NAdam optimiser and its schedule."""
        o = self.recipe.optimiser
        # With these arguments PyTorch's NAdam equals Keras' Nadam.
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
    """Load the weights of a model into a network of the same architecture, in place.

    Deep-supervision heads that the model lacks keep their weights. With ``widen`` the network may
    have neighbouring slices as additional input channels; their weights start at 0, so that the
    logits are the same as those of the model. Raises a `FlomoError` if the model is missing or has
    another architecture.
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
            f"The weights of {name} do not fit the network of the recipe; set 'start_from' to a "
            "model with the same network and labels."
        )
    network.load_state_dict({**own, **weights})


def widen_input(weights: Tensor, shape: torch.Size) -> Tensor:
    """Extend the weights of a layer from one input channel to several neighbouring slices.

    Depthwise layers, ``(1, ...)``, use the same weights for every slice; other layers,
    ``(out, 1, ...)``, start with 0 for all slices except the central one. Weights that do not
    depend on the number of input channels are returned unchanged.
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
    """Return the factor of the learning rate at a step."""
    if step < warm_up:
        return (step + 1) / (warm_up + 1)
    return 0.5 + 0.5 * math.cos(math.pi * min(1.0, (step - warm_up) / max(1.0, total - warm_up)))
