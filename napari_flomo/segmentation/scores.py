"""Uncertainty scores of slices and of the structures in them.

All are computed from calibrated probabilities on the image's own grid, before the labels are
tidied. Which of them finds errors best is measured in ``docs/benchmarks/uncertainty.md``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_flomo.models.card import ModelCard
from napari_flomo.segmentation.bounding_box import box_of

if TYPE_CHECKING:
    from torch import Tensor

    from napari_flomo.volumes import Geometry

PLAUSIBLE = 0.05
"""A pixel with less probability of any structure than this is surely background: far from the
heart, a trace of entropy in thousands of pixels would outweigh the uncertainty at its border."""

SHORTEST_BOUNDARY_MM = 30.0
"""Girth of a structure of 10 mm, the smallest worth a look. A slice where nothing was found has no
boundary, and is measured against this one."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Scores:
    """Of every slice; all NaN where nothing was segmented.

    Lengths and areas are in pixels and volumes in voxels where the spacing is unknown.

    Attributes
    ----------
    uncertainty_cm2
        ``(frames, slices)``: entropy summed over the pixels where a structure is plausible, as an
        area: so much full uncertainty is in the slice. Slices are reviewed in this order.
    uncertainty_mm
        ``(frames, slices)``: width of the band of uncertainty along all contours, see
        `slice_uncertainty`.
    expected_error_ml
        ``(frames, slices)``: volume that is expected to carry a wrong label, see `expected_error`.
    structures
        Codes of the structures, in the order of the card.
    structure_uncertainty_mm
        ``(structures, frames, slices)``: width of the band of uncertainty along the contour of
        each.
    expected_dice
        ``(structures, frames, slices)``: Dice that each is expected to have, see `expected_dice`;
        NaN also where a structure is neither found nor expected.
    """

    uncertainty_cm2: Floats
    uncertainty_mm: Floats
    expected_error_ml: Floats
    structures: tuple[int, ...]
    structure_uncertainty_mm: Floats
    expected_dice: Floats

    @classmethod
    def empty(cls, frames: int, slices: int, card: ModelCard) -> Scores:
        """Return scores to be filled in, all NaN."""
        codes = tuple(label.code for label in card.labels[1:])
        whole, single = (frames, slices), (len(codes), frames, slices)
        return cls(
            np.full(whole, np.nan, np.float32),
            np.full(whole, np.nan, np.float32),
            np.full(whole, np.nan, np.float32),
            codes,
            np.full(single, np.nan, np.float32),
            np.full(single, np.nan, np.float32),
        )

    def put(
        self,
        place: tuple[int, Sequence[int]],
        labels: NDArray[np.uint8],
        entropy: Floats,
        probabilities: Tensor,
        *,
        card: ModelCard,
        geometry: Geometry,
    ) -> None:
        """Score some slices.

        Parameters
        ----------
        place
            Their frame and their numbers.
        labels, entropy
            ``(slices, rows, columns)``, see `slice_uncertainty`.
        probabilities
            ``(slices, classes, rows, columns)`` in the order of ``card.classes``.
        card, geometry
            Of the model and of the image.
        """
        import torch

        frame, chosen = place[0], list(place[1])
        column_step, row_step, _ = geometry.spacing
        in_plane = (row_step, column_step)
        voxel = _voxel_size(geometry)
        square = row_step * column_step / 100 if geometry.spacing_known else 1.0

        # Few pixels count; by rounding, one structure may be likelier than all of them together.
        most = structure_probability(probabilities, card)
        counted = np.nonzero((most >= 0.99 * PLAUSIBLE) | (labels > 0))
        plausible = most[counted] >= PLAUSIBLE
        pixels = torch.from_numpy(probabilities.numpy()[counted[0], :, counted[1], counted[2]])

        ends = np.searchsorted(counted[0], np.arange(len(labels) + 1))

        def total(values: NDArray[Any]) -> NDArray[np.float64]:
            """Sum over the pixels of each slice."""
            sums = [values[a:b].sum(dtype=np.float64) for a, b in pairwise(ends)]
            return np.array(sums, np.float64)

        uncertainty = total(np.where(plausible, entropy[counted], 0))
        self.uncertainty_cm2[frame, chosen] = uncertainty * square
        self.uncertainty_mm[frame, chosen] = slice_uncertainty(uncertainty, labels, in_plane)
        wrong = total(np.where(plausible, 1 - label_confidence(pixels, card), 0))
        self.expected_error_ml[frame, chosen] = wrong * voxel
        offset = card.num_classes - len(self.structures)
        for index, code in enumerate(self.structures):
            one = pixels[:, index + offset].numpy()
            found, plausible = labels[counted] == code, one >= PLAUSIBLE
            self.expected_dice[index, frame, chosen] = expected_dice(
                area=total(found),
                inside=total(np.where(found, one, 0)),
                whole=total(np.where(found | plausible, one, 0)),
            )
            uncertainty = total(np.where(plausible, _binary_entropy(one), 0))
            self.structure_uncertainty_mm[index, frame, chosen] = slice_uncertainty(
                uncertainty, (labels == code).view(np.uint8), in_plane
            )

    def expected_voxels(self, geometry: Geometry) -> Floats:
        """Return how many voxels are expected to carry a wrong label, ``(frames, slices)``.

        Over many images in one queue this order finds the most wrong voxels.

        Parameters
        ----------
        geometry
            Of the image that was scored.
        """
        voxels: Floats = self.expected_error_ml / np.float32(_voxel_size(geometry))
        return voxels

    def least_expected_dice(self) -> Floats:
        """Return the smallest expected Dice of a structure, ``(frames, slices)``.

        NaN where no structure is found or expected.
        """
        known = np.isfinite(self.expected_dice)
        least = np.where(known, self.expected_dice, np.inf).min(0, initial=np.inf)
        return np.where(known.any(0), least, np.nan).astype(np.float32)


