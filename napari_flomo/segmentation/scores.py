"""Uncertainty scores of slices and of the structures in them.

All are computed from calibrated probabilities on the grid of the image, before postprocessing.
``docs/benchmarks/uncertainty.md`` compares how well they find errors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_flomo.models import ModelCard
from napari_flomo.segmentation.bounding_box import box_of

if TYPE_CHECKING:
    from napari_flomo.volumes import Geometry

PLAUSIBLE = 0.05
"""A pixel with a lower probability of any structure is background: the small entropy of thousands
of pixels far from the heart would outweigh the uncertainty at its border."""

SHORTEST_BOUNDARY_MM = 30.0
"""Boundary length of a structure of 10 mm, used for slices with a shorter one or none."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores of every slice; NaN where nothing was segmented.

    Lengths and areas are in pixels and volumes in voxels if the spacing is unknown.

    Attributes
    ----------
    uncertainty_cm2
        ``(frames, slices)``: entropy summed over the pixels where a structure is plausible, as an
        area. Slices are reviewed in this order.
    uncertainty_mm
        ``(frames, slices)``: width of the band of uncertainty along all contours, see
        `slice_uncertainty`.
    expected_error_ml
        ``(frames, slices)``: volume that is expected to have a wrong label.
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
        """Return scores filled with NaN."""
        codes = tuple(label.code for label in card.labels[1:])
        whole = np.full((3, frames, slices), np.nan, np.float32)
        single = np.full((2, len(codes), frames, slices), np.nan, np.float32)
        return cls(whole[0], whole[1], whole[2], codes, single[0], single[1])

    def put(
        self,
        frame: int,
        slices: Sequence[int],
        labels: NDArray[np.uint8],
        entropy: Floats,
        probabilities: Floats,
        *,
        card: ModelCard,
        geometry: Geometry,
    ) -> None:
        """Score some slices of a frame.

        ``labels`` and ``entropy`` are ``(slices, rows, columns)``, ``probabilities``
        ``(slices, classes, rows, columns)`` in the order of ``card.classes``.
        """
        chosen = list(slices)
        column_step, row_step, _ = geometry.spacing
        in_plane = (row_step, column_step)
        voxel = _voxel_size(geometry)
        square = row_step * column_step / 100 if geometry.spacing_known else 1.0

        # Few pixels count. By rounding, one structure may be more probable than all together.
        most = structure_probability(probabilities, card)
        counted = np.nonzero((most >= 0.99 * PLAUSIBLE) | (labels > 0))
        plausible = most[counted] >= PLAUSIBLE
        pixels = probabilities[counted[0], :, counted[1], counted[2]]
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
            one = pixels[:, index + offset]
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
        """Return the expected number of wrong voxels, ``(frames, slices)``.

        In a review queue over many images this order finds the most wrong voxels.
        """
        voxels: Floats = self.expected_error_ml / np.float32(_voxel_size(geometry))
        return voxels

    def least_expected_dice(self) -> Floats:
        """Return the smallest expected Dice of all structures, ``(frames, slices)``, or NaN."""
        known = np.isfinite(self.expected_dice)
        least = np.where(known, self.expected_dice, np.inf).min(0, initial=np.inf)
        return np.where(known.any(0), least, np.nan).astype(np.float32)


def structure_probability(probabilities: Floats, card: ModelCard) -> Floats:
    """Return the probability of any structure, without the axis of classes.

    ``probabilities`` are ``(slices, classes, rows, columns)``, or ``(pixels, classes)``.
    """
    if card.activation == "softmax":
        return 1 - probabilities[:, 0]
    best: Floats = probabilities.max(1)
    return best


def label_confidence(probabilities: Floats, card: ModelCard) -> Floats:
    """Return the probability that the label of each pixel is right; shapes as above.

    With softmax the probability of the most probable class; with sigmoid that of the best
    structure, or of background where none reaches the card's threshold.
    """
    best: Floats = probabilities.max(1)
    if card.activation == "softmax":
        return best
    return np.where(best >= card.threshold, best, 1 - best)


def slice_uncertainty(
    uncertainty: NDArray[np.float64],
    labels: NDArray[np.uint8],
    in_plane_spacing: tuple[float, float],
) -> Floats:
    """Score slices by the width of the uncertain band around their contours; high is uncertain.

    Entropy summed over the pixels where a structure is plausible, as an area, divided by the length
    of the boundaries between labels: the mean width, in mm, of a band of full uncertainty along
    them. Without the division, large ventricles would score higher than small ones. A sharp contour
    scores about a pixel's width; a region that is nearly labelled scores its area over 30 mm.

    Parameters
    ----------
    uncertainty
        Of each slice: entropy from `predictive_entropy`, summed over the pixels where the
        probability of any structure reaches `PLAUSIBLE`.
    labels
        ``(slices, rows, columns)``.
    in_plane_spacing
        Step between rows and step between columns, in mm.
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
    """Return the expected Dice of a mask against the truth, slice by slice.

    Twice the probability inside the mask, divided by the area of the mask plus the total
    probability: the ratio of expectations, which is close to the expected ratio for more than a few
    pixels. NaN where the mask is empty and less than one pixel is expected.

    Parameters
    ----------
    area
        Pixels of the mask in each slice.
    inside
        Calibrated probability of its structure, summed over the mask.
    whole
        The same, summed over the mask and all pixels that reach `PLAUSIBLE`.
    """
    something = (area > 0) | (whole >= 1)
    result = np.full(len(area), np.nan)
    np.divide(2 * inside, area + whole, out=result, where=something)
    return result.astype(np.float32)


def _voxel_size(geometry: Geometry) -> float:
    """Return the volume of a voxel in ml, 1 if it is unknown."""
    column_step, row_step, slice_step = geometry.spacing
    return row_step * column_step * slice_step / 1000 if geometry.spacing_known else 1.0


def _binary_entropy(probability: Floats) -> Floats:
    """Return the binary entropy in bits."""
    p = np.clip(probability, 1e-7, 1 - 1e-7)
    result: Floats = -(p * np.log2(p) + (1 - p) * np.log2(1 - p))
    return result


def predictive_entropy(probabilities: Floats, activation: Literal["softmax", "sigmoid"]) -> Floats:
    """Return the entropy of each pixel's prediction, 0 (certain) to 1 (uniform).

    ``(slices, classes, rows, columns)`` become ``(slices, rows, columns)``. With softmax: the
    entropy over the classes divided by its maximum, the logarithm of their number. With sigmoid:
    the mean over the classes of their binary entropy in bits.
    """
    total = np.zeros((len(probabilities), *probabilities.shape[2:]), np.float32)
    # Class by class of each image, so that intermediate results stay in the cache.
    for one, classes in zip(total, probabilities, strict=True):
        for p in classes:
            _add_term(one, p)
            if activation == "sigmoid":
                _add_term(one, 1 - p)
    classes = probabilities.shape[1]
    largest = math.log(classes) if activation == "softmax" else classes * math.log(2)
    total /= np.float32(largest)
    return total.clip(0, 1, out=total)


def _add_term(total: Floats, p: Floats) -> None:
    """Add -p log p, 0 for p = 0."""
    term = np.log(np.maximum(p, np.float32(1e-30)))
    term *= p
    total -= term
