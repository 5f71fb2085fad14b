"""A recipe: every number of a training run, read from YAML and checked key by key."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from flomo_training.precision import Precision
from flomo_training.recipe_checks import check_recipe
from napari_flomo.errors import FlomoError
from napari_flomo.models.card import ModelCard
from napari_flomo.models.schema import SchemaFault, decode
from napari_flomo.tables import read_text

RECIPES = Path(__file__).parent / "recipes"
"""Those that come with the package."""


@dataclass(frozen=True)
class Data:
    """Where the cases come from.

    Attributes
    ----------
    source
        Folder with ``images/``, ``labels/``, ``cases.csv`` and ``folds.json``, or a packed file.
    fold
        Fold held out; the network never sees its patients. None holds out nobody: a model for
        users, after every choice was made with folds.
    parent_fold
        Fold of this data that the model of ``start_from`` held out. Needed only where the model's
        card does not tell which images it was trained on.
    """

    source: str
    fold: int | None
    parent_fold: int | None = None

    @property
    def fold_name(self) -> str:
        """How run folders name the fold: its number, or ``none``."""
        return "none" if self.fold is None else str(self.fold)


@dataclass(frozen=True)
class CropStage:
    """From which epoch on which square of the prepared slice is shown."""

    from_epoch: int
    size: int


@dataclass(frozen=True)
class Crops:
    """How training squares are cut from prepared slices.

    Attributes
    ----------
    stages
        Sizes in pixels; small squares first cost little, large ones last match inference.
    jitter
        Largest shift of the square from the middle of the labelled structures, in pixels per axis.
    anywhere
        Share of squares cut at a random place of the slice instead.
    inside
        Whether a square is pushed back where it would reach beyond the slice; along an axis on
        which it is larger than the slice, the slice lies in its middle. For photos, where what is
        outside does not exist for the network later.
    """

    stages: tuple[CropStage, ...]
    jitter: int
    anywhere: float
    inside: bool = False

    def size(self, epoch: int) -> int:
        """Return the size that holds in an epoch."""
        return [stage.size for stage in self.stages if stage.from_epoch <= epoch][-1]


@dataclass(frozen=True)
class Augmentation:
    """Random changes of a slice; a range ``(low, high)`` is drawn from uniformly.

    Attributes
    ----------
    flip
        Probability of a flip, for each axis.
    affine, rotation, scale
        Probability of a rotation (up to so many degrees) with scaling (by ``1 +- scale``).
    gamma, gamma_range
        Probability and exponents of a contrast change.
    brightness, brightness_shift
        Probability and largest shift of all values (they lie in 0..1).
    contrast, contrast_factor
        Probability and largest relative change of all values.
    noise, noise_std
        Probability and standard deviation of added Gaussian noise.
    blur, blur_sigma
        Probability and largest width of a Gaussian blur, in pixels.
    elastic, elastic_spacing, elastic_magnitude
        Probability of an elastic deformation, distance of its control points and largest shift of
        one, in pixels.
    clahe, clahe_clip
        Probability and largest clip limit (0..1) of an adaptive histogram equalisation.
    shadow, shadow_depth
        Probability of a soft shadow and the largest share of brightness that it takes away.
    turn
        Probability of a turn by 90, 180 or 270 degrees.
    bias, bias_strength
        Probability of a smooth multiplicative intensity field, as of a receive coil, and the
        largest coefficient of its polynomial.
    resolution, resolution_factor
        Probability of a coarser in-plane resolution, and the smallest share of pixels kept along
        an axis.
    ghost, ghost_strength
        Probability of periodic ghosts along one axis, as motion or flow causes in k-space, and the
        largest share by which every n-th k-space line is weakened.
    reverse, alone
        Probabilities that the neighbouring slices change sides, as in a stack stored the other way
        round, and that they are missing, as in a stack of one slice.
    """

    flip: float
    affine: float
    rotation: float
    scale: float
    gamma: float
    gamma_range: tuple[float, ...]
    brightness: float
    brightness_shift: float
    contrast: float
    contrast_factor: float
    noise: float
    noise_std: float
    blur: float
    blur_sigma: float
    elastic: float = 0.0
    elastic_spacing: float = 32.0
    elastic_magnitude: float = 4.0
    clahe: float = 0.0
    clahe_clip: float = 0.02
    shadow: float = 0.0
    shadow_depth: float = 0.5
    turn: float = 0.0
    bias: float = 0.0
    bias_strength: float = 0.3
    resolution: float = 0.0
    resolution_factor: float = 0.5
    ghost: float = 0.0
    ghost_strength: float = 0.5
    reverse: float = 0.0
    alone: float = 0.0


@dataclass(frozen=True)
class LossWeights:
    """Which loss, the weights of its terms, and the focal Tversky term's own numbers.

    Attributes
    ----------
    dice, cross_entropy, focal_tversky
        Weights of the terms. ``"mixing"`` knows the first two, ``"multi_task"`` none of them.
    false_negative, false_positive, gamma
        Focal Tversky: weights of the two kinds of error, and the exponent of ``1 - index``.
    deep_supervision
        Weight of the finest intermediate stage; each coarser one weighs half as much.
    kind
        ``"overlap"``: these terms over the output and its intermediate stages. ``"multi_task"``:
        MADGNet's, regions, distances and boundaries at every stage. ``"mixing"``: FIAS', the terms
        over all mixtures of the stages.
    region, distance, boundary
        Weights of the terms of ``"multi_task"``.
    weighted_entropy
        Whether ``"multi_task"`` weighs cross-entropy near edges, too; the published code means to,
        but does not.
    """

    dice: float = 0.0
    cross_entropy: float = 0.0
    focal_tversky: float = 0.0
    false_negative: float = 0.7
    false_positive: float = 0.3
    gamma: float = 0.75
    deep_supervision: float = 0.0
    kind: Literal["overlap", "multi_task", "mixing"] = "overlap"
    region: float = 1.0
    distance: float = 1.0
    boundary: float = 1.0
    weighted_entropy: bool = False


@dataclass(frozen=True)
class Distillation:
    """Teachers whose mean probabilities a network learns beside the labels.

    Attributes
    ----------
    teachers
        Names or folders of models with the same labels and the same preprocessing; ``{fold}``
        stands for the fold that is held out. They see the augmented squares of the student.
    share
        Weight of the loss against the teachers; the loss against the labels weighs the rest.

    References
    ----------
    Hinton et al., "Distilling the knowledge in a neural network", 2015, arXiv 1503.02531.
    """

    teachers: tuple[str, ...]
    share: float = 0.5


@dataclass(frozen=True)
class EncoderWeights:
    """Published weights that an encoder starts from, in a safetensors file with timm's names.

    Attributes
    ----------
    file
        Path on this computer; with ``repo`` the plain name of a file in it.
    repo, commit, size, sha256
        Where the Hub has it, as `napari_flomo.models.PinnedFile` takes them. Of a file on this
        computer only ``sha256`` is read, if given.
    """

    file: str
    repo: str | None = None
    commit: str | None = None
    size: int | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class Optimiser:
    """Nadam in Keras' form (momentum schedule included) with decoupled weight decay.

    Attributes
    ----------
    learning_rate, weight_decay
        Of Nadam.
    clip
        Largest norm of all gradients together.
    schedule
        ``"cosine"``: linear warm-up, then a half cosine to zero at the last step. ``"plateau"``:
        multiply by ``plateau_factor`` after ``plateau_patience`` epochs without a lower training
        loss (not the held-out loss: nothing is tuned on the fold that is reported).
    warm_up
        Epochs of warm-up.
    stop_patience
        End the run after so many epochs without a lower training loss; None never does.
    """

    learning_rate: float
    weight_decay: float
    clip: float
    schedule: Literal["cosine", "plateau"]
    warm_up: float = 0.0
    plateau_factor: float = 0.1
    plateau_patience: int = 10
    stop_patience: int | None = None


@dataclass(frozen=True)
class Hardware:
    """What a run computes on, as Lightning's Trainer takes it; the command line can say otherwise.

    Attributes
    ----------
    accelerator, devices, num_nodes, strategy
        For example ``"gpu"``, 4, 2 and ``"ddp"``. Every process takes batches of its own, so a step
        sees ``batch_size * devices * num_nodes * accumulate`` slices.
    """

    accelerator: str = "auto"
    devices: int = 1
    num_nodes: int = 1
    strategy: str = "auto"


@dataclass(frozen=True)
class Recipe:
    """A whole training run.

    Attributes
    ----------
    flavour
        ``"paper"`` for the published configuration, ``"best"`` for our own.
    seed
        Of weights, order and augmentation.
    epochs, batch_size, workers
        Passes over the slices, slices per step, processes that prepare them.
    precision
        ``"32"``, ``"bf16"`` (mixed), or ``"auto"``, see `choose_precision`.
    model
        The model card, without what only training can tell (metrics, hash, date).
    start_from
        Model whose weights the run starts from: a name on the shelf or a folder; ``{fold}`` in it
        stands for the fold that is held out. None starts from random weights.
    average
        Share that the running mean of the weights keeps at each step (an exponential moving
        average); the mean is what is exported. None exports the last weights themselves.
    accumulate
        Batches whose gradients are added up for one step.
    hardware
        What the run computes on.
    encoder
        Weights that the network's encoder starts from. None starts from random weights.
    distillation
        Teachers to learn from; None learns from the labels alone.
    """

    flavour: Literal["paper", "best"]
    seed: int
    epochs: int
    batch_size: int
    workers: int
    precision: Precision
    data: Data
    crops: Crops
    augmentation: Augmentation
    loss: LossWeights
    optimiser: Optimiser
    model: ModelCard
    start_from: str | None = None
    average: float | None = None
    accumulate: int = 1
    hardware: Hardware = field(default_factory=Hardware)
    encoder: EncoderWeights | None = None
    distillation: Distillation | None = None

    @property
    def parent(self) -> str | None:
        """The model that the run starts from, for its fold."""
        return self.start_from and self._for_fold(self.start_from)

    @property
    def teachers(self) -> tuple[str, ...]:
        """The models that the run learns from, for its fold."""
        names = () if self.distillation is None else self.distillation.teachers
        return tuple(self._for_fold(name) for name in names)

    def _for_fold(self, name: str) -> str:
        return name.replace("{fold}", self.data.fold_name)


def read_recipe(path: str | os.PathLike[str]) -> Recipe:
    """Read and check a recipe.

    Parameters
    ----------
    path
        A file, or the name of a recipe that comes with the package.

    Raises
    ------
    FlomoError
        If the file is missing or no YAML, or a key is unknown, missing or wrong; the message names
        the key.
    """
    path = locate_recipe(path)
    try:
        content = yaml.safe_load(read_text(path))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise FlomoError(f"The recipe {path} cannot be read ({reason}); mend it.") from error
    return parse_recipe(content, path)


def locate_recipe(recipe: str | os.PathLike[str]) -> Path:
    """Return the file of a recipe that is given as a path, or by a name of `recipe_names`.

    Raises
    ------
    FlomoError
        If there is neither such a file nor such a recipe.
    """
    path = Path(recipe)
    if path.is_file():
        return path
    if str(recipe) in recipe_names():
        return RECIPES / f"{recipe}.yaml"
    raise FlomoError(
        f"There is no recipe {recipe}; give a file, or one of {', '.join(recipe_names())}."
    )


def recipe_names() -> list[str]:
    """Return the names of the recipes that come with the package."""
    return sorted(path.stem for path in RECIPES.glob("*.yaml"))


def parse_recipe(content: Any, path: Path) -> Recipe:
    """Check the content of a recipe; ``path`` is named in messages."""
    try:
        recipe = decode(Recipe, content)
        check_recipe(recipe)
    except SchemaFault as fault:
        raise FlomoError(f"The recipe {path} is not valid: {fault}; mend that key.") from fault
    return recipe