def structure_probability(probabilities: Tensor, card: ModelCard) -> Floats:
    """Return the probability of any structure, of the shape less classes.

    Parameters
    ----------
    probabilities
        ``(slices, classes, rows, columns)``, or of some pixels ``(pixels, classes)``.
    card
        Says what the classes are.
    """
    if card.activation == "softmax":
        background: Floats = probabilities[:, 0].numpy()
        return 1 - background
    best: Floats = probabilities.amax(1).numpy()
    return best


def label_confidence(probabilities: Tensor, card: ModelCard) -> Floats:
    """Return the probability that the label of each pixel is right; shapes as above.

    With softmax the probability of the class that wins; with sigmoid that of the best structure, or
    of none where none reaches the card's threshold.
    """
    best: Floats = probabilities.amax(1).numpy()
    if card.activation == "softmax":
        return best
    return np.where(best >= card.threshold, best, 1 - best)


def slice_uncertainty(
    uncertainty: NDArray[np.float64],
    labels: NDArray[np.uint8],
    in_plane_spacing: tuple[float, float],
) -> Floats:
    """Score slices by how wide the band of uncertainty around their contours is.

    Entropy summed over the pixels where a structure is plausible, as an area, divided by the length
    of the boundaries between labels: the mean width, in mm, of a band of full uncertainty along
    them. Dividing by the length keeps a large ventricle from looking more uncertain than a small
    one. A sharp contour scores about a pixel's width, a blob that was nearly called a structure
    scores by its area over 30 mm.

    Parameters
    ----------
    uncertainty
        Of each slice: entropy from `predictive_entropy`, summed over the pixels where the
        probability of any structure reaches `PLAUSIBLE`.
    labels
        ``(slices, rows, columns)``.
    in_plane_spacing
        Step between rows and step between columns, in mm.

    Returns
    -------
    ndarray
        One score per slice, 0 or more; large is uncertain.
    """
    row_step, column_step = in_plane_spacing
    rows, columns = box_of(labels, margin=1)
    labels = labels[:, rows, columns]
    between_rows = (labels[:, 1:] != labels[:, :-1]).sum((1, 2)) * column_step
    between_columns = (labels[:, :, 1:] != labels[:, :, :-1]).sum((1, 2)) * row_step
    # Along pixel edges a smooth contour is 4 / pi times too long.
    length = (between_rows + between_columns) * (math.pi / 4)
    area = uncertainty * row_step * column_step
    score: Floats = (area / np.maximum(length, SHORTEST_BOUNDARY_MM)).astype(np.float32)
    return score


def expected_dice(
    area: NDArray[np.float64], inside: NDArray[np.float64], whole: NDArray[np.float64]
) -> Floats:
    """Return the Dice that a mask is expected to have against the truth, slice by slice.

    Twice the probability inside the mask over the area of the mask plus all the probability there
    is: the ratio of the expected values, which for more than a few pixels is close to the expected
    ratio.

    Parameters
    ----------
    area
        Pixels of the mask in each slice.
    inside
        Calibrated probability of its structure, summed over the mask.
    whole
        The same summed over the mask and all pixels that reach `PLAUSIBLE`.

    Returns
    -------
    ndarray
        One value per slice; NaN where the mask is empty and less than one pixel is expected.
    """
    something = (area > 0) | (whole >= 1)
    result = np.full(len(area), np.nan)
    np.divide(2 * inside, area + whole, out=result, where=something)
    return result.astype(np.float32)


def _voxel_size(geometry: Geometry) -> float:
    """Return the volume of a voxel in ml, 1 where it is unknown."""
    column_step, row_step, slice_step = geometry.spacing
    return row_step * column_step * slice_step / 1000 if geometry.spacing_known else 1.0


def _binary_entropy(probability: Floats) -> Floats:
    """Return the entropy of a yes or no in bits."""
    p = np.clip(probability, 1e-7, 1 - 1e-7)
    result: Floats = -(p * np.log2(p) + (1 - p) * np.log2(1 - p))
    return result
