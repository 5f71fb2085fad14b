"""Hyperparameters of fine-tuning, read from YAML and validated."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from flomo_training.precision import Precision, choose_precision
from flomo_training.recipe import (
    Augmentation,
    Crops,
    CropStage,
    Data,
    Hardware,
    LossWeights,
    Optimiser,
    Recipe,
)
from napari_flomo.errors import FlomoError
from napari_flomo.models import ModelCard
from napari_flomo.schema import SchemaError, decode
from napari_flomo.tables import read_text

DEFAULTS = Path(__file__).with_name("settings.yaml")

RETIRED = {"held_out", "patience"}
"""Keys of earlier settings files, which are ignored; ``interpolation`` is now one of ``shares``."""


@dataclass(frozen=True)
class Distillation:
    """Distillation of the parent, against forgetting where there is no replay data.

    Attributes
    ----------
    weight
        Weight of the term in the loss; 0 disables it.
    temperature
        Divides the logits of both models.
    unseen
        Fraction of a batch taken from unreviewed slices of the same images.

    Notes
    -----
    Source: Hinton et al., Distilling the Knowledge in a Neural Network, 2015; against forgetting:
    Li and Hoiem, Learning without Forgetting, 2016.
    """

    weight: float
    temperature: float
    unseen: float


@dataclass(frozen=True)
class Settings:
    """Hyperparameters of fine-tuning; the defaults are in ``settings.yaml``.

    Attributes
    ----------
    seed
        Seed of sampling and augmentation.
    minimum_slices
        Smallest number of corrected slices to train on.
    folds
        Number of folds of the cross-validation over patients; there are never more than patients.
    steps, batch_size
        Number of training steps of each fold, and slices per step.
    precision
        ``"32"``, ``"bf16"`` (mixed) or ``"auto"``: bf16 where the hardware supports it.
    learning_rate, weight_decay, clip
        Of NAdam; ``clip`` is the maximum norm of the gradients. The learning rate follows half a
        cosine to zero at the last step.
    warm_up
        Steps of the linear warm-up of the learning rate.
    average
        Decay of the running mean of the weights, which is the result.
    evaluate_every
        Steps between two evaluations of the held-out slices; each also writes a checkpoint.
    shares
        Shares of the way from the parent's weights to the trained ones that are evaluated; see
        `flomo_training.finetuning.share`.
    unchecked_share
        Largest share that is used where at most one patient could be held out.
    adapt_statistics
        Weight of the training images, including unreviewed slices, in the batch norm statistics
        from which training starts; those of the parent have the rest.
    freeze_statistics
        Whether these statistics stay fixed in training.
    replay
        Fraction of a batch taken from the replay data, if given.
    replay_cases
        Maximum number of volumes of the replay data.
    distillation
        Used without replay data, if its weight is not 0.
    square, jitter, anywhere
        Size of the training crops in pixels, at most the model's field of view; their largest shift
        from the centre of the labelled structures; and the fraction of crops at a random position.
    augmentation, loss
        As in a recipe.
    """

    seed: int
    minimum_slices: int
    folds: int
    steps: int
    batch_size: int
    precision: Precision
    learning_rate: float
    weight_decay: float
    clip: float
    warm_up: int
    average: float
    evaluate_every: int
    shares: tuple[float, ...]
    unchecked_share: float
    adapt_statistics: float
    freeze_statistics: bool
    replay: float
    replay_cases: int
    distillation: Distillation
    square: int
    jitter: int
    anywhere: float
    augmentation: Augmentation
    loss: LossWeights

    def __post_init__(self) -> None:
        positive = {
            "minimum_slices": self.minimum_slices,
            "steps": self.steps,
            "batch_size": self.batch_size,
            "learning_rate": self.learning_rate,
            "clip": self.clip,
            "evaluate_every": self.evaluate_every,
            "replay_cases": self.replay_cases,
            "square": self.square,
            "distillation.temperature": self.distillation.temperature,
        }
        for key, value in positive.items():
            _check(value > 0, f"'{key}' must be positive, not {value}")
        fractions = {
            "average": self.average,
            "replay": self.replay,
            "distillation.unseen": self.distillation.unseen,
            "anywhere": self.anywhere,
        }
        for key, value in fractions.items():
            _check(0 <= value < 1, f"'{key}' must be 0 or more and less than 1, not {value}")
        _check(0 <= self.adapt_statistics <= 1, "'adapt_statistics' must be from 0 to 1")
        for key, shares in {
            "shares": self.shares,
            "unchecked_share": (self.unchecked_share,),
        }.items():
            valid = bool(shares) and all(0 < share <= 1 for share in shares)
            _check(valid, f"'{key}' must be more than 0 and at most 1")
        _check(self.folds >= 2, f"'folds' must be at least 2, not {self.folds}")
        _check(self.distillation.weight >= 0, "'distillation.weight' must not be negative")
        _check(0 <= self.warm_up < self.steps, "'warm_up' must be shorter than 'steps'")

    @property
    def evaluations(self) -> int:
        """Number of evaluations of a fold."""
        return math.ceil(self.steps / self.evaluate_every)

    def others_per_batch(self, share: float) -> int:
        """Return the number of slices of a batch that are not corrections; at least one is."""
        return min(round(self.batch_size * share), self.batch_size - 1)

    def recipe(self, card: ModelCard, parent: Path, hardware: Hardware) -> Recipe:
        """Return the recipe of a run that starts from a parent model.

        One epoch lasts from one evaluation to the next.
        """
        return Recipe(
            flavour="best",
            seed=self.seed,
            epochs=self.evaluations,
            batch_size=self.batch_size,
            workers=0,
            precision=choose_precision(self.precision, hardware.accelerator),
            data=Data(source="corrections", fold=0),
            crops=Crops(
                stages=(CropStage(0, min(self.square, card.preprocessing.crop or self.square)),),
                jitter=self.jitter,
                anywhere=self.anywhere,
                inside=card.input_kind == "photo",
            ),
            augmentation=self.augmentation,
            loss=self.loss,
            optimiser=Optimiser(
                learning_rate=self.learning_rate,
                weight_decay=self.weight_decay,
                clip=self.clip,
                schedule="cosine",
                warm_up=self.warm_up / self.evaluate_every,
            ),
            model=card,
            start_from=str(parent),
            average=self.average,
            hardware=hardware,
        )


def read_settings(path: str | os.PathLike[str] | None = None) -> Settings:
    """Read and validate settings.

    Parameters
    ----------
    path
        A YAML file with the keys that differ from the defaults; None for the defaults.

    Raises
    ------
    FlomoError
        If the file cannot be read, or a key is unknown or invalid; the message names the key.
    """
    content = _load(DEFAULTS)
    file = DEFAULTS if path is None else Path(path)
    if path is not None:
        content = _merged(content, _current(_load(file)))
    try:
        return decode(Settings, content)
    except SchemaError as fault:
        raise FlomoError(f"The settings {file} are not valid: {fault}; fix this key.") from fault


def _load(path: Path) -> Mapping[str, object]:
    try:
        content = yaml.safe_load(read_text(path))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise FlomoError(f"The settings {path} cannot be read ({reason}).") from error
    if not isinstance(content, Mapping):
        raise FlomoError(f"The settings {path} contain no keys and values.")
    return content


def _current(content: Mapping[str, object]) -> dict[str, object]:
    """Return the content of an earlier settings file with the keys of today."""
    result = {key: value for key, value in content.items() if key not in RETIRED}
    if "interpolation" in result:
        result.setdefault("shares", [result.pop("interpolation")])
    return result


def _merged(base: Mapping[str, object], other: Mapping[str, object]) -> dict[str, object]:
    """Return a mapping updated by another one, also inside nested sections."""
    result = dict(base)
    for key, value in other.items():
        inner = result.get(key)
        both = isinstance(inner, Mapping) and isinstance(value, Mapping)
        result[key] = _merged(inner, value) if both else value  # type: ignore[arg-type]
    return result


def _check(condition: bool, message: str) -> None:
    if not condition:
        raise SchemaError(message)
