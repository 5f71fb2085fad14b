"""Parent and candidate on one image: the same pixels, the same truth, figure beside figure."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from flomo_training.gate.cases import JudgedImage
from flomo_training.metrics import compare
from flomo_training.uncertainty.band import foreground_band
from flomo_training.uncertainty.ece import Reliability
from napari_flomo.models import ModelCard
from napari_flomo.progress import Progress
from napari_flomo.segmentation import Segmentation, Segmenter
from napari_flomo.volumes import Volume

NAN = float("nan")

Step = Callable[[int], object]
"""Is told how many more slices are done."""


@dataclass(frozen=True)
class Scores:
    """How well one model found one structure.

    Attributes
    ----------
    dice
        Of all judged slices of the image together, 0 to 1.
    hd95_mm
        As in `flomo_training.metrics.Overlap`, within each run of neighbouring judged slices; the
        mean over runs, weighed by their slices. NaN where the spacing is unknown.
    ece
        Expected calibration error of the structure's probability along the contours.
    """

    dice: float = NAN
    hd95_mm: float = NAN
    ece: float = NAN


@dataclass(frozen=True)
class Row:
    """One structure of one image before and after.

    Attributes
    ----------
    image, group, structure
        What was looked at.
    before, after
        Scores of parent and candidate; all NaN where the structure is neither there nor found.
    drawn
        Whether somebody drew it, see `JudgedImage`.
    """

    image: str
    group: str
    structure: str
    before: Scores
    after: Scores
    drawn: bool = True


@dataclass(frozen=True, eq=False)
class Judged:
    """One image once both models have segmented it.

    Attributes
    ----------
    image
        Which one.
    rows
        One for each structure that is labelled.
    """

    image: JudgedImage
    rows: tuple[Row, ...]

    @property
    def dice(self) -> tuple[float, float]:
        """Mean over the structures that were drawn, before and after; NaN where there is none."""
        there = [row for row in self.rows if row.drawn and not math.isnan(row.before.dice)]
        if not there:
            return NAN, NAN
        before = np.mean([row.before.dice for row in there])
        return float(before), float(np.mean([row.after.dice for row in there]))


@dataclass(frozen=True, eq=False)
class Seen:
    """What was looked at in an image, for pictures.

    Attributes
    ----------
    volume
        The image, one frame.
    truth, before, after
        Codes ``(slices, rows, columns)`` of the labels, of the parent and of the candidate, without
        structures and slices that are not judged.
    """

    volume: Volume
    truth: NDArray[np.integer]
    before: NDArray[np.integer]
    after: NDArray[np.integer]


def judge(
    image: JudgedImage,
    parent: Segmenter,
    candidate: Segmenter,
    step: Step,
    cancelled: Callable[[], bool] | None = None,
) -> tuple[Judged, Seen]:
    """Segment one image with both models, as users do, and compare with its labels.

    Raises
    ------
    FlomoError
        If the image cannot be read or is not what the models take.
    Cancelled
        If ``cancelled`` said so.
    """
    volume, labels = image.load()
    before, after = (
        _segment(model, volume, image.slices, step, cancelled) for model in (parent, candidate)
    )
    rows = [
        _row(image, code, labels, (before, after), _name(parent.card, code)) for code in image.codes
    ]
    shown = [_judged_part(codes.data, image) for codes in (labels, before.labels, after.labels)]
    return Judged(image, tuple(rows)), Seen(volume, *shown)


def _judged_part(codes: NDArray[np.integer], image: JudgedImage) -> NDArray[np.integer]:
    """Return labels without what was not judged."""
    kept = np.zeros_like(codes)
    judged = list(image.slices)
    kept[judged] = np.where(np.isin(codes[judged], image.codes), codes[judged], 0)
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

    # What is done to finished labels needs the whole frame; else the other slices are no use.
    whole = model.card.postprocessing != "none"
    return model.segment(
        volume,
        slices=None if whole else slices,
        progress=report,
        cancelled=cancelled,
        keep_probabilities=True,
    )


def _row(
    image: JudgedImage,
    code: int,
    labels: Volume,
    found: tuple[Segmentation, Segmentation],
    structure: str,
) -> Row:
    judged = list(image.slices)
    truth = labels.data[judged] == code
    masks = [segmentation.labels.data[judged] == code for segmentation in found]
    # The same pixels for both models: those near a contour of the labels or of either.
    either = masks[0] + 2 * masks[1].astype(np.uint8)
    band = foreground_band(either, truth.astype(np.uint8), labels.in_plane_spacing)
    scores = []
    for segmentation, mask in zip(found, masks, strict=True):
        assert segmentation.probabilities is not None
        channel = [label.code for label in segmentation.card.classes].index(code)
        probability = segmentation.probabilities.data[channel][judged][band]
        ece = float(Reliability.of(probability, truth[band], 0.0).ece())
        spacing = labels.geometry.spacing[::-1] if labels.geometry.spacing_known else None
        dice, hd95 = _agreement(truth, mask, image.slices, spacing)
        scores.append(Scores(dice, hd95, ece))
    before, after = paired(scores[0], scores[1], spacing is not None)
    drawn = image.drawn is None or code in image.drawn
    return Row(image.name, image.group, structure, before, after, drawn)


def paired(before: Scores, after: Scores, spacing_known: bool) -> tuple[Scores, Scores]:
    """Return scores that can be subtracted.

    A structure that is not there is no evidence as long as neither model finds it. Where one of
    them does, that one is as wrong as can be, and the other is right: it counts Dice 1 and 0 mm.
    """
    perfect = 0.0 if spacing_known else NAN
    if math.isnan(before.dice) and not math.isnan(after.dice):
        before = Scores(1.0, perfect, before.ece)
    elif math.isnan(after.dice) and not math.isnan(before.dice):
        after = Scores(1.0, perfect, after.ece)
    return before, after


def _agreement(
    truth: NDArray[np.bool_],
    mask: NDArray[np.bool_],
    slices: Sequence[int],
    spacing: tuple[float, float, float] | None,
) -> tuple[float, float]:
    """Return Dice of all slices and HD95 within runs of neighbours."""
    runs = _runs(slices)
    whole = compare(truth, mask, spacing if len(runs) == 1 else None)
    if len(runs) == 1 or spacing is None:
        return whole.dice, whole.hd95_mm
    distances, weights = [], []
    for run in runs:
        distance = compare(truth[run], mask[run], spacing).hd95_mm
        if not math.isnan(distance):
            distances.append(distance)
            weights.append(run.stop - run.start)
    hd95 = float(np.average(distances, weights=weights)) if distances else NAN
    return whole.dice, hd95


def _runs(slices: Sequence[int]) -> list[slice]:
    """Return where runs of neighbouring slices stand in a list: across gaps nothing is measured."""
    breaks = [0, *(i for i in range(1, len(slices)) if slices[i] != slices[i - 1] + 1), len(slices)]
    return [slice(start, stop) for start, stop in pairwise(breaks)]


def _name(card: ModelCard, code: int) -> str:
    return next(label.name for label in card.labels if label.code == code)
