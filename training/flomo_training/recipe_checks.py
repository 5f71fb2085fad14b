"""Validation of recipes beyond the types of their keys."""

from __future__ import annotations

from collections.abc import Mapping

from flomo_training.recipe_schema import LossWeights, Recipe
from napari_flomo.schema import SchemaError


def check_recipe(recipe: Recipe) -> None:
    """Check the values of a recipe; raise a `SchemaError` that names the invalid key."""
    positive: Mapping[str, float] = {
        "epochs": recipe.epochs,
        "batch_size": recipe.batch_size,
        "accumulate": recipe.accumulate,
        "hardware.devices": recipe.hardware.devices,
        "hardware.num_nodes": recipe.hardware.num_nodes,
        "optimiser.learning_rate": recipe.optimiser.learning_rate,
        "optimiser.clip": recipe.optimiser.clip,
    }
    for key, value in positive.items():
        if value <= 0:
            raise SchemaError(f"'{key}' must be positive, not {value}")
    if recipe.average is not None and not 0 < recipe.average < 1:
        raise SchemaError(f"'average' must lie between 0 and 1, not {recipe.average}")
    starts = [stage.from_epoch for stage in recipe.crops.stages]
    if not starts or starts[0] != 0 or starts != sorted(set(starts)):
        raise SchemaError("'crops.stages' must start at epoch 0 and ascend")
    if len(recipe.augmentation.gamma_range) != 2:
        raise SchemaError("'augmentation.gamma_range' must hold two numbers")
    if not recipe.model.preprocessing.neighbours:
        for key in ("reverse", "alone"):
            if getattr(recipe.augmentation, key):
                raise SchemaError(
                    f"'augmentation.{key}' needs 'model.preprocessing.neighbours' above 0"
                )
    _check_loss(recipe.loss)
    if recipe.encoder is not None:
        _check_encoder(recipe)
    if recipe.distillation is not None:
        _check_distillation(recipe)


def _check_loss(loss: LossWeights) -> None:
    """Check that the loss has a positive weight and no weights that its kind ignores."""
    used = {
        "overlap": ("dice", "cross_entropy", "focal_tversky"),
        "mixing": ("dice", "cross_entropy"),
        "multi_task": ("region", "distance", "boundary"),
    }[loss.kind]
    if not any(getattr(loss, name) > 0 for name in used):
        raise SchemaError(f"'loss' needs a positive weight of {', '.join(used)}")
    unused = {"dice", "cross_entropy", "focal_tversky", "deep_supervision"} - {*used}
    if loss.kind != "overlap" and any(getattr(loss, name) for name in unused):
        raise SchemaError(f"'loss.kind' {loss.kind} has no {', '.join(sorted(unused))}")


def _check_encoder(recipe: Recipe) -> None:
    """Check that a Hub file is fully pinned and that there is only one start model."""
    assert recipe.encoder is not None
    if recipe.start_from is not None:
        raise SchemaError("'encoder' and 'start_from' exclude each other")
    pin = (recipe.encoder.commit, recipe.encoder.size, recipe.encoder.sha256)
    if recipe.encoder.repo is not None and None in pin:
        raise SchemaError("'encoder' with a 'repo' needs 'commit', 'size' and 'sha256'")


def _check_distillation(recipe: Recipe) -> None:
    """Check the share, and that the loss supports soft labels."""
    assert recipe.distillation is not None
    if not recipe.distillation.teachers:
        raise SchemaError("'distillation.teachers' must name at least one model")
    if not 0 < recipe.distillation.share <= 1:
        raise SchemaError(
            f"'distillation.share' must lie above 0 and not above 1, not "
            f"{recipe.distillation.share}"
        )
    if recipe.loss.kind != "overlap" or recipe.model.activation != "softmax":
        raise SchemaError("'distillation' needs 'loss.kind' overlap and 'model.activation' softmax")
