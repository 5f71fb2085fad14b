"""Simulated image degradations: noise, motion, resolution and contrast.

Each degradation has two grades. They are reproducible and applied before preprocessing, in units of
the intensity window.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from monai import transforms as mt
from torch import Tensor

from napari_flomo.models import ModelCard
from napari_flomo.segmentation import intensity_window, with_channels
from napari_flomo.volumes import Volume

GRADES = ("mild", "strong")

GHOST_LINES = 3
"""Distance of the k-space lines that motion attenuates."""


def _noise(images: Tensor, strength: float, seed: int) -> Tensor:
    transform = mt.RandGaussianNoise(prob=1, std=strength, sample_std=False)
    return _run(transform, images, seed)


def _blur(images: Tensor, strength: float, _seed: int) -> Tensor:
    return torch.stack(
        [torch.as_tensor(mt.GaussianSmooth(strength)(one[None])[0]) for one in images]
    )


def _bias_field(images: Tensor, strength: float, seed: int) -> Tensor:
    transform = mt.RandBiasField(degree=3, coeff_range=(strength, strength), prob=1)
    return _run(transform, images, seed)


def _contrast(images: Tensor, strength: float, _seed: int) -> Tensor:
    return images.clamp(0, 1) ** strength


def _low_resolution(images: Tensor, strength: float, seed: int) -> Tensor:
    transform = mt.RandSimulateLowResolution(
        prob=1,
        zoom_range=(strength, strength),
        downsample_mode="area",
        upsample_mode="bilinear",
    )
    return _run(transform, images, seed)


def _ghosting(images: Tensor, strength: float, _seed: int) -> Tensor:
    """Attenuate every third line of k-space, which causes ghosts along the rows."""
    spectrum = torch.fft.fft2(images)
    spectrum[:, ::GHOST_LINES] *= 1 - strength
    spectrum[:, 0] /= 1 - strength  # keep the mean
    return torch.fft.ifft2(spectrum).abs()


DEGRADATIONS: dict[str, tuple[Callable[[Tensor, float, int], Tensor], tuple[float, float], str]] = {
    "noise": (_noise, (0.05, 0.15), "Gaussian noise, standard deviation {} of the window"),
    "blur": (_blur, (1.0, 2.5), "Gaussian blur, sigma {} pixels"),
    "bias field": (_bias_field, (0.2, 0.5), "polynomial of degree 3, coefficients {}"),
    "motion ghosting": (_ghosting, (0.3, 0.7), "every third line of k-space attenuated by {}"),
    "contrast": (_contrast, (0.5, 2.5), "intensities to the power {}"),
    "low resolution": (_low_resolution, (0.5, 0.25), "in-plane resolution times {}"),
}
"""Function, strengths of the two grades, and description of each degradation."""


def degrade(volume: Volume, kind: str, grade: str, card: ModelCard, seed: int = 0) -> Volume:
    """Degrade a volume of one frame and one channel slice by slice.

    ``kind`` and ``grade`` are of `DEGRADATIONS` and `GRADES`. The card defines the intensity
    window; the seed determines noise and bias field.
    """
    change, strengths, _ = DEGRADATIONS[kind]
    pixels = with_channels(volume, card).astype(np.float32)
    low, high = intensity_window(pixels, card.preprocessing.intensity)
    width = max(high - low, 1e-6)
    images = torch.from_numpy((pixels - low) / width)
    changed = change(images, strengths[GRADES.index(grade)], seed)
    return replace(volume, data=changed.numpy().astype(np.float32) * width + low)


def describe(kind: str) -> str:
    """Return a description of a degradation with its two strengths."""
    _, strengths, words = DEGRADATIONS[kind]
    return words.format(" and ".join(f"{one:g}" for one in strengths))


def _run(transform: mt.RandomizableTransform, images: Tensor, seed: int) -> Tensor:
    """Apply a MONAI transform with a seed to slices as channels."""
    transform.set_random_state(seed)
    result = transform(images)
    return torch.as_tensor(result).as_subclass(Tensor)
