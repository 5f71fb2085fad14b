"""Test-time augmentation (TTA) with fixed views.

The mean over mirrored views is a better prediction than a single one; the disagreement of eight
views is a measure of uncertainty (Wang et al., Neurocomputing 338, 2019). The views are fixed, so
results are reproducible.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from napari_flomo.segmentation.resampling import Floats
from napari_flomo.segmentation.scores import predictive_entropy

_ROWS, _COLUMNS = -2, -1


@dataclass(frozen=True)
class View:
    """A transform of a slice that can be undone on the prediction.

    ``flipped`` are the mirrored axes (-2 rows, -1 columns); ``degrees`` rotates about the centre,
    with 0 for pixels from outside; ``gamma`` is the exponent of the intensities.
    """

    flipped: tuple[int, ...] = ()
    degrees: float = 0.0
    gamma: float = 1.0

    def of(self, images: Floats) -> Floats:
        """Return images ``(slices, channels, rows, columns)`` in this view."""
        if self.gamma != 1:
            images = images.clip(0, 1) ** np.float32(self.gamma)
        images = np.flip(images, self.flipped)
        return _rotate(images, self.degrees, "constant") if self.degrees else images

    def back(self, probabilities: Floats) -> tuple[Floats, Floats | None]:
        """Transform the prediction of the view back to the slice.

        Takes ``(slices, classes, rows, columns)`` and returns the same shape, and a mask ``(1, 1,
        rows, columns)``, 1 where the view contains the pixel, else 0; None if it contains all.
        """
        seen = None
        if self.degrees:
            everywhere = np.ones((1, 1, *probabilities.shape[-2:]), np.float32)
            # Rotated twice, because pixels at the edge of a view are partly from outside the slice.
            there = _rotate(everywhere, self.degrees, "constant")
            seen = (_rotate(there, -self.degrees, "constant") > 0.999).astype(np.float32)
            seen = np.flip(seen, self.flipped)
            probabilities = _rotate(probabilities, -self.degrees, "edge")
        return np.flip(probabilities, self.flipped), seen


MIRRORED = (
    View(),
    View(flipped=(_COLUMNS,)),
    View(flipped=(_ROWS,)),
    View(flipped=(_ROWS, _COLUMNS)),
)
"""The slice and its mirror images, without interpolation."""

VIEWS = (*MIRRORED, View(degrees=10), View(degrees=-10), View(gamma=0.8), View(gamma=1.25))
"""The views for uncertainty, the plain one first."""


class PassStatistics:
    """Statistics of predictions over several passes, accumulated one by one.

    The passes differ by the view of the slice, or by the random samples of the network.
    """

    def __init__(self, activation: Literal["softmax", "sigmoid"]) -> None:
        self._activation = activation
        self._sums: tuple[Floats, Floats, Floats, Floats] | None = None

    def add(self, probabilities: Floats, seen: Floats | None = None) -> None:
        """Add the prediction of a pass; of a view, as `View.back` returns it."""
        entropy = predictive_entropy(probabilities, self._activation)[:, None]
        weight = np.ones((1, 1, 1, 1), np.float32) if seen is None else seen
        terms = (weight, weight * probabilities, weight * probabilities**2, weight * entropy)
        self._sums = (
            terms
            if self._sums is None
            else tuple(old + new for old, new in zip(self._sums, terms, strict=True))  # type: ignore[assignment]
        )

    def maps(self) -> dict[str, Floats]:
        """Return ``entropy`` of the mean, ``mutual_information`` and ``variance``, each 0 to 1.

        Each is ``(slices, 1, rows, columns)``. The largest variance of probabilities that sum to 1,
        over all classes together, is 1 - 1 / classes; that of a binary decision is 1/4.
        """
        assert self._sums is not None, "no pass was added"
        count, total, squares, entropies = self._sums
        mean = total / count
        scatter = squares / count - mean**2
        classes = mean.shape[1]
        if self._activation == "softmax":
            variance = scatter.sum(1, keepdims=True) / np.float32(1 - 1 / classes)
        else:
            variance = scatter.mean(1, keepdims=True) * np.float32(4)
        entropy = predictive_entropy(mean, self._activation)[:, None]
        return {
            "entropy": entropy,
            "mutual_information": (entropy - entropies / count).clip(0, 1),
            "variance": variance.clip(0, 1),
        }


def _rotate(images: Floats, degrees: float, beyond: str) -> Floats:
    """Rotate images about their centre with bilinear interpolation; pixels are square.

    ``beyond`` is what pixels from outside are: 0 (``"constant"``) or those of the ``"edge"``.
    """
    from skimage.transform import rotate

    result = np.empty(images.shape, np.float32)
    for index in np.ndindex(images.shape[:2]):
        result[index] = rotate(images[index], degrees, order=1, mode=beyond, preserve_range=True)
    return result
