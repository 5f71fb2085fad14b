"""Training samples of fine-tuning: corrections, and replay data against forgetting."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from torch import Tensor
from torch.utils.data import Sampler

from flomo_training.cases import PreparedVolume, list_cases, prepare_case
from flomo_training.finetuning.dataset import CorrectionSet
from flomo_training.finetuning.settings import Settings
from flomo_training.leaks import fingerprint
from flomo_training.pack import read_by_fingerprint
from flomo_training.recipe import Augmentation, Crops
from flomo_training.slices import SampleKey, SliceDataset
from napari_flomo.errors import FlomoError
from napari_flomo.models import ModelCard

LABELLED, UNSEEN = 1, 0


@dataclass(frozen=True, eq=False)
class Samples:
    """Slices for training.

    Attributes
    ----------
    volumes
        Corrections first, then others: data of the base task, or unreviewed slices.
    named, labelled
        For each volume, which labels of the card it has, and whether it is labelled at all.
    corrections
        Number of corrected slices; they come first.
    others_per_batch
        Number of other slices in a batch.
    """

    volumes: tuple[PreparedVolume, ...]
    named: tuple[tuple[bool, ...], ...]
    labelled: tuple[bool, ...]
    corrections: int
    others_per_batch: int


def plan_samples(
    training: CorrectionSet, replayed: Sequence[PreparedVolume], card: ModelCard, settings: Settings
) -> Samples:
    """Combine corrections and other slices; the settings define the composition of a batch.

    Without ``replayed`` data of the base task, unreviewed slices of the corrected images are used
    for distillation.
    """
    everything = (True,) * len(card.labels)
    volumes = [frame.volume for frame in training.frames]
    named = [frame.named for frame in training.frames]
    others: list[PreparedVolume] = list(replayed)
    share = settings.replay
    if not replayed:
        share = settings.distillation.unseen if settings.distillation.weight else 0.0
        others = [
            replace(
                frame.volume,
                images=frame.unseen,
                classes=np.zeros((len(frame.unseen), *frame.unseen.shape[-2:]), np.uint8),
            )
            for frame in training.frames
            if len(frame.unseen) and share
        ]
    return Samples(
        volumes=(*volumes, *others),
        named=(*named, *(everything for _ in others)),
        labelled=(*(True for _ in volumes), *(bool(replayed) for _ in others)),
        corrections=training.slices,
        others_per_batch=settings.others_per_batch(share) if others else 0,
    )


class SampleDataset(SliceDataset):
    """Crops of samples.

    Items are those of `SliceDataset`, with ``named`` (bool for each channel of the network) and
    ``labelled`` (bool).
    """

    def __init__(
        self,
        samples: Samples,
        card: ModelCard,
        crops: Crops,
        augmentation: Augmentation,
        seed: int,
    ) -> None:
        super().__init__(samples.volumes, crops, augmentation, seed)
        self.samples = samples
        self.first = len(card.labels) - card.num_classes  # with sigmoid the background has none

    def __getitem__(self, key: SampleKey) -> dict[str, Tensor]:
        """Return the crop of a key."""
        item = super().__getitem__(key)
        number, _ = self.index[key[1]]
        named = np.array(self.samples.named[number][self.first :])
        return item | {
            "named": item["classes"].new_tensor(named).bool(),
            "labelled": item["classes"].new_tensor(self.samples.labelled[number]).bool(),
        }


class ReplaySampler(Sampler[SampleKey]):
    """Samples batches of corrections and other slices, reproducibly for resumed runs.

    All corrections are sampled equally often. All keys of a run differ, so that repeated slices are
    augmented differently. ``batch_size`` and ``steps`` are those of an epoch.
    """

    def __init__(self, samples: Samples, batch_size: int, steps: int, seed: int) -> None:
        self.corrections = samples.corrections
        total = sum(len(volume.images) for volume in samples.volumes)
        self.others = total - samples.corrections
        self.others_per_batch = samples.others_per_batch
        self.batch_size, self.steps, self.seed = batch_size, steps, seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the next keys; called by Lightning."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[SampleKey]:
        rng = np.random.default_rng((self.seed, self.epoch))
        corrections = _balanced_indices(
            rng, self.corrections, self.steps * (self.batch_size - self.others_per_batch)
        )
        others = (
            _balanced_indices(rng, self.others, self.steps * self.others_per_batch)
            + self.corrections
        )
        batches = np.concatenate(
            (corrections.reshape(self.steps, -1), others.reshape(self.steps, -1)), axis=1
        )
        begin = self.epoch * batches.size
        return iter([(begin + n, int(index)) for n, index in enumerate(batches.ravel())])

    def __len__(self) -> int:
        return self.steps * self.batch_size


def read_replay(
    source: Path, card: ModelCard, corrected: CorrectionSet, settings: Settings
) -> list[PreparedVolume]:
    """Read a part of the data that the parent was trained on.

    Other images might be used for evaluation and are excluded, as are corrected images.

    Parameters
    ----------
    source
        Data folder, or a packed file of it.
    card
        Of the parent.
    corrected
        All corrections, including held-out ones.
    settings
        Define the number of volumes.

    Raises
    ------
    FlomoError
        If the parent's card does not list its training images, none of them is in the data, or the
        data is incomplete.
    """
    if card.trained_on is None:
        raise FlomoError(
            f"The card of {card.name} does not list its training images, so evaluation images "
            "could be used for training; train without replay."
        )
    known = set(card.trained_on)
    rng = np.random.default_rng(settings.seed)
    if source.is_file():
        found = read_by_fingerprint(source, card, known)
        volumes = [found[i] for i in rng.permutation(len(found))[: settings.replay_cases]]
    else:
        cases = [c for c in list_cases(source, 0, "all") if fingerprint(c.image) in known]
        chosen = rng.permutation(len(cases))[: settings.replay_cases]
        volumes = [prepare_case(cases[index], card) for index in chosen]
    taken = {
        key
        for frame in corrected.frames
        for key in _slice_hashes(frame.volume.images, frame.unseen)
    }
    kept = [volume for volume in volumes if not taken & set(_slice_hashes(volume.images))]
    if not kept:
        raise FlomoError(
            f"{source} contains no image that {card.name} was trained on; give the data of the "
            "base task, or train without replay."
        )
    return kept


def _balanced_indices(rng: np.random.Generator, count: int, length: int) -> np.ndarray:
    """Return ``length`` random indices below ``count``, each occurring about equally often."""
    if not length:
        return np.zeros(0, int)
    rounds = [rng.permutation(count) for _ in range(-(-length // count))]
    return np.concatenate(rounds)[:length]


def _slice_hashes(*slices: np.ndarray) -> Iterator[str]:
    """Yield a hash of every slice that is not empty."""
    for stack in slices:
        for pixels in stack:
            if pixels.any():
                yield hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()
