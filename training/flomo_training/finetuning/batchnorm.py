"""Adaptation of batch norm statistics to new images, which needs no labels.

Another scanner or protocol changes the distribution of activations. With statistics half way
between those of the old and the new images, the network works well on both.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from flomo_training.finetuning.dataset import CorrectedFrame
from flomo_training.slices import crop
from napari_flomo.models import ModelCard

BATCH = 16
MOST_SLICES = 128
"""Largest number of slices; more do not improve the estimate."""


def adapt_statistics(
    network: nn.Module,
    frames: Sequence[CorrectedFrame],
    card: ModelCard,
    share: float,
    seed: int,
) -> None:
    """Move the statistics of all batch norms towards those of new images, in place.

    Parameters
    ----------
    network
        In evaluation mode. Only means and variances of batch norms change.
    frames
        Frames whose slices are used, including unreviewed ones.
    card
        Of the model; defines the field of view.
    share
        Weight of the new statistics: 0 keeps the old ones, 1 replaces them.
    seed
        Of the choice and order of slices.

    Notes
    -----
    Source: Schneider et al., Improving robustness against common corruptions by covariate shift
    adaptation, NeurIPS 2020; Li et al., Revisiting batch normalization for practical domain
    adaptation, 2016.
    """
    norms = [m for m in network.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    batches = _batches(frames, card, seed)
    if not (norms and batches and share):
        return
    before = [(_filled(norm.running_mean), _filled(norm.running_var)) for norm in norms]
    momenta = [norm.momentum for norm in norms]
    device = next(network.parameters()).device
    for norm in norms:
        norm.train()
        norm.reset_running_stats()
        norm.momentum = None  # cumulative mean over all batches
    with torch.no_grad():
        for images in batches:
            seen = images.to(device, torch.float32) / 255
            network(seen.contiguous(memory_format=torch.channels_last))
    for norm, (mean, variance), momentum in zip(norms, before, momenta, strict=True):
        norm.eval()
        norm.momentum = momentum
        norm.running_mean = mean.lerp_(_filled(norm.running_mean), share)
        norm.running_var = variance.lerp_(_filled(norm.running_var), share)


def in_view(images: np.ndarray, card: ModelCard) -> np.ndarray:
    """Return the model's field of view of preprocessed slices ``(..., rows, columns)``."""
    side = card.preprocessing.crop
    if side is None:
        return images
    rows, columns = images.shape[-2:]
    return crop(images, ((rows - side) // 2, (columns - side) // 2), side)


def _batches(frames: Sequence[CorrectedFrame], card: ModelCard, seed: int) -> list[Tensor]:
    """Return shuffled slices of all frames in batches of equal image size."""
    sizes: dict[tuple[int, ...], list[np.ndarray]] = {}
    for frame in frames:
        for part in (frame.volume.images, frame.unseen):
            for image in in_view(part, card):
                sizes.setdefault(image.shape, []).append(image)
    rng = np.random.default_rng(seed)
    batches = []
    for images in sizes.values():
        order = rng.permutation(len(images))[:MOST_SLICES]
        for begin in range(0, len(order), BATCH):
            chosen = np.stack([images[index] for index in order[begin : begin + BATCH]])
            batches.append(torch.from_numpy(chosen))
    whole = [batch for batch in batches if len(batch) == BATCH]
    return whole or batches  # all batches have the same weight, so leave out small ones


def _filled(statistics: Tensor | None) -> Tensor:
    assert statistics is not None, "a norm that keeps statistics has them"
    return statistics.clone()
