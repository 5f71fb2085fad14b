"""The content of a recipe: dataclasses whose fields are the keys of the YAML file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from flomo_training.precision import Precision
from napari_flomo.models import ModelCard


@dataclass(frozen=True)
class Data:
    """The training data.

    Attributes
    ----------
    source
        Folder with ``images/``, ``labels/``, ``cases.csv`` and ``folds.json``, or a packed file.
    fold
        Held-out fold; the network never sees its patients. None trains on all patients, for a
        final model after all choices were made by cross-validation.
    parent_fold
        Fold of this data that the model of ``start_from`` held out. Needed only if the model's
        card does not list its training images.
    """

    source: str
    fold: int | None
    parent_fold: int | None = None

    @property
    def fold_name(self) -> str:
        """Name of the fold in run folders: its number, or ``none``."""
        return "none" if self.fold is None else str(self.fold)


@dataclass(frozen=True)
class CropStage:
    """Crop size from an epoch on."""

    from_epoch: int
    size: int


@dataclass(frozen=True)
class Crops:
    """Random square crops of preprocessed slices.

    Attributes
    ----------
    stages
        Sizes in pixels; small crops first are cheap, large ones last match inference.
    jitter
        Largest shift from the centroid of the labelled structures, in pixels per axis.
    anywhere
        Fraction of crops at a random position of the slice instead.
    inside
        Whether crops are shifted to be inside the slice; along an axis on which the crop is larger,
        the slice is centred. For photos, where inference has no padding.
    """

    stages: tuple[CropStage, ...]
    jitter: int
    anywhere: float
    inside: bool = False

    def size(self, epoch: int) -> int:
        """Return the size in an epoch."""
        return [stage.size for stage in self.stages if stage.from_epoch <= epoch][-1]


@dataclass(frozen=True)
class Augmentation:
    """Random transforms of a slice; ranges ``(low, high)`` are sampled uniformly.

    Attributes
    ----------
    flip
        Probability of a flip, for each axis.
    affine, rotation, scale
        Probability of a rotation (at most ``rotation`` degrees) with scaling (by ``1 +- scale``).
    gamma, gamma_range
        Probability and exponents of a contrast change.
    brightness, brightness_shift
        Probability and largest shift of all values (in 0..1).
    contrast, contrast_factor
        Probability and largest relative change of all values.
    noise, noise_std
        Probability and standard deviation of added Gaussian noise.
    blur, blur_sigma
        Probability and largest width of a Gaussian blur, in pixels.
    elastic, elastic_spacing, elastic_magnitude
        Probability of an elastic deformation, spacing of its control points and their largest
        shift, in pixels.
    clahe, clahe_clip
        Probability and largest clip limit (0..1) of an adaptive histogram equalisation.
    shadow, shadow_depth
        Probability of a soft shadow and its largest relative loss of brightness.
    turn
        Probability of a rotation by 90, 180 or 270 degrees.
    bias, bias_strength
        Probability of a smooth multiplicative bias field, as of a receive coil, and the largest
        coefficient of its polynomial.
    resolution, resolution_factor
        Probability of a lower in-plane resolution, and the smallest fraction of pixels per axis.
    ghost, ghost_strength
        Probability of periodic ghosting along one axis, as caused by motion or flow, and the
        largest attenuation of every n-th k-space line.
    reverse, alone
        Probabilities of reversing the order of neighbouring slices, as in a stack stored in reverse
        order, and of removing the neighbours, as in a single slice.
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
    """Kind of loss and the weights of its terms.

    Attributes
    ----------
    dice, cross_entropy, focal_tversky
        Weights of the terms. ``"mixing"`` uses the first two, ``"multi_task"`` none of them.
    false_negative, false_positive, gamma
        Focal Tversky: weights of the two kinds of error, and the exponent of ``1 - index``.
    deep_supervision
        Weight of the finest intermediate stage; each coarser one has half the weight.
    kind
        ``"overlap"``: these terms over the output and its intermediate stages. ``"multi_task"``
        (MADGNet): regions, distances and boundaries at every stage. ``"mixing"`` (FIAS): the terms
        over all mixtures of the stages.
    region, distance, boundary
        Weights of the terms of ``"multi_task"``.
    weighted_entropy
        Whether ``"multi_task"`` also weights the cross-entropy near edges, as the published code
        intends but does not do.
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
    """Knowledge distillation from the mean probabilities of teachers.

    Attributes
    ----------
    teachers
        Names or folders of models with the same labels and preprocessing; ``{fold}`` is replaced
        by the held-out fold. They see the augmented crops of the student.
    share
        Weight of the loss against the teachers; the loss against the labels has ``1 - share``.

    References
    ----------
    Hinton et al., "Distilling the knowledge in a neural network", 2015, arXiv 1503.02531.
    """

    teachers: tuple[str, ...]
    share: float = 0.5


@dataclass(frozen=True)
class EncoderWeights:
    """Pretrained encoder weights, in a safetensors file with timm's names.

    Attributes
    ----------
    file
        Local path; with ``repo`` the name of a file in it.
    repo, commit, size, sha256
        Location on the Hub, as for `napari_flomo.models.PinnedFile`. For a local file only
        ``sha256`` is used, if given.
    """

    file: str
    repo: str | None = None
    commit: str | None = None
    size: int | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class Optimiser:
    """Nadam as in Keras (including the momentum schedule) with decoupled weight decay.

    Attributes
    ----------
    learning_rate, weight_decay
        Of Nadam.
    clip
        Largest total norm of all gradients.
    schedule
        ``"cosine"``: linear warm-up, then half a cosine to zero at the last step. ``"plateau"``:
        multiply by ``plateau_factor`` after ``plateau_patience`` epochs without a lower training
        loss (not validation loss: nothing is tuned on the reported fold).
    warm_up
        Epochs of warm-up.
    stop_patience
        Stop after this number of epochs without a lower training loss; None disables it.
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
    """Hardware options of Lightning's Trainer; the command line can override them.

    Attributes
    ----------
    accelerator, devices, num_nodes, strategy
        For example ``"gpu"``, 4, 2 and ``"ddp"``. The effective batch has
        ``batch_size * devices * num_nodes * accumulate`` slices.
    """

    accelerator: str = "auto"
    devices: int = 1
    num_nodes: int = 1
    strategy: str = "auto"


