"""Augmentation of training slices with MONAI transforms and a few additional ones."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from monai import transforms as mt
from skimage.exposure import equalize_adapthist
from torch import Tensor

from flomo_training.recipe import Augmentation


def compose(a: Augmentation) -> mt.Compose:
    """Return the transforms of an augmentation recipe.

    They take a mapping of ``image`` ``(C, H, W)``, values in 0..1, and ``classes`` ``(1, H, W)``.
    Transforms with probability 0 are left out and draw no random numbers.
    """
    both = ("image", "classes")
    interpolation = ("bilinear", "nearest")
    candidates: list[tuple[float, Callable[..., Any]]] = [
        (max(a.reverse, a.alone), RandNeighboursd("image", a.reverse, a.alone)),
        (a.flip, mt.RandFlipd(both, prob=a.flip, spatial_axis=0)),
        (a.flip, mt.RandFlipd(both, prob=a.flip, spatial_axis=1)),
        (a.turn, mt.RandRotate90d(both, prob=a.turn, max_k=3)),
        (
            a.affine,
            mt.RandAffined(
                both,
                prob=a.affine,
                rotate_range=float(np.deg2rad(a.rotation)),
                scale_range=(a.scale, a.scale),
                mode=interpolation,
                padding_mode="zeros",
            ),
        ),
        (
            a.elastic,
            mt.Rand2DElasticd(
                both,
                spacing=(a.elastic_spacing, a.elastic_spacing),
                magnitude_range=(0.0, a.elastic_magnitude),
                prob=a.elastic,
                mode=interpolation,
                padding_mode="zeros",
            ),
        ),
        (a.clahe, RandCLAHEd("image", a.clahe, a.clahe_clip)),
        (a.shadow, RandShadowd("image", a.shadow, a.shadow_depth)),
        (
            a.bias,
            mt.RandBiasFieldd(
                "image", prob=a.bias, coeff_range=(-a.bias_strength, a.bias_strength)
            ),
        ),
        (
            a.resolution,
            mt.RandSimulateLowResolutiond(
                "image",
                prob=a.resolution,
                zoom_range=(a.resolution_factor, 1.0),
                downsample_mode="area",
                upsample_mode="bilinear",
            ),
        ),
        (a.ghost, RandGhostd("image", a.ghost, a.ghost_strength)),
        (
            a.gamma,
            mt.RandAdjustContrastd(
                "image", prob=a.gamma, gamma=(a.gamma_range[0], a.gamma_range[1])
            ),
        ),
        (
            a.contrast,
            mt.RandScaleIntensityd("image", factors=a.contrast_factor, prob=a.contrast),
        ),
        (
            a.brightness,
            mt.RandShiftIntensityd("image", offsets=a.brightness_shift, prob=a.brightness),
        ),
        (
            a.blur,
            mt.RandGaussianSmoothd(
                "image", prob=a.blur, sigma_x=(0.1, a.blur_sigma), sigma_y=(0.1, a.blur_sigma)
            ),
        ),
        (a.noise, mt.RandGaussianNoised("image", prob=a.noise, std=a.noise_std)),
    ]
    return mt.Compose([transform for probability, transform in candidates if probability > 0])


class RandNeighboursd(mt.Randomizable, mt.MapTransform):
    """Reverse the order of neighbouring slices ``(C, H, W)``, or set all but the central one to 0.

    ``reverse`` and ``alone`` are the two probabilities.
    """

    def __init__(self, keys: Hashable, reverse: float, alone: float) -> None:
        mt.MapTransform.__init__(self, keys)
        self.reverse = reverse
        self.alone = alone

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the transformed mapping."""
        result = dict(data)
        reverse, alone = self.R.uniform(size=2) < (self.reverse, self.alone)
        for key in self.key_iterator(result):
            slices = torch.as_tensor(result[key])
            if alone:
                middle = torch.arange(len(slices)) == len(slices) // 2
                slices = slices * middle[:, None, None]
            result[key] = slices.flip(0) if reverse else slices
        return result


