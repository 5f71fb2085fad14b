"""Dataset of cropped and augmented slices, and its reproducible sampler."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import monai
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from flomo_training.augmentation import compose
from flomo_training.cases import PreparedVolume
from flomo_training.recipe import Augmentation, Crops
from flomo_training.targets import TargetMaker

SampleKey = tuple[int, int]
"""Epoch and index of a slice; with the seed they determine its random crop and augmentation."""


class EpochSampler(Sampler[SampleKey]):
    """Samples every slice once per epoch in an order that depends only on seed and epoch.

    A resumed run therefore sees the same samples, with any number of workers. Lightning calls
    `set_epoch`. In distributed training each process gets an equal share of the same order.
    """

    def __init__(self, length: int, seed: int) -> None:
        self.length = length
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the next order."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[SampleKey]:
        order = np.random.default_rng((self.seed, self.epoch)).permutation(self.length)
        rank, world = _rank_and_world_size()
        mine = order[: len(self) * world][rank::world]
        return iter([(self.epoch, int(index)) for index in mine])

    def __len__(self) -> int:
        return self.length // _rank_and_world_size()[1]


def _rank_and_world_size() -> tuple[int, int]:
    """Return the rank and the number of processes in distributed training."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1


class SliceDataset(Dataset[dict[str, Tensor]]):
    """Crops of preprocessed volumes; an item has ``image`` (C, S, S) and ``classes`` (S, S).

    ``targets`` computes further entries of an item from its classes; see `flomo_training.targets`.
    """

    def __init__(
        self,
        volumes: Sequence[PreparedVolume],
        crops: Crops,
        augmentation: Augmentation,
        seed: int,
        targets: TargetMaker | None = None,
    ) -> None:
        self.volumes = volumes
        self.targets = targets
        self.index = [(v, s) for v, volume in enumerate(volumes) for s in range(len(volume.images))]
        self.crops = crops
        self.seed = seed
        monai.data.set_track_meta(False)
        self.augment = compose(augmentation)

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, key: SampleKey) -> dict[str, Tensor]:
        epoch, index = key
        number, position = self.index[index]
        volume = self.volumes[number]
        rng = np.random.default_rng((self.seed, epoch, index))
        corner, size = self._crop_position(volume, self.crops.size(epoch), rng)
        image = crop(volume.images[position], corner, size).astype(np.float32) / 255
        classes = crop(volume.classes[position], corner, size)
        self.augment.set_random_state(seed=int(rng.integers(2**31)))
        item = self.augment({"image": image, "classes": classes[None]})
        labels = torch.as_tensor(item["classes"])[0].long()
        return {
            "image": torch.as_tensor(item["image"]).clamp(0, 1),
            "classes": labels,
            **({} if self.targets is None else self.targets(labels.numpy())),
        }

    def _crop_position(
        self, volume: PreparedVolume, size: int, rng: np.random.Generator
    ) -> tuple[tuple[int, int], int]:
        rows, columns = volume.images.shape[-2:]
        if rng.random() < self.crops.anywhere:
            centre = rng.uniform((0, 0), (rows, columns))
        else:
            centre = volume.centre + rng.uniform(-self.crops.jitter, self.crops.jitter, 2)
        corner = np.rint(np.asarray(centre) - size / 2).astype(int)
        if self.crops.inside:
            room = np.array((rows, columns)) - size
            corner = np.where(room > 0, np.clip(corner, 0, np.maximum(room, 0)), room // 2)
        return (int(corner[0]), int(corner[1])), size


def crop(image: np.ndarray, corner: tuple[int, int], size: int) -> np.ndarray:
    """Crop a square from ``(..., rows, columns)``, padded with zeros outside the image."""
    result = np.zeros((*image.shape[:-2], size, size), image.dtype)
    top, left = max(corner[0], 0), max(corner[1], 0)
    part = image[..., top : max(corner[0] + size, 0), left : max(corner[1] + size, 0)]
    row, column = top - corner[0], left - corner[1]
    result[..., row : row + part.shape[-2], column : column + part.shape[-1]] = part
    return result
