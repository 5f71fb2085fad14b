"""Statistics of an image as a network sees it, and the signatures made of them.

They tell images of different contrast, scanner or reconstruction apart: grey values near the heart,
the power spectrum (which shows how an image was interpolated), and how strong and how rare details
of several sizes are. The network is not needed.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_flomo.errors import FlomoError
from napari_flomo.models import ModelCard, Signature
from napari_flomo.segmentation.inputs import check_input, with_channels
from napari_flomo.segmentation.orientation import Reorientation
from napari_flomo.segmentation.preprocessing import intensity_window, make_plan, network_input
from napari_flomo.volumes import Volume

SIGNATURE_KIND = "statistics 1"
"""Identifies the statistics; changes with them."""

MIDDLE_SLICES = 5
SIDE = 128
"""Side in pixels of the central square that is analysed."""

NEAR, WIDE = 27, 40
"""Radii in pixels of the central discs."""

WINDOW = 96
"""Side in pixels of the part whose spectrum is analysed."""

RINGS = (0.02, 0.05, 0.08, 0.11, 0.15, 0.19, 0.24, 0.29, 0.34, 0.40, 0.46, 0.50)
"""Limits of the rings of the power spectrum, in cycles per pixel."""

SCALES = (1, 2, 4, 8)
"""Sigmas in pixels of the Gaussians between which details are analysed."""

PRIOR_PATIENTS = 2
"""Patients that the covariance of the parent counts for."""

SHRINKAGE = 0.2
"""Part of the correlations that is taken away."""

LIMIT = 1.4
"""Distance from which an image is a stranger, see ``docs/benchmarks/routing.md``."""

_SMALL = 1e-6


def image_signature(volume: Volume, card: ModelCard) -> NDArray[np.float64]:
    """Return the statistics of an image as a network sees it, for comparison with `Signature`.

    Parameters
    ----------
    volume
        The image; of a cine the first frame is used.
    card
        Determines the preprocessing.

    Returns
    -------
    ndarray
        The statistics, those that `SIGNATURE_KIND` stands for.

    Raises
    ------
    FlomoError
        If the image does not suit the model.
    """
    check_input(volume, card)
    seen = Reorientation.of(volume.geometry).volume(volume)
    pixels = with_channels(seen.frame(0), card)
    steps = card.preprocessing
    plan = make_plan(seen.spatial_shape[1:], seen.in_plane_spacing, steps)
    window = intensity_window(pixels, steps.intensity)
    count = min(MIDDLE_SLICES, len(pixels))
    first = (len(pixels) - count) // 2
    images = network_input(pixels, range(first, first + count), window, plan, 0)
    return statistics(images.mean(1))


def statistics(images: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the statistics of slices ``(slices, rows, columns)`` on the network's grid, 0 to 1."""
    square = _central(images.astype(np.float64), SIDE)
    offset = np.arange(SIDE) - (SIDE - 1) / 2
    radius = np.hypot(offset[:, None], offset)
    near, wide = square[:, radius <= NEAR], square[:, radius <= WIDE]
    around = square[:, (radius > WIDE) & (radius <= SIDE / 2)]
    values = [
        *np.percentile(near, (10, 25, 50, 75, 90)),
        *np.percentile(around, (10, 50, 90)),
        wide.mean(),
        wide.std(),
        *_shape(wide),
        np.sqrt((wide <= 0.001).mean()),
        _entropy(wide),
        *_spectrum(_central(square, WINDOW)),
        *_details(square, radius <= WIDE, wide.std()),
    ]
    return np.array(values, np.float64)