class _RandImaged(mt.RandomizableTransform, mt.MapTransform):
    """A random change of images ``(C, H, W)``; ``strength`` is the largest one."""

    def __init__(self, keys: Hashable, prob: float, strength: float) -> None:
        mt.MapTransform.__init__(self, keys)
        mt.RandomizableTransform.__init__(self, prob)
        self.strength = strength

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the transformed mapping."""
        result = dict(data)
        self.randomize(None)
        if self._do_transform:
            change = self.draw()
            for key in self.key_iterator(result):
                result[key] = change(torch.as_tensor(result[key]))
        return result

    def draw(self) -> Callable[[Tensor], Tensor]:
        """Draw the parameters of a change, and return it."""
        raise NotImplementedError


class RandCLAHEd(_RandImaged):
    """Contrast-limited adaptive histogram equalisation of images in 0..1.

    ``strength`` is the largest clip limit, 0 (none) to 1 (strong contrast). Source: Zuiderveld,
    Graphics Gems IV, 1994; implemented in scikit-image.
    """

    def draw(self) -> Callable[[Tensor], Tensor]:
        """Draw the clip limit."""
        return partial(_equalise, clip=float(self.R.uniform(0.1, 1.0)) * self.strength)


def _equalise(image: Tensor, clip: float) -> Tensor:
    planes = np.clip(np.asarray(image, dtype=np.float64), 0, 1)
    equal = [equalize_adapthist(plane, clip_limit=clip) for plane in planes]
    return torch.as_tensor(np.stack(equal).astype(np.float32))


class RandGhostd(_RandImaged):
    """Periodic ghosting along one axis: every n-th line of k-space is attenuated.

    Motion and flow during the acquisition modulate the lines of k-space along the phase-encoding
    axis, which superimposes shifted copies of the image. Lines near the centre of k-space are kept,
    so that the mean intensity hardly changes. ``strength`` is the largest attenuation, 0 to 1.
    """

    def draw(self) -> Callable[[Tensor], Tensor]:
        """Draw axis, period and attenuation."""
        axis, period = self.R.randint(1, 3), self.R.randint(2, 5)
        loss = self.R.uniform(0.1, 1.0) * self.strength
        return partial(_with_ghosts, axis=axis, period=period, loss=loss)


def _with_ghosts(image: Tensor, axis: int, period: int, loss: float) -> Tensor:
    """Attenuate every ``period``-th line of k-space along an axis of ``(C, H, W)``."""
    length = image.shape[axis]
    frequency = torch.fft.fftfreq(length).abs() * length
    weakened = (torch.arange(length) % period == 0) & (frequency > length / 32)
    lines = torch.where(weakened, 1 - loss, 1.0)
    shape = [1, 1, 1]
    shape[axis] = length
    spectrum = torch.fft.fft(image, dim=axis) * lines.reshape(shape)
    return torch.fft.ifft(spectrum, dim=axis).real.to(image.dtype)


class RandShadowd(_RandImaged):
    """A dark half plane with a soft edge, similar to coil fall-off or an acoustic shadow.

    ``strength`` is the largest relative loss of brightness.
    """

    def draw(self) -> Callable[[Tensor], Tensor]:
        """Draw orientation, position, softness and depth."""
        angle, offset, softness, depth = self.R.uniform(
            (0.0, -0.7, 0.05, 0.0), (2 * np.pi, 0.7, 0.3, self.strength)
        )
        return lambda image: image * _shadow(image, angle, offset, softness, depth)


def _shadow(image: Tensor, angle: float, offset: float, softness: float, depth: float) -> Tensor:
    """Return the factor ``(H, W)`` of a shadow; lengths are in units of half an image side."""
    rows, columns = (torch.linspace(-1, 1, size) for size in image.shape[-2:])
    distance = np.sin(angle) * rows[:, None] + np.cos(angle) * columns[None, :] - offset
    return 1 - depth * torch.sigmoid(distance / softness)
