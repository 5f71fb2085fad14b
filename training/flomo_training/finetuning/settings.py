"""Every number of a fine-tuning, read from YAML and checked key by key."""

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
from napari_flomo.models.card import ModelCard
from napari_flomo.models.schema import SchemaFault, decode
from napari_flomo.tables import read_text

DEFAULTS = Path(__file__).with_name("settings.yaml")
"""The numbers that come with the package."""


@dataclass(frozen=True)
class Distillation:
    """What keeps a model near its parent where no data of the base task is at hand.

    Attributes
    ----------
    weight
        Of the term in the loss; 0 leaves it out.
    temperature
        Logits of both are divided by it, so that small probabilities count, too.
    unseen
        Share of a batch that comes from slices of the same images that nobody saw.

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
    """How a model learns from corrections.

    Attributes
    ----------
    seed
        Of order and augmentation.
    minimum_slices
        Corrected slices without which no training begins.
    held_out
        Share of the slices that is kept out of training, by patient.
    steps, batch_size, precision
        Of the training; ``precision`` is ``"32"``, ``"bf16"`` (mixed) or ``"auto"``, which takes
        bf16 where the hardware computes in it.
    learning_rate, weight_decay, clip
        Of Nadam; ``clip`` is the largest norm of all gradients together. The rate falls as half a
        cosine to zero at the last step.
    warm_up
        Steps in which the learning rate rises.
    average
        Share that the running mean of the weights keeps at each step; the mean is what is kept.
    evaluate_every
        Steps between two looks at the held-out slices; a checkpoint is written each time, too.
    patience
        Looks without a better Dice after which the training ends.
    interpolation
        How far the candidate lies on the way from the parent's weights (0) to those that were
        learnt (1). In between a model keeps most of what either knows.
    adapt_statistics
        How far the statistics of batch norms go, before the training, from those of the parent (0)
        to those of the images that are learnt from (1), seen or not.
    freeze_statistics
        Whether batch norms keep these statistics during the training. A few slices of a few
        patients say little about all others.
    replay
        Share of a batch that comes from data of the base task, where it is given.
    replay_cases
        Volumes of that data that are read at most.
    distillation
        Instead of replay.
    square, jitter, anywhere
        Side of the training squares in pixels, the largest shift from the middle of the labelled
        structures, and the share of squares at a random place, as in a recipe.
    augmentation, loss
        As in a recipe.
    """

    seed: int
    minimum_slices: int
    held_out: float
    steps: int
    batch_size: int
    precision: Precision
    learning_rate: float
    weight_decay: float
    clip: float
    warm_up: int
    average: float
    evaluate_every: int
    patience: int
    interpolation: float
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
        whole = {
            "minimum_slices": self.minimum_slices,
            "steps": self.steps,
            "batch_size": self.batch_size,
            "learning_rate": self.learning_rate,
            "clip": self.clip,
            "evaluate_every": self.evaluate_every,
            "patience": self.patience,
            "replay_cases": self.replay_cases,
            "square": self.square,
            "distillation.temperature": self.distillation.temperature,
        }
        for key, value in whole.items():
            _demand(value > 0, f"'{key}' must be positive, not {value}")
        shares = {
            "held_out": self.held_out,
            "average": self.average,
            "replay": self.replay,
            "distillation.unseen": self.distillation.unseen,
            "anywhere": self.anywhere,
        }
        for key, value in shares.items():
            _demand(0 <= value < 1, f"'{key}' must be 0 or more and less than 1, not {value}")
        _demand(0 <= self.adapt_statistics <= 1, "'adapt_statistics' must be from 0 to 1")
        _demand(0 < self.interpolation <= 1, "'interpolation' must be more than 0 and at most 1")
        _demand(self.distillation.weight >= 0, "'distillation.weight' must not be negative")
        _demand(0 <= self.warm_up < self.steps, "'warm_up' must be shorter than 'steps'")

    @property
    def evaluations(self) -> int:
        """How often the held-out slices are looked at, when nothing ends the training early."""
        return math.ceil(self.steps / self.evaluate_every)

    def companions(self, share: float) -> int:
        """Return how many slices of a batch are not corrections; at least one is a correction."""
        return min(round(self.batch_size * share), self.batch_size - 1)

    def recipe(self, card: ModelCard, parent: Path, hardware: Hardware) -> Recipe:
        """Return these numbers as the recipe of a run that starts from a parent model.

        An epoch of it is what lies between two looks at the held-out slices.
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
                stages=(CropStage(0, self.square),),
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
    """Read and check settings.

    Parameters
    ----------
    path
        A YAML file with all keys, or with those that differ from the package's own; None takes
        these as they are.

    Raises
    ------
    FlomoError
        If the file is missing or no YAML, or a key is unknown or wrong; the message names the key.
    """
    content = _load(DEFAULTS)
    file = DEFAULTS if path is None else Path(path)
    if path is not None:
        content = _merged(content, _load(file))
    try:
        return decode(Settings, content)
    except SchemaFault as fault:
        raise FlomoError(f"The settings {file} are not valid: {fault}; mend that key.") from fault


def _load(path: Path) -> Mapping[str, object]:
    try:
        content = yaml.safe_load(read_text(path))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise FlomoError(f"The settings {path} cannot be read ({reason}); mend them.") from error
    if not isinstance(content, Mapping):
        raise FlomoError(f"The settings {path} hold no keys and values; mend them.")
    return content


def _merged(base: Mapping[str, object], other: Mapping[str, object]) -> dict[str, object]:
    """Return a mapping with what another one says instead, also inside of its sections."""
    result = dict(base)
    for key, value in other.items():
        inner = result.get(key)
        both = isinstance(inner, Mapping) and isinstance(value, Mapping)
        result[key] = _merged(inner, value) if both else value  # type: ignore[arg-type]
    return result


def _demand(condition: bool, message: str) -> None:
    if not condition:
        raise SchemaFault(message)