def fit_signature(
    vectors: Sequence[NDArray[np.float64]],
    patients: Sequence[Hashable] | None = None,
    *,
    parent: Signature | None = None,
    title: str = "",
) -> Signature:
    """Return the signature of some images.

    Parameters
    ----------
    vectors
        Their statistics, of `image_signature`.
    patients
        The patient of each image; by default each image is of another patient.
    parent
        Signature of the model that was tuned. Of few patients the covariance is uncertain, so
        it is drawn towards that of this one.
    title
        What the images are, for display; empty if unknown.

    Raises
    ------
    FlomoError
        If there are no images, or those of one patient and no ``parent``.
    """
    names = list(range(len(vectors)) if patients is None else patients)
    data = np.array([np.asarray(vector, np.float64) for vector in vectors])
    groups = [data[[name == one for name in names]] for one in dict.fromkeys(names)]
    count = len(groups)
    if parent is not None and parent.kind != SIGNATURE_KIND:
        parent = None
    if not count or (count < 2 and parent is None):
        raise FlomoError("Images of at least two patients are needed to tell them from others.")
    centre = np.mean([group.mean(0) for group in groups], 0)
    # Each patient counts once.
    deviations = [(group - centre) / len(group) ** 0.5 for group in groups]
    scatter = _damped(sum(one.T @ one for one in deviations))
    weight = 0 if parent is None else PRIOR_PATIENTS
    prior = 0 if parent is None else np.array(parent.covariance)
    covariance = (scatter + weight * prior) / (count - 1 + weight)
    covariance += _SMALL * np.eye(len(centre))
    rows = tuple(tuple(row) for row in _rounded(covariance))
    return Signature(SIGNATURE_KIND, tuple(_rounded(centre)), rows, LIMIT, count, title)


def _damped(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shrink correlations, which few patients overestimate."""
    return (1 - SHRINKAGE) * covariance + SHRINKAGE * np.diag(np.diag(covariance))


def _rounded(values: NDArray[np.float64]) -> list[Any]:
    """Return numbers as short as the card should be: with six digits."""
    return np.vectorize(lambda value: float(f"{value:.6g}"))(values).tolist()


def _central(images: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """Crop or pad slices to a central square."""
    result = np.zeros((len(images), side, side))
    (top, height, low), (left, width, first) = (
        (max(0, (length - side) // 2), min(length, side), max(0, (side - length) // 2))
        for length in images.shape[1:]
    )
    part = images[:, top : top + height, left : left + width]
    result[:, low : low + height, first : first + width] = part
    return result


def _shape(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the skewness and the logarithm of the kurtosis."""
    deviations = (values - values.mean()) / (values.std() + _SMALL)
    return float((deviations**3).mean()), float(np.log((deviations**4).mean() + _SMALL))


def _entropy(values: NDArray[np.float64]) -> float:
    counts, _ = np.histogram(values, 32, (0, 1))
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum())


def _spectrum(square: NDArray[np.float64]) -> list[float]:
    """Return how steeply the power spectrum falls from each ring to the next."""
    taper = np.outer(np.hanning(WINDOW), np.hanning(WINDOW))
    mean = (square * taper).sum((1, 2), keepdims=True) / taper.sum()
    power = (np.abs(np.fft.fft2((square - mean) * taper)) ** 2).mean(0)
    frequency = np.hypot(np.fft.fftfreq(WINDOW)[:, None], np.fft.fftfreq(WINDOW))
    total = power[frequency >= RINGS[0]].sum() + _SMALL
    rings = np.digitize(frequency, RINGS)
    levels = [np.log(power[rings == ring].mean() / total + 1e-9) for ring in range(1, len(RINGS))]
    return np.diff(levels).tolist()


def _details(square: NDArray[np.float64], disc: NDArray[np.bool_], contrast: float) -> list[float]:
    """Return strength, kurtosis and skewness of the details between the scales."""
    rows, columns = np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)
    spectrum = np.fft.rfft2(square)
    found: list[float] = []
    finer = square
    for scale in SCALES:
        gauss = np.exp(-2 * (np.pi * scale) ** 2 * (rows**2 + columns**2))
        coarser = np.fft.irfft2(spectrum * gauss, s=(SIDE, SIDE))
        details = (finer - coarser)[:, disc]
        skewness, kurtosis = _shape(details)
        found += [np.log((details.std() + _SMALL) / (contrast + _SMALL)), kurtosis, skewness]
        finer = coarser
    return found