@dataclass(frozen=True)
class Recipe:
    """All parameters of a training run.

    Attributes
    ----------
    flavour
        ``"paper"`` for the published configuration, ``"best"`` for our own.
    seed
        Of weights, order and augmentation.
    epochs, batch_size, workers
        Passes over the slices, slices per batch, and data loader processes.
    precision
        ``"32"``, ``"bf16"`` (mixed), or ``"auto"``, see `choose_precision`.
    model
        The model card, without the fields that training fills in (metrics, hash, date).
    start_from
        Name or folder of the model whose weights the run starts from; ``{fold}`` is replaced by
        the held-out fold. None starts from random weights.
    average
        Decay of the exponential moving average of the weights, which is exported. None exports the
        last weights.
    accumulate
        Batches per optimiser step (gradient accumulation).
    hardware
        Hardware options.
    encoder
        Pretrained encoder weights. None starts from random weights.
    distillation
        Teachers for distillation; None uses the labels only.
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
        """The start model for the fold of the run."""
        return self.start_from and self._for_fold(self.start_from)

    @property
    def teachers(self) -> tuple[str, ...]:
        """The teachers for the fold of the run."""
        names = () if self.distillation is None else self.distillation.teachers
        return tuple(self._for_fold(name) for name in names)

    def _for_fold(self, name: str) -> str:
        return name.replace("{fold}", self.data.fold_name)
