"""Temperature of a tuned model, fitted on held-out corrections."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from flomo_training.gate.cases import EvaluationImage, Fold
from flomo_training.gate.corrections import NOT_TRAINED, read_held_out
from flomo_training.uncertainty.calibration import (
    TOO_FEW,
    Pixels,
    TemperatureFit,
    collect_pixels,
    fit_temperature,
)
from flomo_training.uncertainty.command import store_temperature
from napari_flomo.corrections import CorrectionStore
from napari_flomo.errors import Cancelled
from napari_flomo.models import load_card
from napari_flomo.segmentation import Segmenter


def recalibrate(
    folder: Path,
    store: CorrectionStore,
    folds: Sequence[Fold],
    device: str = "auto",
    cancelled: Callable[[], bool] | None = None,
) -> TemperatureFit | None:
    """Fit the temperature of a candidate on held-out slices and store it in its card.

    The model of each fold segments the slices that it was trained without; all folds and the
    candidate get the same temperature. Only edited structures are used: unedited ones are the
    parent's own contours, on which any model similar to the parent would seem well calibrated. With
    too few edited pixels the result is None and the parent's temperature is kept. Raises
    `Cancelled` if ``cancelled``, which is checked before each image, returned True.
    """
    parts, slices = [], 0
    for fold in folds:
        segmenter = Segmenter.from_pretrained(fold.model, device)
        # Its training images are excluded already.
        for image in read_held_out(
            store, fold.held_out, segmenter.card, NOT_TRAINED, lambda _: None
        ):
            if cancelled is not None and cancelled():
                raise Cancelled
            parts.append(edited_pixels(segmenter, image))
            slices += len(image.slices)
    if sum(len(part.classes) for part in parts) < TOO_FEW:
        return None
    fit = fit_temperature(Pixels.together(parts), load_card(folder))
    for model in (*(fold.model for fold in folds), folder):
        store_temperature(model, fit, f"{slices} held-out corrected slices")
    return fit


def edited_pixels(segmenter: Segmenter, image: EvaluationImage) -> Pixels:
    """Return the pixels along contours where truth and prediction are edited structures."""
    volume, labels = image.load()
    pixels = collect_pixels(segmenter, volume, labels.data, image.slices, image.name)
    card = segmenter.card
    drawn = {0, *(image.codes if image.drawn is None else image.drawn)}
    code_of_class = np.array([label.code for label in card.labels])
    code_of_channel = np.array([label.code for label in card.classes])
    winner = code_of_channel[pixels.logits.argmax(1)]
    kept = np.isin(code_of_class[pixels.classes], list(drawn)) & np.isin(winner, list(drawn))
    return Pixels(pixels.logits[kept], pixels.classes[kept])
