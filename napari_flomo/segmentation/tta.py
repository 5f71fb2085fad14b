"""Test-time augmentation (TTA) with fixed views.

The mean over mirrored views is a better prediction than a single one; the disagreement of eight
views is a measure of uncertainty (Wang et al., Neurocomputing 338, 2019). The views are fixed, so
results are reproducible.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from napari_flomo.segmentation.scores import predictive_entropy

if TYPE_CHECKING:
    from torch import Tensor

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

    def of(self, images: Tensor) -> Tensor:
        """Return images ``(slices, channels, rows, columns)`` in this view."""
        if self.gamma != 1:
            images = images.clamp(0, 1) ** self.gamma
        if self.flipped:
            images = images.flip(self.flipped)
        return _rotate(images, self.degrees, "zeros") if self.degrees else images

    def back(self, probabilities: Tensor) -> tuple[Tensor, Tensor | None]:
        """Transform the prediction of the view back to the slice.

        Takes ``(slices, classes, rows, columns)`` and returns the same shape, and a mask ``(1, 1,
        rows, columns)``, 1 where the view contains the pixel, else 0; None if it contains all.
        """
        seen = None
        if self.degrees:
            everywhere = probabilities.new_ones((1, 1, *probabilities.shape[-2:]))
            # Rotated twice, because pixels at the edge of a view are partly from outside the slice.
            seen = _rotate(_rotate(everywhere, self.degrees, "zeros"), -self.degrees, "zeros")
            seen = (seen > 0.999).to(probabilities.dtype)
            probabilities = _rotate(probabilities, -self.degrees, "border")
        return (probabilities.flip(self.flipped) if self.flipped else probabilities), (
            seen.flip(self.flipped) if seen is not None and self.flipped else seen
        )


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
        self._sums: tuple[Tensor, Tensor, Tensor, Tensor] | None = None

    def add(self, probabilities: Tensor, seen: Tensor | None = None) -> None:
        """Add the prediction of a pass; of a view, as `View.back` returns it."""
        entropy = predictive_entropy(probabilities, self._activation)[:, None]
        weight = probabilities.new_ones((1, 1, 1, 1)) if seen is None else seen
        terms = (weight, weight * probabilities, weight * probabilities**2, weight * entropy)
        self._sums = (
            terms
            if self._sums is None
            else tuple(old + new for old, new in zip(self._sums, terms, strict=True))  # type: ignore[assignment]
        )

    def maps(self) -> dict[str, Tensor]:
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
            variance = scatter.sum(1, keepdim=True) / (1 - 1 / classes)
        else:
            variance = scatter.mean(1, keepdim=True) * 4
        entropy = predictive_entropy(mean, self._activation)[:, None]
        return {
            "entropy": entropy,
            "mutual_information": (entropy - entropies / count).clamp(0, 1),
            "variance": variance.clamp(0, 1),
        }


def _rotate(images: Tensor, degrees: float, beyond: str) -> Tensor:
    """Rotate images about their centre with bilinear interpolation; pixels are square."""
    import torch
    import torch.nn.functional as F  # noqa: N812

    rows, columns = images.shape[-2:]
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    # Coordinates run from -1 to 1 along both sides, whatever their lengths.
    matrix = torch.tensor(
        [[cos, -sin * rows / columns, 0.0], [sin * columns / rows, cos, 0.0]],
        dtype=images.dtype,
        device=images.device,
    )
    shape = [len(images), *images.shape[1:]]
    grid = F.affine_grid(matrix.expand(len(images), 2, 3), shape, align_corners=False)
    return F.grid_sample(images, grid, padding_mode=beyond, align_corners=False)
