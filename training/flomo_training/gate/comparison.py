"""Compare parent and candidate on one image."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flomo_training.gate.cases import EvaluationImage
from flomo_training.metrics import compare_slices
from flomo_training.uncertainty.band import foreground_band
from flomo_training.uncertainty.reliability import Reliability
from napari_flomo.models import ModelCard
from napari_flomo.progress import Progress
from napari_flomo.segmentation import Segmentation, Segmenter, image_signature, route
from napari_flomo.volumes import Volume

NAN = float("nan")

Step = Callable[[int], object]
"""Called with the number of slices that were finished."""


@dataclass(frozen=True)
class Scores:
    """Accuracy of one model for one structure.

    Attributes
    ----------
    dice
        Of all evaluated slices of the image together, 0 to 1.
    hd95_mm
        Within each run of adjacent evaluated slices; mean over runs, weighted by their slices. NaN
        if the spacing is unknown.
    ece
        Expected calibration error of the structure's probability near the contours.
    """

    dice: float = NAN
    hd95_mm: float = NAN
    ece: float = NAN


@dataclass(frozen=True)
class StructureComparison:
    """Scores of parent and candidate for one structure of one image.

    They are NaN if the structure is in neither labels nor results. ``drawn`` is True if the reader
    edited it, see `EvaluationImage`.
    """

    image: str
    group: str
    structure: str
    before: Scores
    after: Scores
    drawn: bool = True


@dataclass(frozen=True, eq=False)
class ImageComparison:
    """Results of both models on one image, with one row for each labelled structure.

    ``to_parent`` is True if the parent is used for the image although there is the candidate.
    """

    image: EvaluationImage
    rows: tuple[StructureComparison, ...]
    to_parent: bool = False

    @property
    def dice(self) -> tuple[float, float]:
        """Mean over the edited structures, before and after; NaN if there is none."""
        there = [row for row in self.rows if row.drawn and not math.isnan(row.before.dice)]
        if not there:
            return NAN, NAN
        before = np.mean([row.before.dice for row in there])
        return float(before), float(np.mean([row.after.dice for row in there]))


@dataclass(frozen=True, eq=False)
class ComparedLabels:
    """Image of one frame and codes ``(slices, rows, columns)`` in evaluated slices and structures.

    They are those of the labels, the parent and the candidate.
    """

    volume: Volume
    truth: NDArray[np.integer]
    before: NDArray[np.integer]
    after: NDArray[np.integer]


def compare_models(
    image: EvaluationImage,
    parent: Segmenter,
    candidate: Segmenter,
    step: Step,
    cancelled: Callable[[], bool] | None = None,
) -> tuple[ImageComparison, ComparedLabels]:
    """Segment one image with both models, as users do, and compare the results with its labels.

    Beside a candidate with a signature the parent stays in use: for an image that the router gives
    to the parent, its result is that of both.

    Raises a `FlomoError` if the image cannot be read or the models do not accept it, and
    `Cancelled` if ``cancelled`` returned True.
    """
    volume, labels = image.load()
    before = _segment(parent, volume, image.slices, step, cancelled)
    to_parent = goes_to_parent(volume, parent.card, candidate.card)
    if to_parent:
        step(len(image.slices))
        after = before
    else:
        after = _segment(candidate, volume, image.slices, step, cancelled)
    rows = [
        _row(image, code, labels, (before, after), _name(parent.card, code)) for code in image.codes
    ]
    shown = [_evaluated_part(codes.data, image) for codes in (labels, before.labels, after.labels)]
    return ImageComparison(image, tuple(rows), to_parent), ComparedLabels(volume, *shown)


def goes_to_parent(volume: Volume, parent: ModelCard, candidate: ModelCard) -> bool:
    """Return whether the parent is used for an image if both models are in use."""
    if candidate.signature in (None, parent.signature):  # a copy says nothing
        return False  # the candidate replaces its parent
    specialists = {candidate.name: candidate.signature}
    return (
        route(image_signature(volume, parent).tolist(), parent.signature, specialists).name is None
    )


def _evaluated_part(codes: NDArray[np.integer], image: EvaluationImage) -> NDArray[np.integer]:
    """Return the labels in the evaluated slices and structures only."""
    kept = np.zeros_like(codes)
    evaluated = list(image.slices)
    kept[evaluated] = np.where(np.isin(codes[evaluated], image.codes), codes[evaluated], 0)
    return kept


def _segment(
    model: Segmenter,
    volume: Volume,
    slices: Sequence[int],
    step: Step,
    cancelled: Callable[[], bool] | None,
) -> Segmentation:
    done = 0

    def report(progress: Progress) -> None:
        nonlocal done
        step(min(progress.done, len(slices)) - min(done, len(slices)))
        done = progress.done

    # Postprocessing needs the whole frame.
    whole = model.card.postprocessing != "none"
    return model.segment(
        volume,
        slices=None if whole else slices,
        progress=report,
        cancelled=cancelled,
        keep_probabilities=True,
    )


def _row(
    image: EvaluationImage,
    code: int,
    labels: Volume,
    found: tuple[Segmentation, Segmentation],
    structure: str,
) -> StructureComparison:
    evaluated = list(image.slices)
    truth = labels.data[evaluated] == code
    masks = [segmentation.labels.data[evaluated] == code for segmentation in found]
    # The same pixels for both models: those near a contour of the labels or of either result.
    either = masks[0] + 2 * masks[1].astype(np.uint8)
    band = foreground_band(either, truth.astype(np.uint8), labels.in_plane_spacing)
    scores = []
    for segmentation, mask in zip(found, masks, strict=True):
        assert segmentation.probabilities is not None
        channel = [label.code for label in segmentation.card.classes].index(code)
        probability = segmentation.probabilities.data[channel][evaluated][band]
        ece = float(Reliability.of(probability, truth[band], 0.0).ece())
        spacing = labels.geometry.spacing[::-1] if labels.geometry.spacing_known else None
        agreement = compare_slices(truth, mask, image.slices, spacing)
        scores.append(Scores(agreement.dice, agreement.hd95_mm, ece))
    before, after = paired(scores[0], scores[1], spacing is not None)
    drawn = image.drawn is None or code in image.drawn
    return StructureComparison(image.name, image.group, structure, before, after, drawn)


def paired(before: Scores, after: Scores, spacing_known: bool) -> tuple[Scores, Scores]:
    """Return scores that can be subtracted.

    A structure that is absent from the labels and both results is ignored. If only one model
    segments it, the other is right: its Dice is 1 and its distance 0 mm.
    """
    perfect = 0.0 if spacing_known else NAN
    if math.isnan(before.dice) and not math.isnan(after.dice):
        before = Scores(1.0, perfect, before.ece)
    elif math.isnan(after.dice) and not math.isnan(before.dice):
        after = Scores(1.0, perfect, after.ece)
    return before, after


def _name(card: ModelCard, code: int) -> str:
    return next(label.name for label in card.labels if label.code == code)
